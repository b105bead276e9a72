"""A service that opens pages behind browser checks in a real browser."""

__version__ = "0.1.0"
