"""How many files this process may have open."""

from __future__ import annotations

import resource

#: Open files that the service takes care to have; more are no use, and some programs look at all.
MOST_FILES = 65_536


def raise_file_limit() -> int:
    """Raise how many files this process may have open, and return how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft
