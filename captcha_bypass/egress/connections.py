"""How many connections browsers may have: each takes two of the files that may be open at once."""

from __future__ import annotations

import resource

#: Connections one task may hold at once. Firefox stops at 900 for all pages of a browser together,
#: and up to four share one.
MAX_CONNECTIONS = 200
#: Open files left for everything else: the API's clients, the links to driver and browsers, logs.
RESERVED_FILES = 256
#: What there may be at least, however few files the system allows.
MIN_CONNECTIONS = 64


def most_connections() -> int:
    """Return how many there may be for all tasks together, by the soft limit as it is now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = 2**20
    return max(MIN_CONNECTIONS, (soft - RESERVED_FILES) // 2)


def has_room(own: int, of_all: int, tasks: int) -> bool:
    """Whether a task may have one more connection.

    Half of what there may be is for whoever comes first; of the other half each has its share, so
    that pages that take all they can get leave enough for others.

    Args:
        own: Connections that the task has.
        of_all: Connections that all tasks have.
        tasks: How many could want one.
    """
    half = most_connections() // 2
    return own < MAX_CONNECTIONS and (of_all < half or own < max(1, half // tasks))
