"""What the janitor measures; which browsers it replaces for it is told by tests of the pool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from captcha_bypass.browsers.janitor import Janitor
from tests.support.scripted_queue import until


class Browser:
    """One that counts how often it was weighed."""

    has_started = accepts_tasks = is_running = True

    def __init__(self, size: int, uses: int = 0) -> None:
        self.occupants = SimpleNamespace(
            uses=uses, tasks=0, sessions=0, tasks_left=9, idle_seconds=0.0
        )
        self.size = size
        self.weighed = 0
        self.causes: list[str] = []

    def check(self) -> None:
        """It is there."""

    async def weigh(self) -> int:
        self.weighed += 1
        return self.size

    def retire(self, cause: str) -> None:
        self.causes.append(cause)


@pytest.fixture
async def browsers() -> AsyncIterator[list[Browser]]:
    """Browsers that a janitor looks after, some hundred times a second."""
    found: list[Browser] = []
    fleet: Any = SimpleNamespace(browsers=found, update=lambda: None)
    with (
        patch("captcha_bypass.browsers.janitor.TEND_EVERY", 0.005),
        patch("captcha_bypass.browsers.janitor.WEIGH_EVERY", 0.0),
    ):
        keeping = asyncio.create_task(Janitor(fleet, max_browser_bytes=1000).keep())
        yield found
        keeping.cancel()
        await asyncio.wait({keeping})


async def test_each_browser_is_weighed_once_it_runs_and_again_only_when_it_was_used(
    browsers: list[Browser],
) -> None:
    idle, used = Browser(10), Browser(20)
    browsers += [idle, used]
    await until(lambda: (idle.weighed, used.weighed) == (1, 1))
    used.occupants.uses += 1
    await until(lambda: used.weighed == 2)
    assert idle.weighed == 1
    assert idle.causes == used.causes == []


async def test_browser_that_is_too_large_before_its_first_task_is_not_replaced_for_ever(
    browsers: list[Browser],
) -> None:
    unused, used = Browser(2000), Browser(2000, uses=1)
    browsers += [unused, used]
    await until(lambda: used.causes == ["memory"])
    assert (unused.weighed, unused.causes) == (1, [])
