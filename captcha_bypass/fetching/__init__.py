"""Requests through a cleared browser: sent by its own network stack, without rendering anything."""
