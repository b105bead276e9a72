"""Fixtures: a queue that shares, over a handler that does as it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.captcha_bypass.sharing.sharing import Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    await made.queue.start(made.script, 4)
    yield made
    await made.queue.stop(0)
