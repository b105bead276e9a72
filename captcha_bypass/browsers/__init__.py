"""Where browsers come from and how they die."""
