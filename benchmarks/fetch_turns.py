"""One contestant's turn of fetches: how many pages it gets, and what its processes spend on them."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.contest import timed
from benchmarks.contestants import Contestant
from benchmarks.fetch_report import Turn, own_seconds
from benchmarks.meter import Meter, ProcessTree
from benchmarks.report import Timed

#: MiB of a page: 10 kB.
SMALL = 0.0098
#: Seconds after a turn whose CPU still counts.
SETTLE_SECONDS = 1.0


@dataclass(frozen=True)
class Fetching:
    """A contestant.

    Attributes:
        python: Process id of a service of ours, whose parts are told apart.
        log: Its log, where each fetch has a line.
    """

    contestant: Contestant
    python: int | None = None
    log: Path | None = None


class Site:
    """The challenge site."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._numbers = itertools.count(1)

    def page(self, megabytes: float = SMALL) -> str:
        """Return the URL of a page of that many MiB which nobody has asked for."""
        return f"{self.base}/big/{next(self._numbers)}?mb={megabytes}"


def _parts(tree: ProcessTree, service: int) -> dict[str, float]:
    """Return the CPU seconds of the service's Python and driver so far; both stay, browsers come and go."""
    found = {"python": 0.0, "driver": 0.0}
    tree.look()
    for pid in tree.alive:
        try:
            process = psutil.Process(pid)
            times, command = process.cpu_times(), " ".join(process.cmdline()[:2])
        except psutil.Error:
            continue
        if pid == service:
            found["python"] += times.user + times.system
        elif "playwright/driver" in command:
            found["driver"] += times.user + times.system
    return found


async def take(fetching: Fetching, site: Site, at_once: int, number: int, seconds: float) -> Turn:
    """Let a contestant fetch for some seconds, so many at once."""
    contestant = fetching.contestant
    until = time.perf_counter() + seconds
    fetches: list[Timed] = []

    async def client() -> None:
        while time.perf_counter() < until:
            fetches.append(await timed(contestant, site.page()))

    tree = contestant.tree
    python = fetching.python
    logged = 0 if fetching.log is None else fetching.log.stat().st_size
    before = {} if tree is None or python is None else _parts(tree, python)
    with Meter(tree) as meter:
        start = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(at_once)))
        wall = time.perf_counter() - start
        await asyncio.sleep(SETTLE_SECONDS if tree is not None else 0)
    cpu = None if meter.cpu is None else {"all": meter.cpu}
    if tree is not None and cpu is not None and python is not None:
        after = _parts(tree, python)
        used = {part: after[part] - before[part] for part in after}
        cpu |= {**used, "browser": cpu["all"] - sum(used.values())}
    log = b"" if fetching.log is None else fetching.log.read_bytes()[logged:]
    return Turn(
        contestant=contestant.name,
        at_once=at_once,
        round=number,
        wall=wall,
        fetches=fetches,
        cpu=cpu,
        peak_pss=meter.peak_pss,
        others=meter.others,
        own=own_seconds(log.decode()),
    )
