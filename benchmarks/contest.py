"""The contest: rounds in which every contestant takes its turn, on one site, with fresh pages."""

from __future__ import annotations

import asyncio
import itertools
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.adapters import SOLVE_SECONDS
from benchmarks.contestants import (
    ROOT,
    Contestant,
    Peer,
    bare_loop,
    hand_over_seconds,
    own_service,
)
from benchmarks.meter import Meter, left_behind
from benchmarks.report import Batch, Timed

#: Seconds after a batch whose CPU still counts: what is cleaned up or prepared after the last
#: answer is part of the price, and must not burden the next contestant's turn.
SETTLE_SECONDS = 1.0
#: Seconds after the end of the last contestant before what is left is counted.
_LEFT_AFTER = 2.0


@dataclass(frozen=True)
class Plan:
    """What to measure; `only` names those of our own contestants that take part."""

    at_once: tuple[int, ...]
    rounds: int
    solves: int
    work: float
    only: tuple[str, ...]
    peers: tuple[Peer, ...]


@dataclass
class Outcome:
    """What was measured.

    Attributes:
        left: Processes and files left by each contestant that was started here.
        hand_over: Seconds until the service lent a task its page, by task id.
    """

    batches: list[Batch] = field(default_factory=list)
    left: dict[str, tuple[int, int]] = field(default_factory=dict)
    hand_over: dict[str, float] = field(default_factory=dict)


def end_on_sigterm() -> None:
    """Have SIGTERM end a run with all that it has started, as Ctrl+C does."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


def say(line: str) -> None:
    """Print a line about the progress."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def challenge_site(work: float, program: str = "demo/challenge_site.py") -> Iterator[str]:
    """Serve a site of the demo in a process of its own; yields its address."""
    command = [sys.executable, program, "--port", "0", "--work", str(work)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None  # noqa: S101 - it was asked for
    try:
        line = process.stdout.readline()
        address = re.search(r"http://\S+", line)
        if address is None:
            raise RuntimeError(f"the challenge site did not start: {line!r}")
        yield address.group()
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


async def timed(contestant: Contestant, url: str) -> Timed:
    """Let a contestant bring one page, and say how that went."""
    start = time.perf_counter()
    try:
        async with asyncio.timeout(SOLVE_SECONDS + 10):
            solved = await contestant.solve(url)
    except (aiohttp.ClientError, TimeoutError, LookupError, TypeError, ValueError) as error:
        # Unreachable, too slow, or an answer that is not what its API says.
        return Timed(time.perf_counter() - start, error=f"{type(error).__name__}: {error}")
    return Timed(time.perf_counter() - start, **vars(solved))


class _Turns:
    """Gives the contestants their turns and keeps what came of them."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._numbers = itertools.count(1)

    async def take(self, contestant: Contestant, at_once: int, number: int, solves: int) -> Batch:
        """Let a contestant solve so many pages, so many at once."""
        # A clearance for one use: whoever keeps cookies has the challenge to solve all the same.
        pages = (f"/uses/{next(self._numbers)}?uses=1" for _ in range(solves))
        urls = iter([f"{self._site}{page}" for page in pages])

        async def solve_some() -> list[Timed]:
            return [await timed(contestant, url) for url in urls]

        with Meter(contestant.tree) as meter:
            start = time.perf_counter()
            clients = await asyncio.gather(*(solve_some() for _ in range(at_once)))
            wall = time.perf_counter() - start
            await asyncio.sleep(SETTLE_SECONDS)
        return Batch(
            contestant=contestant.name,
            at_once=at_once,
            round=number,
            wall=wall,
            solves=[timed for client in clients for timed in client],
            cpu=meter.cpu,
            peak_pss=meter.peak_pss,
            peak_processes=meter.peak_processes,
            others=meter.others,
        )


async def hold(plan: Plan, folder: Path) -> Outcome:
    """Start all contestants, let them take their turns, stop them, count what is left.

    Args:
        plan: Who and how often.
        folder: An empty one, for the contestants' files.
    """
    outcome = Outcome()
    contestants: list[Contestant] = []
    try:
        async with AsyncExitStack() as stack:
            # A connector of its own kind: never fewer connections than clients.
            session = await stack.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
            )
            site = stack.enter_context(challenge_site(plan.work))
            for name in plan.only:
                say(f"starting {name}")
                where = folder / name
                workers = max(4, *plan.at_once)
                context = (
                    own_service(session, where, workers, guarded=name == "service")
                    if name in ("service", "unguarded")
                    else bare_loop(where, name)
                )
                contestants.append(await stack.enter_async_context(context))
            contestants += [peer.contestant(session) for peer in plan.peers]
            await _rounds(plan, contestants, _Turns(site), outcome.batches)
    finally:
        await asyncio.sleep(_LEFT_AFTER)
        for contestant in contestants:
            if contestant.tree is not None and contestant.folder is not None:
                outcome.left[contestant.name] = left_behind(
                    contestant.tree, contestant.folder / "tmp"
                )
    log = folder / "service" / "log"
    outcome.hand_over = hand_over_seconds(log.read_text()) if log.exists() else {}
    return outcome


async def _rounds(
    plan: Plan, contestants: Sequence[Contestant], turns: _Turns, batches: list[Batch]
) -> None:
    total = len(plan.at_once) * plan.rounds * len(contestants)
    for at_once in plan.at_once:
        for contestant in contestants:
            say(f"{at_once} at once: {contestant.name} warms up")
            await turns.take(contestant, at_once, 0, at_once)
        for number in range(1, plan.rounds + 1):
            first = (number - 1) % len(contestants)
            for contestant in [*contestants[first:], *contestants[:first]]:
                batch = await turns.take(contestant, at_once, number, plan.solves)
                batches.append(batch)
                failed = len(batch.solves) - len(batch.passed)
                say(
                    f"{at_once} at once, round {number}/{plan.rounds}: {contestant.name} "
                    f"{batch.per_minute:.1f} solves/min{f', {failed} FAILED' if failed else ''}, "
                    f"about {_seconds_left(batches, total):.0f} s left"
                )


def _seconds_left(batches: Sequence[Batch], total: int) -> float:
    spent = sum(batch.wall + SETTLE_SECONDS for batch in batches)
    return spent / len(batches) * (total - len(batches))
