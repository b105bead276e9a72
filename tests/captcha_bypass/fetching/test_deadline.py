"""A deadline that moves on while it is held: with a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from captcha_bypass.fetching.deadline import Deadline
from tests.support.virtual_time import VirtualLoop

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def run() -> Iterator[Run]:
    loop = VirtualLoop()
    yield loop.run
    loop.shutdown()


async def past(deadline: Deadline) -> float:
    """Return when it ends what takes for ever."""
    with pytest.raises(TimeoutError):
        async with deadline.scope():
            await asyncio.sleep(10_000)
    return asyncio.get_running_loop().time()


def test_it_stands_where_it_began(run: Run) -> None:
    async def test() -> None:
        assert await past(Deadline(10)) == 10

    run(test())


def test_what_it_is_held_for_is_added(run: Run) -> None:
    async def test() -> None:
        deadline = Deadline(10)
        over = asyncio.create_task(past(deadline))
        for _ in range(2):
            await asyncio.sleep(4)
            deadline.hold()
            deadline.hold()  # by somebody else, too
            await asyncio.sleep(100)
            assert not over.done()
            deadline.release()
        assert deadline.at == 210
        assert await over == 210

    run(test())


def test_it_is_told_where_it_would_be_while_it_is_held(run: Run) -> None:
    async def test() -> None:
        deadline = Deadline(10)
        deadline.hold()
        await asyncio.sleep(5)
        assert deadline.at == 15
        deadline.release()
        deadline.release()
        assert deadline.at == 15

    run(test())
