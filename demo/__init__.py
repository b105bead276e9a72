"""The challenged site that `make demo`, the tests and the benchmarks visit, and the demo."""
