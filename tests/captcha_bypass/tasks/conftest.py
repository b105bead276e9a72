"""Fixtures: a queue of each implementation, and handlers that do as they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from captcha_bypass.tasks.base import TaskQueue
from tests.captcha_bypass.tasks.implementations import IMPLEMENTATIONS, Implementation, MakeQueue
from tests.support.scripted_queue import Script


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def implementation(request: pytest.FixtureRequest) -> Implementation:
    return IMPLEMENTATIONS[request.param]


@pytest.fixture
async def make_queue(implementation: Implementation) -> AsyncIterator[MakeQueue]:
    queues: list[TaskQueue] = []

    def make(*, max_pending: int = 1000, result_ttl: float = 60.0) -> TaskQueue:
        queues.append(implementation.make(max_pending, result_ttl))
        return queues[-1]

    yield make
    for queue in queues:
        await queue.stop(0)


@pytest.fixture
def script() -> Script:
    return Script()
