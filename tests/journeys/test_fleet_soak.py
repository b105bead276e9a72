"""2,000 tasks on three nodes one of which is killed every few seconds: each is answered, and rightly."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from captcha_bypass.tasks.base import Record, State
from captcha_bypass.tasks.fleet.queue import FleetQueue
from demo.challenge_pages import SUCCESS_TEXT
from demo.challenge_site import SiteOptions, create_site
from tests.support.fleet_node import Process, Start, hurried, node, processes
from tests.support.redis_server import RedisServer, redis_server
from tests.support.service import run_service
from tests.support.solve_client import client_of

pytestmark = pytest.mark.soak

TASKS, NODES, SLOTS = 2000, 3, 4
#: Seconds between two kills, after which a node counts as dead, and that a task sleeps at most.
KILL_EVERY, LEASE, LONGEST = 4.0, 1.5, 0.5
HOSTS = {f"host:{number}": bound for number, bound in enumerate([2, 3, 4, 6, 8, 8])}
#: Tasks that a client has under way at once: kills meet long queues and short ones.
AT_ONCE = 400
#: Tasks that are pending when a node dies, and challenges that real browsers solve.
PENDING, SOLVES = 10_000, 200


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path, "--appendonly", "yes") as server, hurried(LEASE):
        yield server


class Killing:
    """Nodes, of which the one that is the oldest is killed again and again, and replaced."""

    def __init__(self, start: Start, url: str) -> None:
        self._start = start
        self._url = url
        self.living: list[Process] = []
        self.killed: list[Process] = []

    async def come(self) -> None:
        name = f"n{len(self.living) + len(self.killed)}"
        self.living.append(await self._start(self._url, name, slots=SLOTS, lease=LEASE))
        await self.living[-1].until_ready()

    async def go_on(self) -> None:
        while True:
            await asyncio.sleep(KILL_EVERY)
            killed = self.living.pop(0)
            await killed.kill()
            self.killed.append(killed)
            await self.come()


async def answered(
    api: FleetQueue, number: int, random_: random.Random
) -> tuple[str, Record | None]:
    task_id, host = f"t{number}", random_.choice(list(HOSTS))
    payload = {"seconds": random_.uniform(0, LONGEST), "number": number}
    await api.submit(task_id, payload, 30.0, {host: HOSTS[host]})
    record = await api.wait(task_id, 170.0)
    if record is not None and record.data is not None:
        right = {"task": task_id, "asked": payload}
        assert record.data.items() >= right.items(), "somebody else's result"
    return task_id, record


@pytest.mark.timeout(280)
async def test_no_task_is_lost_or_wrong_while_nodes_are_killed(redis: RedisServer) -> None:
    random_, found, left = random.Random(17), dict[str, Record | None](), iter(range(TASKS))  # noqa: S311
    async with processes() as start, node(redis.url, "one") as one, node(redis.url, "two") as two:

        async def client(api: FleetQueue) -> None:
            for number in left:
                task_id, record = await answered(api, number, random_)
                found[task_id] = record

        killing = Killing(start, redis.url)
        await asyncio.gather(*(killing.come() for _ in range(NODES)))
        chaos = asyncio.create_task(killing.go_on())
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(170):
            await asyncio.gather(*(client((one, two)[n % 2]) for n in range(AT_ONCE)))
        took = asyncio.get_running_loop().time() - began
        assert not chaos.done()
        chaos.cancel()
        stats = await one.fleet()
    begun = Counter(task for each in (*killing.living, *killing.killed) for task in each.begun)
    met = Counter(task for each in killing.killed for task in set(each.begun))
    ends = Counter(record.state if record else None for record in found.values())
    again = sum(times > 1 for times in begun.values())
    print(f"{took:.0f} s, {len(killing.killed)} kills, {again} tasks ran again, {dict(ends)}")
    assert len(found) == TASKS
    for task_id, record in found.items():
        assert record is not None, f"{task_id} is lost"
        # Two nodes that died with it are enough.
        if record.state is not State.COMPLETED:
            assert record.error is not None
            assert record.error["code"] == "browser_crashed"
            assert met[task_id] >= 2
    assert len(killing.killed) >= 5
    assert again >= len(killing.killed)
    assert stats.queued == 0
    assert sum(each.running for each in stats.nodes) == 0


@pytest.mark.timeout(280)
async def test_death_of_a_node_with_ten_thousand_pending_tasks_loses_none(
    redis: RedisServer,
) -> None:
    async with processes() as start, node(redis.url, "one") as one:
        for number in range(PENDING):
            payload = {"seconds": 0.0, "number": number}
            await one.submit(f"p{number}", payload, 30.0, {f"host:{number % 50}": 4})
        dying = await start(redis.url, "dying", slots=SLOTS, lease=LEASE)
        await dying.until_ready()
        await asyncio.sleep(1.0)
        await dying.kill()
        living = await start(redis.url, "living", slots=SLOTS, lease=LEASE)
        await living.until_ready()
        async with asyncio.timeout(240):
            for number in range(PENDING):
                record = await one.wait(f"p{number}", 200.0)
                assert record is not None, f"p{number} is lost"
                assert record.state is State.COMPLETED
        assert 0 < len(set(dying.begun)) < PENDING
        assert set(dying.begun) | set(living.begun) == {f"p{number}" for number in range(PENDING)}


@pytest.mark.timeout(600)
async def test_two_nodes_with_real_browsers_solve_two_hundred_challenges(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    folder.mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(redis_server(folder, "--appendonly", "yes"))
        shared = ("--queue-url", server.url, "--workers", "2", "--max-per-host", "0")
        nodes = [
            stack.enter_context(run_service(tmp_path / name, *shared, "--node", name))
            for name in ("one", "two")
        ]
        async with (
            TestServer(create_site(SiteOptions(work=0.1))) as site,
            AsyncExitStack() as clients,
        ):
            apis = [await clients.enter_async_context(client_of(service)) for service in nodes]
            url = str(
                site.make_url("/page/1")
            )  # each task in a context of its own: a challenge each
            wanted = {"url": url, "success_text": SUCCESS_TEXT, "timeout": 60}
            ids = [await apis[number % 2].submit(**wanted) for number in range(SOLVES)]
            views = await asyncio.gather(*(apis[1].finished(task_id) for task_id in ids))
    ends = Counter(view["status"] for view in views)
    print(dict(ends))
    assert ends == {"completed": SOLVES}
    assert not any(view["data"]["timeout_reached"] for view in views)
