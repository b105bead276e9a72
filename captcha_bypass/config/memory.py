"""Whether the memory this process may use is enough for its workers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from captcha_bypass.config.settings import Config

GIB = 1024**3
#: Pages that share one browser. Each has a content process of its own anyway; more than four keep
#: the one parent process busy, and would be lost together.
PAGES_PER_BROWSER = 4
#: Service, driver and results, beside the browsers.
REST_BYTES = 1 * GIB
#: Version 1 has no word for "no limit": it gives the largest number of whole pages instead.
NO_LIMIT_BYTES = 2**60


def needed_bytes(workers: int, tasks_per_browser: int, max_browser_bytes: int) -> int:
    """Return what docker-compose.yml gives: full browsers, one that replaces another, the rest."""
    pages = 1 if tasks_per_browser == 1 else PAGES_PER_BROWSER
    return (math.ceil(workers / pages) + 1) * max_browser_bytes + REST_BYTES


def allowed_bytes(
    cgroup: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> int | None:
    """Return the least that this process's cgroup, or one that it is in, may use; None: no limit."""
    limits = [limit for limit in _limits(cgroup, own) if limit < NO_LIMIT_BYTES]
    return min(limits, default=None)


def _limits(cgroup: Path, own: Path) -> Iterator[int]:
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root, name = (
            (cgroup / "memory", "memory.limit_in_bytes") if controllers else (cgroup, "memory.max")
        )
        # In a container the path may be the host's, and what is seen here only the root.
        place = PurePosixPath(path.lstrip("/"))
        for folder in (place, *place.parents):
            try:
                yield int((root / folder / name).read_text())
            except (OSError, ValueError):  # there is none, or it is "max"
                continue


def memory_remarks(config: Config, allowed: int | None) -> Iterator[str]:
    """Tell in a line for the log that the workers may need more than is allowed."""
    limits = config.tasks_per_browser, config.max_browser_bytes
    needed = needed_bytes(config.workers, *limits)
    if allowed is None or needed <= allowed:
        return
    fitting = [n for n in range(1, config.workers) if needed_bytes(n, *limits) <= allowed]
    fewer = f"--workers {fitting[-1]}" if fitting else "a smaller --max-browser-bytes"
    yield (
        f"{config.workers} workers may need {needed / GIB:.1f} GiB of memory and the cgroup allows "
        f"{allowed / GIB:.1f} GiB, past which the kernel kills browsers: use {fewer}, or allow more"
    )
