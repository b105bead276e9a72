"""What goes over the wire: requests, and the results they lead to."""
