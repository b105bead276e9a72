"""The task queue. It knows nothing of browsers or HTTP."""
