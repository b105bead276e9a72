"""The queue of many nodes, in Redis."""
