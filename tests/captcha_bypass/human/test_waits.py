"""Pages that wait for a person: bounds, endings, and what is told of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from captcha_bypass.human.waits import NoRoom, Wait, Waits
from captcha_bypass.tasks.base import State
from captcha_bypass.tasks.memory import MemoryQueue
from tests.support.scripted_queue import Script, until

PAGE: Any = object()


@pytest.fixture
async def queue() -> AsyncIterator[MemoryQueue]:
    """A queue with one slot, which the task a has."""
    queue = MemoryQueue(max_pending=10, result_ttl=60, max_results_bytes=2**20)
    script = Script()
    await queue.start(script, 1)
    await queue.submit("a", {}, 5)
    await until(lambda: script.started == ["a"])
    yield queue
    await queue.stop(0)


class Ends:
    def __init__(self, queue: MemoryQueue, most: int = 2) -> None:
        self.told: list[str] = []
        self.waits = Waits(
            queue, most=most, seconds=60, link_base="http://solver.test", report=self.told.append
        )

    def open(self, task_id: str = "a") -> AbstractAsyncContextManager[Wait]:
        return self.waits.open(task_id, "key 0", "site.test", "datadome", PAGE)


async def test_a_task_that_waits_is_found_has_left_its_slot_and_is_told_of(
    queue: MemoryQueue, caplog: pytest.LogCaptureFixture
) -> None:
    ends, announced = Ends(queue), list[Wait]()
    ends.waits.announce = announced.append
    with caplog.at_level(logging.INFO, "captcha_bypass"):
        async with ends.open() as wait:
            assert ends.waits.get("a") is wait
            assert ends.waits.count == 1
            assert announced == [wait]
            record = await queue.get("a")
            assert record is not None
            assert record.state is State.WAITING_FOR_HUMAN
            assert wait.until - wait.since == pytest.approx(60)
            wait.end("solved")
    assert ends.waits.get("a") is None
    assert ends.told == ["solved"]
    begun, over = (vars(record) for record in caplog.records)
    assert begun["link"] == "http://solver.test/dashboard#/task/a"
    assert (over["task_id"], over["outcome"], over["vendor"]) == ("a", "solved", "datadome")


async def test_as_many_wait_as_may(queue: MemoryQueue) -> None:
    ends = Ends(queue, most=1)
    async with ends.open("a"):
        with pytest.raises(NoRoom):
            async with ends.open("b"):
                raise AssertionError
        assert ends.waits.count == 1
    async with ends.open("b"):
        assert ends.waits.count == 1


async def test_whoever_gives_up_is_in_the_log_once(
    queue: MemoryQueue, caplog: pytest.LogCaptureFixture
) -> None:
    ends = Ends(queue)
    with caplog.at_level(logging.INFO, "captcha_bypass"):
        async with ends.open() as wait:
            wait.leave("127.0.0.1")
            wait.leave("127.0.0.1")
            assert wait.ended.is_set()
    assert ends.told == ["left"]
    lines = [r for r in caplog.records if r.getMessage() == "person gives up"]
    assert [vars(line)["client"] for line in lines] == ["127.0.0.1"]


async def test_what_is_said_first_of_its_end_counts_and_is_told_to_all_who_asked(
    queue: MemoryQueue,
) -> None:
    ends, heard = Ends(queue), list[str | None]()
    async with ends.open() as wait:
        wait.on_end(lambda ended: heard.append(ended.ending))
        wait.end("timeout")
        wait.end("solved")
        wait.on_end(lambda ended: heard.append(ended.ending))
    assert heard == ["timeout", "timeout"]
    assert ends.told == ["timeout"]


async def test_a_task_that_is_cancelled_or_fails_ends_its_wait(queue: MemoryQueue) -> None:
    ends = Ends(queue)
    for error in (asyncio.CancelledError(), RuntimeError()):
        with pytest.raises(type(error)):
            async with ends.open():
                raise error
    assert ends.told == ["cancelled", "failed"]
    assert ends.waits.count == 0
