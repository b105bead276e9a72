"""Fixtures: several nodes of one fleet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Protocol
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from captcha_bypass.tasks.fleet.queue import FleetQueue
from captcha_bypass.tasks.fleet.seal import Seal
from captcha_bypass.tasks.fleet.store import Store
from tests.captcha_bypass.tasks.implementations import fleet_queue
from tests.support.redis_server import RedisServer, connected


def store_of(redis: Redis, prefix: str, ttl: float = 60.0) -> Store:
    """What the nodes share that have that prefix."""
    return Store(redis, prefix, result_ttl=ttl, max_results_bytes=2**28, home_ttl=60.0, seal=Seal())


async def all_hear(*nodes: FleetQueue) -> None:
    """Wait until nodes that were started hear what others say.

    What was said before is not lost, but found out only where they look by themselves, seconds later.
    """
    store = nodes[0]._store
    async with asyncio.timeout(10):
        # Redis tells nobody that somebody listens.
        while (await store._redis.pubsub_numsub(f"{store._prefix}events"))[0][1] < len(nodes):  # noqa: ASYNC110
            await asyncio.sleep(0.002)


class MakeNode(Protocol):
    async def __call__(self, name: str = "one", *, ttl: float = 60.0) -> FleetQueue: ...


@pytest.fixture
async def make_node(server: RedisServer) -> AsyncIterator[MakeNode]:
    """Nodes of one fleet, each with a connection of its own."""
    prefix = f"test:{uuid4().hex}:"
    async with AsyncExitStack() as stack:

        async def make(name: str = "one", *, ttl: float = 60.0) -> FleetQueue:
            redis = await stack.enter_async_context(connected(server))
            queue = fleet_queue(redis, ttl=ttl, prefix=prefix, name=name)
            stack.push_async_callback(queue.close)
            return queue

        yield make
