"""Nodes as processes of their own: how many tasks they run, and how long a killed one's task is away."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator

from captcha_bypass.tasks.base import State, TaskQueue
from tests.support.fleet_node import LONG, node, processes
from tests.support.redis_server import RedisServer

#: Tasks of a node at once, and the seconds that each sleeps.
SLOTS, SLEEP = 4, 0.25
#: Tasks for each node.
EACH = 96
KILLS = 2

_ids = map("task {}".format, itertools.count())


async def rates(server: RedisServer) -> AsyncIterator[list[str]]:
    """Yield rows: nodes, tasks a second, and their ratio to those of one node."""
    first = 0.0
    for count in (1, 2, 3):
        async with processes() as start, node(server.url, "api") as api:
            found = [await start(server.url, f"n{number}", slots=SLOTS) for number in range(count)]
            for process in found:
                await process.until_ready()
            for _ in range(count):  # they have connections by then
                await asyncio.gather(*[_slept(api, 0.0) for _ in range(20)])
            began = time.perf_counter()
            await asyncio.gather(*[_slept(api, SLEEP) for _ in range(EACH * count)])
            rate = EACH * count / (time.perf_counter() - began)
            first = first or rate
            limit = SLOTS * count / SLEEP
            yield [str(count), f"{rate:.1f}", f"{limit:.0f}", f"{rate / first:.2f}"]


async def _slept(queue: TaskQueue, seconds: float) -> None:
    task_id = next(_ids)
    await queue.submit(task_id, {"seconds": seconds}, 60.0)
    record = await queue.wait(task_id, 60.0)
    if record is None or record.state is not State.COMPLETED:
        raise RuntimeError("a task has not ended")


async def deaths(server: RedisServer) -> list[float]:
    """Return after how many seconds a killed node's task was running on another one."""
    found = []
    async with processes() as start, node(server.url, "api") as api:
        for _ in range(KILLS):
            task_id = next(_ids)
            dying = await start(server.url, "dying", slots=1)
            await dying.until_ready()
            await api.submit(task_id, {"seconds": LONG}, LONG)
            await dying.until_begun(task_id)
            living = await start(server.url, "living", slots=1)
            await living.until_ready()
            await dying.kill()
            killed = time.perf_counter()
            await living.until_begun(task_id)
            found.append(time.perf_counter() - killed)
            await api.remove(task_id)
            await living.kill()
    return found
