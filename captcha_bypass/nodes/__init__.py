"""Several services that share a queue: what belongs to one of them, asked of any."""
