"""The egress guard: the one way out for every byte of a browser.

Each browser context is given a proxy endpoint of its own on loopback (`guard.py`). It resolves a name
once, refuses what is not public (`addresses.py`, `rules.py`), dials the very address it checked, or
goes through the task's own proxy (`routes.py`), and is cut when the task ends.
"""
