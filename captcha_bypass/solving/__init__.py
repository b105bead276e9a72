"""One task on one page: go, wait, and gather what is there."""
