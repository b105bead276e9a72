"""Fixtures: the API with its dashboard over a real server and a real queue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.dashboard_service import Dashboard, MakeDashboard, serving


@pytest.fixture
async def make_dashboard() -> AsyncIterator[MakeDashboard]:
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> Dashboard:  # noqa: ANN401
            return await stack.enter_async_context(serving(**settings))

        yield make


@pytest.fixture
async def dashboard(make_dashboard: MakeDashboard) -> Dashboard:
    return await make_dashboard()
