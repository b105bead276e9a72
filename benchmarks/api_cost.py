"""What the API costs by itself, with a stub in place of the browser: `python -m benchmarks.api_cost`.

Each figure is taken from a fresh process of `benchmarks.stub_service`, by one client over loopback.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple, TypeVar

from benchmarks.contest import end_on_sigterm
from benchmarks.report import percentile, shown, table
from benchmarks.stub_client import NEVER, Stub, running

ROUND_TRIPS = 1_000
#: Tasks and results for the memory figures; 10,000 results of 20 kB stay under the queue's 256 MiB.
MANY = 10_000
CLIENTS = 32
#: MANY tasks are submitted in so many parts, each with a rate of its own: the rate varies a lot.
PARTS = 10
PENDING_SIZES = (100, 1_000, 10_000, 100_000)
PROBES = 300
HEALTH_PENDING, HEALTH_POLLERS = 1_000, 500

Call = Callable[[], Awaitable[object]]
T = TypeVar("T")


@dataclass(frozen=True)
class Growth:
    """Milliseconds (p50, p99) of each call while so many tasks are pending."""

    pending: int
    submit: tuple[float, float]
    result: tuple[float, float]
    health: tuple[float, float]
    cancel: tuple[float, float]


@dataclass(frozen=True)
class Figures:
    """All figures; times in milliseconds, memory in bytes."""

    round_trip_p50: float
    round_trip_p95: float
    hit_p50: float
    hit_p95: float
    submits_per_second: list[float]
    submit_cpu: float
    pending_uss: float
    pending_rss: float
    result_uss: float
    result_rss: float
    health_p50: float
    health_p99: float
    growth: list[Growth]


async def _timed(call: Awaitable[T]) -> tuple[T, float]:
    """Return what a call returns, and the milliseconds it took."""
    start = time.perf_counter()
    value = await call
    return value, (time.perf_counter() - start) * 1000


async def _times(count: int, call: Call) -> list[float]:
    """Return the milliseconds of so many calls, one after the other."""
    return [(await _timed(call()))[1] for _ in range(count)]


async def _many(count: int, call: Call) -> float:
    """Make so many calls by CLIENTS clients and return the seconds it took."""
    left = iter(range(count))

    async def client() -> None:
        for _ in left:
            await call()

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return time.perf_counter() - start


def _p(values: Sequence[float], percent: float) -> float:
    found = percentile(values, percent)
    assert found is not None  # noqa: S101 - there are values
    return found


async def _growth(stub: Stub, pending: int) -> Growth:
    """Probe each call in turn while `pending` tasks wait; a probe's own task is cancelled again."""
    await stub.fill(pending - await stub.health())
    probes = []
    for _ in range(PROBES):
        task_id, submit = await _timed(stub.submit())
        _, result = await _timed(stub.result(task_id, wait=0))
        _, health = await _timed(stub.health())
        _, cancel = await _timed(stub.cancel(task_id))
        probes.append((submit, result, health, cancel))
    calls = [(median(times), _p(times, 99)) for times in zip(*probes, strict=True)]
    return Growth(pending, *calls)


async def _health_under_load() -> list[float]:
    async with running(NEVER) as stub:
        ids = [await stub.submit() for _ in range(HEALTH_PENDING)]
        polls = [
            asyncio.create_task(stub.result(task_id, wait=30)) for task_id in ids[-HEALTH_POLLERS:]
        ]
        try:
            await asyncio.sleep(1)  # all of them hang on their long-poll by then
            times = await _times(ROUND_TRIPS, stub.health)
            if any(poll.done() for poll in polls):
                raise RuntimeError("a long-poll ended before the measurement did")
            return times
        finally:
            for poll in polls:
                poll.cancel()
            await asyncio.gather(*polls, return_exceptions=True)


class _Each(NamedTuple):
    """What one of MANY submitted tasks costs."""

    uss: float
    rss: float
    cpu: float
    rates: list[float]


async def _each(stub: Stub) -> _Each:
    await _many(200, stub.submit)  # what is allocated once is not the tasks' own
    cpu, (uss, rss) = stub.cpu(), stub.memory()
    part = MANY // PARTS
    rates = [part / await _many(part, stub.submit) for _ in range(PARTS)]
    await asyncio.sleep(0.5)  # those that end at all have ended by then
    cpu, (uss_after, rss_after) = stub.cpu() - cpu, stub.memory()
    return _Each((uss_after - uss) / MANY, (rss_after - rss) / MANY, cpu / MANY, rates)


async def measure() -> Figures:
    """Take all figures; less than 90 s."""
    async with running(0) as stub:
        await _times(100, stub.round_trip)
        round_trips = await _times(ROUND_TRIPS, stub.round_trip)
        hits = await _times(ROUND_TRIPS, stub.reuse)
    async with running(NEVER) as stub:
        pending = await _each(stub)
    async with running(0) as stub:
        result = await _each(stub)
    health = await _health_under_load()
    async with running(NEVER) as stub:
        await _times(50, stub.submit)
        growth = [await _growth(stub, pending) for pending in PENDING_SIZES]
    return Figures(
        round_trip_p50=_p(round_trips, 50),
        round_trip_p95=_p(round_trips, 95),
        hit_p50=_p(hits, 50),
        hit_p95=_p(hits, 95),
        submits_per_second=sorted(pending.rates),
        submit_cpu=pending.cpu * 1000,
        pending_uss=pending.uss,
        pending_rss=pending.rss,
        result_uss=result.uss,
        result_rss=result.rss,
        health_p50=_p(health, 50),
        health_p99=_p(health, 99),
        growth=growth,
    )


def text(figures: Figures) -> str:
    """Return the figures as Markdown."""
    f = figures
    low, *_, high = f.submits_per_second
    rates = f"{median(f.submits_per_second):.0f} ({low:.0f} to {high:.0f})"
    lines = [
        ("submit and result p50 / p95", f"{f.round_trip_p50:.2f} / {f.round_trip_p95:.2f} ms"),
        ("answer from a shared clearance p50 / p95", f"{f.hit_p50:.2f} / {f.hit_p95:.2f} ms"),
        ("submits per second, one client process", rates),
        ("CPU of the service for a submit", f"{f.submit_cpu:.2f} ms"),
        ("memory per pending task, USS / RSS", f"{f.pending_uss:.0f} / {f.pending_rss:.0f} B"),
        ("memory per 20 kB result, USS / RSS", f"{f.result_uss:.0f} / {f.result_rss:.0f} B"),
        (
            f"/health p50 / p99 at {HEALTH_PENDING} pending, {HEALTH_POLLERS} long-polls",
            f"{f.health_p50:.2f} / {f.health_p99:.2f} ms",
        ),
    ]
    calls = ("submit", "result", "health", "cancel")
    body = [
        (f"{row.pending:,}", *(" / ".join(shown(v, 2) for v in getattr(row, c)) for c in calls))
        for row in f.growth
    ]
    ratios = [getattr(f.growth[-1], c)[0] / getattr(f.growth[0], c)[0] for c in calls]
    body.append(("last : first, p50", *(shown(ratio, 2) for ratio in ratios)))
    head = ("pending", *(f"{call} p50 / p99 ms" for call in calls))
    return table(("the API by itself", ""), lines) + "\n\n" + table(head, body)


if __name__ == "__main__":
    end_on_sigterm()
    print(text(asyncio.run(measure())))
