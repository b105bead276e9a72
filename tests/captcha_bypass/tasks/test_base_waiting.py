"""Removing tasks and waiting for them, in every TaskQueue."""

from __future__ import annotations

import asyncio

import pytest

from captcha_bypass.tasks.base import JsonDict, Record, State, Stats
from tests.captcha_bypass.tasks.implementations import MakeQueue
from tests.support.scripted_queue import FOR_EVER, Script, at_once, ended, until

# Removing


async def test_removed_pending_task_never_runs_and_the_others_keep_their_order(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    for task_id in "abcd":
        await queue.submit(task_id, {}, 5)
    await until(lambda: script.started == ["a"])
    assert await queue.remove("c") is True
    assert await queue.get("c") is None
    assert await queue.remove("c") is False
    assert (await queue.stats()).queued == 2
    for task_id in "abd":
        await until(lambda task_id=task_id: task_id in script.running)  # type: ignore[misc]
        script.end(task_id)
    await ended(queue, "d")
    assert script.started == ["a", "b", "d"]


async def test_removed_running_task_is_cancelled_and_its_slot_is_free_again(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await queue.submit("a", {}, 5)
    await queue.submit("b", {}, 5)
    await until(lambda: script.started == ["a"])
    assert await queue.remove("a") is True
    assert script.cancelled == ["a"]
    assert await queue.get("a") is None
    await until(lambda: script.running == {"b"})
    script.end("b")
    assert (await ended(queue, "b")).state is State.COMPLETED
    assert await queue.get("a") is None
    assert await queue.stats() == Stats(queued=0, running=0, slots=1)


async def test_removed_task_stays_unknown_although_its_handler_returns_an_outcome(
    make_queue: MakeQueue,
) -> None:
    queue = make_queue()
    begun = asyncio.Event()

    async def stubborn(task_id: str, payload: JsonDict) -> JsonDict:
        begun.set()
        try:
            await asyncio.sleep(FOR_EVER)
        except asyncio.CancelledError:
            return {"data": {"too": "late"}}
        raise AssertionError

    await queue.start(stubborn, 1)
    await queue.submit("a", {}, 5)
    await begun.wait()
    assert await queue.remove("a") is True
    assert await queue.get("a") is None
    assert (await queue.stats()).running == 0


async def test_task_removed_before_its_first_step_leaks_no_slot(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 2)
    for n in range(20):
        await queue.submit(f"gone{n}", {}, 5)
        assert await queue.remove(f"gone{n}") is True
    assert await queue.stats() == Stats(queued=0, running=0, slots=2)
    for task_id in "ab":
        await queue.submit(task_id, {}, 5)
    await until(lambda: script.running == {"a", "b"})


async def test_two_removals_at_once_succeed_only_once(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await queue.submit("a", {}, 5)
    await until(lambda: script.started == ["a"])
    answers = await asyncio.gather(*(queue.remove("a") for _ in range(5)))
    assert sorted(answers) == [False, False, False, False, True]


async def test_removed_result_is_unknown(make_queue: MakeQueue) -> None:
    queue = make_queue()
    await queue.start(at_once, 1)
    await queue.submit("a", {}, 5)
    await ended(queue, "a")
    assert await queue.remove("a") is True
    assert await queue.get("a") is None
    assert await queue.remove("a") is False


# Waiting


async def test_wait_returns_as_soon_as_the_task_ends(make_queue: MakeQueue, script: Script) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await queue.submit("a", {}, 5)
    waiting = asyncio.create_task(queue.wait("a", FOR_EVER))
    await until(lambda: script.started == ["a"])
    assert not waiting.done()
    script.end("a", {"data": {"n": 1}})
    async with asyncio.timeout(10):
        assert await waiting == Record("a", State.COMPLETED, data={"n": 1})


async def test_wait_returns_none_as_soon_as_the_task_is_removed(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    for task_id in "ab":  # one running, one pending
        await queue.submit(task_id, {}, 5)
    await until(lambda: script.started == ["a"])
    waiting = [asyncio.create_task(queue.wait(task_id, FOR_EVER)) for task_id in "ab"]
    await asyncio.sleep(0.01)
    for task_id in "ba":
        await queue.remove(task_id)
    async with asyncio.timeout(10):
        assert await asyncio.gather(*waiting) == [None, None]


async def test_wait_returns_the_state_of_now_when_its_time_is_up(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await queue.submit("a", {}, 5)
    await queue.submit("b", {}, 5)
    await until(lambda: script.started == ["a"])
    assert await queue.wait("a", 0.02) == Record("a", State.RUNNING)
    assert await queue.wait("b", 0) == Record("b", State.PENDING)


async def test_wait_for_an_ended_task_returns_at_once(make_queue: MakeQueue) -> None:
    queue = make_queue()
    await queue.start(at_once, 1)
    await queue.submit("a", {}, 5)
    await ended(queue, "a")
    async with asyncio.timeout(10):
        assert await queue.wait("a", FOR_EVER) == await queue.get("a")


async def test_many_waiters_of_one_task_all_get_its_result(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await queue.submit("a", {}, 5)
    waiting = [asyncio.create_task(queue.wait("a", FOR_EVER)) for _ in range(100)]
    await until(lambda: script.started == ["a"])
    script.end("a", {"data": {"n": 1}})
    async with asyncio.timeout(10):
        records = await asyncio.gather(*waiting)
    assert records == [Record("a", State.COMPLETED, data={"n": 1})] * 100


async def test_waiter_that_goes_away_disturbs_neither_task_nor_other_waiters(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await queue.submit("a", {}, 5)
    leaving, staying = (asyncio.create_task(queue.wait("a", FOR_EVER)) for _ in range(2))
    await until(lambda: script.started == ["a"])
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert script.running == {"a"}
    script.end("a")
    async with asyncio.timeout(10):
        record = await staying
    assert record is not None
    assert record.state is State.COMPLETED
