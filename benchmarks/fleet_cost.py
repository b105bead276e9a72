"""What a queue in Redis costs beside the one in memory: `python -m benchmarks.fleet_cost`.

A Redis of its own (AOF, fsync every second) on loopback, payloads and results encrypted; tasks do nothing, or sleep.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
from redis.asyncio import Redis

from benchmarks.contest import end_on_sigterm
from benchmarks.fleet_nodes import SLOTS, deaths, rates
from benchmarks.report import percentile, table
from captcha_bypass.nodes.sharing import FleetClearances, FleetSharing
from captcha_bypass.sharing.clearances import Clearances
from captcha_bypass.sharing.queue import SharedQueue
from captcha_bypass.tasks.base import JsonDict, State, TaskQueue
from captcha_bypass.tasks.fleet.queue import FleetQueue
from captcha_bypass.tasks.memory import MemoryQueue
from captcha_bypass.wire.task import Task
from tests.support.fleet_node import LONG, PAGE, node
from tests.support.redis_server import RedisServer, redis_server

#: Tasks of each kind that are timed, in so many turns of memory and Redis.
TIMED, TURNS = 500, 5
MANY = 10_000
#: Tasks of this group never end.
STUCK = {"host:stuck": 1}

_ids = map("task {}".format, itertools.count())


async def _handler(task_id: str, payload: JsonDict) -> JsonDict:
    if payload["url"].endswith("/stuck"):
        await asyncio.Event().wait()
    cookie = {"name": "c", "value": task_id, "domain": "example.com", "path": "/", "expires": -1.0}
    return {
        "data": {
            "cookies": [{**cookie, "httpOnly": True, "secure": True, "sameSite": "Lax"}],
            "headers": {"content-type": "text/html"},
            "status_code": 200,
            "html": f"<!-- {task_id} -->{PAGE}",
            "url": payload["url"],
            "timeout_reached": False,
            "user_agent": "Mozilla/5.0 (stub)",
            "request_headers": {"user-agent": "Mozilla/5.0 (stub)"},
            "challenge": None,
            "screenshot": None,
            "elapsed": 0.0,
        }
    }


async def _submit(queue: TaskQueue, path: str, reuse: float | None = None) -> str:
    task = Task(
        url=f"https://example.com/{path}", success_text="Welcome", timeout=LONG, reuse=reuse
    )
    task_id = next(_ids)
    groups = STUCK if path == "stuck" else {"host:example.com": 4}
    await queue.submit(task_id, task.to_payload(), task.timeout, groups)
    return task_id


async def _round_trip(queue: TaskQueue, path: str = "page", reuse: float | None = None) -> None:
    record = await queue.wait(await _submit(queue, path, reuse), 30.0)
    if record is None or record.state is not State.COMPLETED:
        raise RuntimeError("a task has not ended")


async def _hit(queue: TaskQueue) -> None:
    await _round_trip(queue, reuse=LONG)


async def _times(queue: TaskQueue, call: Callable[[TaskQueue], Awaitable[None]]) -> list[float]:
    """Return the milliseconds of each of some calls, one after the other."""
    found = []
    for _ in range(TIMED // TURNS):
        start = time.perf_counter()
        await call(queue)
        found.append((time.perf_counter() - start) * 1000)
    return found


async def _beside(
    memory: TaskQueue, fleet: TaskQueue, call: Callable[[TaskQueue], Awaitable[None]]
) -> list[str]:
    """Return p50 and p95 of both and what Redis adds, taken in turns."""
    both: tuple[list[float], list[float]] = ([], [])
    for _ in range(TURNS):
        for queue, times in zip((memory, fleet), both, strict=True):
            times += await _times(queue, call)
    (m50, f50), (m95, f95) = ([percentile(times, p) or 0 for times in both] for p in (50, 95))
    shown = [f"{m50:.2f} / {m95:.2f}", f"{f50:.2f} / {f95:.2f}"]
    return [*shown, f"{f50 - m50:.2f} / {f95 - m95:.2f}"]


@asynccontextmanager
async def _pair(url: str) -> AsyncIterator[tuple[FleetQueue, TaskQueue, FleetSharing]]:
    """Have the queue in memory, and two nodes: what is asked for at one, the other runs."""
    memory = MemoryQueue(max_pending=1_000_000, result_ttl=LONG, max_results_bytes=2**30)
    shared = SharedQueue(memory, Clearances(LONG), most_joined=100)
    async with node(url, "api") as api, node(url, "solver") as solver:
        asked, runs = (
            FleetSharing(queue, queue._store, FleetClearances(queue._store, LONG))
            for queue in (api, solver)
        )
        await shared.start(_handler, SLOTS)
        await runs.start(_handler, SLOTS)
        yield api, shared, asked
        await shared.stop(0)


class _Counts(NamedTuple):
    """What Redis has counted."""

    calls: int
    commands: int
    bytes_in: int
    bytes_out: int
    memory: int

    @classmethod
    async def now(cls, redis: Redis) -> _Counts:
        stats = await redis.info()
        calls = await redis.info("commandstats")
        return cls(
            calls.get("cmdstat_evalsha", {"calls": 0})["calls"],
            stats["total_commands_processed"],
            stats["total_net_input_bytes"],
            stats["total_net_output_bytes"],
            stats["used_memory"],
        )

    def each(self, before: _Counts, count: int) -> list[float]:
        return [(now - then) / count for now, then in zip(self, before, strict=True)]


async def latencies(server: RedisServer) -> AsyncIterator[list[str]]:
    """Yield rows: memory, Redis, the difference."""
    redis = Redis.from_url(server.url)
    async with _pair(server.url) as (_, memory, fleet):
        for queue in (memory, fleet):
            for _ in range(50):
                await _round_trip(queue)
            await _hit(queue)
        yield ["submit to result", *await _beside(memory, fleet, _round_trip)]
        before = await _Counts.now(redis)
        for _ in range(TIMED):
            await _round_trip(fleet)
        found = (await _Counts.now(redis)).each(before, TIMED)
        yield ["round trips to Redis a task", "", f"{found[0]:.1f}", ""]
        yield ["commands in Redis a task", "", f"{found[1]:.0f}", ""]
        yield [
            "kB to and from Redis a task",
            "",
            f"{found[2] / 1e3:.1f} / {found[3] / 1e3:.1f}",
            "",
        ]
        yield ["answer from a shared clearance", *await _beside(memory, fleet, _hit)]
        before = await _Counts.now(redis)
        for queue in (memory, fleet):
            for _ in range(MANY):
                await _submit(queue, "stuck")
        found = (await _Counts.now(redis)).each(before, MANY)
        yield ["bytes of Redis' memory for a pending task", "", f"{found[4]:.0f}", ""]
        times = await _beside(memory, fleet, _round_trip)
        yield [f"submit to result at {MANY:,} pending", *times]
    await redis.flushall()
    await redis.aclose()


async def _print() -> None:
    psutil.cpu_percent()
    with tempfile.TemporaryDirectory(prefix="fleet-cost-") as folder:
        async with AsyncExitStack() as stack:
            options = ("--appendonly", "yes", "--appendfsync", "everysec")
            server = stack.enter_context(redis_server(Path(folder), *options))
            for head, rows in (
                (["p50 / p95 ms", "memory", "Redis", "Redis adds"], latencies(server)),
                (["nodes", "tasks a second", "at most", "of one node"], rates(server)),
            ):
                print(table(head, [row async for row in rows]), end="\n\n")
            seconds = await deaths(server)
    spread = f"{median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"
    print(f"A killed node's task ran elsewhere after {spread}.")
    print(f"The machine was busy to {psutil.cpu_percent():.0f} %.", file=sys.stderr)


if __name__ == "__main__":
    end_on_sigterm()
    asyncio.run(_print())
