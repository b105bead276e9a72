"""A service without a browser, and both clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.clients import Caller, ScriptedFetches, calling
from tests.support.flaresolverr_service import V1, FakeSessions, serving
from tests.support.scripted_queue import Script


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def fetches() -> ScriptedFetches:
    return ScriptedFetches()


@pytest.fixture
async def service(script: Script, fetches: ScriptedFetches) -> AsyncIterator[V1]:
    async with serving(script, FakeSessions(), fetches) as running:
        yield running


@pytest.fixture(params=["sync", "async"])
async def caller(request: pytest.FixtureRequest, service: V1) -> AsyncIterator[Caller]:
    async with calling(request.param, service.url) as running:
        yield running
