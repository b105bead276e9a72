"""Runnable examples, and the local site that the tests and the benchmarks visit."""
