"""Fixtures: a queue of each implementation, and handlers that do as they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from captcha_bypass.tasks.base import TaskQueue
from captcha_bypass.tasks.fleet.queue import FleetQueue
from tests.captcha_bypass.tasks.implementations import IMPLEMENTATIONS, Implementation, MakeQueue
from tests.support.memory_queue import ClockLoop
from tests.support.redis_server import RedisServer, connected, redis_server
from tests.support.scripted_queue import Script


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    async with connected(server) as redis:
        yield redis


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def implementation(request: pytest.FixtureRequest) -> Implementation:
    return IMPLEMENTATIONS[request.param]


@pytest.fixture
async def make_queue(implementation: Implementation, redis: Redis) -> AsyncIterator[MakeQueue]:
    queues: list[TaskQueue] = []

    def make(*, max_pending: int = 1000, result_ttl: float = 60.0) -> TaskQueue:
        queues.append(implementation.make(max_pending, result_ttl, redis))
        return queues[-1]

    yield make
    for queue in queues:
        await queue.stop(0)
        if isinstance(queue, FleetQueue):
            await queue.close()


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def loop() -> Iterator[ClockLoop]:
    loop = ClockLoop()
    yield loop
    loop.close()
