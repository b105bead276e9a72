"""HTTP in, HTTP out; no browser, no queue internals."""
