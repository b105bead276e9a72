"""Several services on one real Redis: any answers for any task, and what dies loses nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.support.fake_service import LASTING, PAGE, URL, opened, run_fake_service
from tests.support.redis_server import RedisServer, redis_server
from tests.support.service import PATH, Service, eventually
from tests.support.solve_client import Client, client_of

#: Seconds after which a node counts as dead, where a test waits for that: soon, though not because the machine
#: is busy for a moment.
LEASE = 4.0
SECRET = "a-long-secret-of-the-queue"
#: In the task, and nowhere else.
PASSWORD = "pr0xy-passw0rd-canary"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    # A Redis that is killed has lost two seconds otherwise where the disk is busy.
    with redis_server(folder, "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


class Fleet:
    """Nodes, each with a client."""

    def __init__(self, tmp: Path, redis: RedisServer, stack: AsyncExitStack) -> None:
        self._tmp = tmp
        self._redis = redis
        self._stack = stack

    async def node(
        self, name: str, *flags: str, lease: float | None = None
    ) -> tuple[Service, Client]:
        own = ("--node", name, "--queue-url", self._redis.url, "--queue-secret", SECRET, *flags)
        running = run_fake_service(self._tmp / name, *own, lease=lease)
        service = await asyncio.to_thread(self._stack.enter_context, running)
        return service, await self._stack.enter_async_context(client_of(service))


@pytest.fixture
async def fleet(tmp_path: Path, redis: RedisServer) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        yield Fleet(tmp_path, redis, stack)


async def test_any_node_answers_for_any_task_and_its_end(fleet: Fleet) -> None:
    (_, api), (solver, _) = await asyncio.gather(
        fleet.node("api", "--workers", "0"), fleet.node("solver", "--workers", "1")
    )
    # Each is there as soon as it has said so, which its own health need not wait for.
    both = [("api", 0), ("solver", 1)]
    async with asyncio.timeout(20):
        while True:
            status, health = await api.health()
            if [(n["name"], n["workers"]) for n in health.get("nodes", ())] == both:
                break
            await asyncio.sleep(0.02)
    assert status == 200
    done = await api.solve(**PAGE)
    assert done["status"] == "completed"
    lasting = await api.submit(**LASTING, timeout=60)
    await api.until_running(lasting)
    # The two seconds that it takes at most, and as many for a busy machine to say so.
    async with asyncio.timeout(4):
        assert (await api.delete(lasting))[0] == 200
    assert (await api.result(lasting))["status"] == "not_found"
    assert (await api.solve(**PAGE))["status"] == "completed"
    assert opened(solver).count(URL) >= 2  # the one that was cancelled may not have got that far


async def test_killed_node_costs_its_tasks_a_second_start_and_its_sessions_one_answer(
    fleet: Fleet,
) -> None:
    dying, first = await fleet.node("dying", "--workers", "2", lease=LEASE)
    assert (await first.solve(**PAGE, session="s"))["status"] == "completed"
    living, second = await fleet.node("living", "--workers", "2", lease=LEASE)
    # Two for each of them.
    tasks = [await first.submit(**LASTING, timeout=6) for _ in range(4)]
    for task in tasks:
        await first.until_running(task)
    dying.process.kill()
    for task in tasks:
        view = await second.finished(task)
        assert view["data"]["timeout_reached"] is True
    assert opened(living).count(URL) == 4
    lost = await second.solve(**PAGE, session="s")
    assert lost["error"]["code"] == "session_lost"
    assert (await second.solve(**PAGE, session="s"))["status"] == "completed"
    assert [node["name"] for node in (await second.health())[1]["nodes"]] == ["living"]


async def test_session_is_used_listed_and_ended_from_any_node(fleet: Fleet) -> None:
    (_, api), (solver, _), (other, _) = await asyncio.gather(
        fleet.node("api", "--workers", "0"),
        fleet.node("solver", "--workers", "1"),
        fleet.node("other", "--workers", "1"),
    )
    for _ in range(4):
        assert (await api.solve(**PAGE, session="s"))["status"] == "completed"
    assert sorted(opened(node).count(URL) for node in (solver, other)) == [0, 4]
    assert await sessions(api.url) == ["s"]
    assert await deleted(f"{api.url}/sessions/s") is True
    assert await sessions(api.url) == []
    assert await deleted(f"{api.url}/sessions/s") is False


async def test_redis_may_restart_and_be_away_and_nothing_is_lost(
    fleet: Fleet, redis: RedisServer
) -> None:
    _, client = await fleet.node("one", "--workers", "1", lease=LEASE)
    running = await client.submit(**LASTING, timeout=5)
    pending = await client.submit(**PAGE)
    done = await client.submit(**PAGE | {"url": "http://fake.test/other"})
    await client.until_running(running)
    redis.kill()
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{client.url}/result/{pending}") as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "5"
            assert (await answer.json())["error"]["code"] == "queue_unavailable"
        async with session.get(f"{client.url}/health") as answer:
            assert answer.status == 503
        async with session.get(f"{client.url}/live") as answer:
            assert answer.status == 200
    await asyncio.sleep(1.25 * LEASE)
    await asyncio.to_thread(redis.start)
    views = [await client.finished(task) for task in (running, pending, done)]
    assert [view["status"] for view in views] == ["completed"] * 3
    assert views[0]["data"]["timeout_reached"] is True


async def test_nothing_in_redis_can_be_read_without_the_secret(
    fleet: Fleet, redis: RedisServer, tmp_path: Path
) -> None:
    service, client = await fleet.node("one", "--workers", "1")
    proxy = {"server": "http://proxy.test:1", "username": "u", "password": PASSWORD}
    await client.solve(**PAGE | {"proxy": proxy, "timeout": 3})
    await client.solve(**PAGE)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "redis").rglob("*.aof"))
    assert b"captcha-bypass:task:" in stored
    for text in (PASSWORD, URL, "fake page", SECRET):
        assert text.encode() not in stored
    log = (service.tmp / "log").read_text()
    assert PASSWORD not in log
    assert SECRET not in log


async def test_service_without_its_redis_ends_with_3_and_no_password(tmp_path: Path) -> None:
    url = "redis://:redis-passw0rd@127.0.0.1:1/0"
    flags = ("--browser", "firefox", "--port", "0", "--queue-url", url, "--start-timeout", "0.5")
    found = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "captcha_bypass", *flags],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": PATH, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
    )
    assert found.returncode == 3
    assert "redis://127.0.0.1:1/0 did not answer within 0.5 s" in found.stderr
    assert "redis-passw0rd" not in found.stdout + found.stderr


async def test_a_redis_that_evicts_is_told_of_loudly(fleet: Fleet, redis: RedisServer) -> None:
    options = ("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru")
    for name, value in options:
        command = ["redis-cli", "-u", redis.url, "config", "set", name, value]
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    service, _ = await fleet.node("one", "--workers", "0")
    log = service.tmp / "log"
    assert await eventually(lambda: "LOSES TASKS" in log.read_text(), 30)


async def sessions(url: str) -> list[str]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/sessions") as answer:
        found: list[str] = (await answer.json())["sessions"]
        return found


async def deleted(url: str) -> bool:
    async with aiohttp.ClientSession() as session, session.delete(url) as answer:
        found: bool = json.loads(await answer.text())["success"]
        return found
