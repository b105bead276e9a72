"""Fixtures: the API over a script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.flaresolverr.scripted import Make, Scripted
from tests.flaresolverr.serving import FakeSessions, serving
from tests.test_queue_contract import Script


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        async def made(**settings: Any) -> Scripted:  # noqa: ANN401
            script = Script()
            v1 = await stack.enter_async_context(serving(script, FakeSessions(), **settings))
            return Scripted(v1, script)

        yield made


@pytest.fixture
async def scripted(make: Make) -> Scripted:
    return await make()
