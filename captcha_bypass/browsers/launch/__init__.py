"""One browser from nothing to a process that answers: found, fetched, launched, checked, and killed."""
