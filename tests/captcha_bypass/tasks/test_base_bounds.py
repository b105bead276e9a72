"""Bounds, handlers that break their promise, and the end, in every TaskQueue."""

from __future__ import annotations

import asyncio
import logging

import pytest

from captcha_bypass.errors import QueueFull, ShuttingDown
from captcha_bypass.tasks.base import Handler, JsonDict, Record, State
from tests.captcha_bypass.tasks.implementations import Implementation, MakeQueue, code, known
from tests.support.scripted_queue import FOR_EVER, Script, at_once, ended, until

# Bounds


async def test_queue_is_full_at_exactly_its_bound_and_recovers(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue(max_pending=3)
    await queue.start(script, 1)
    await queue.submit("running", {}, 5)
    await until(lambda: script.started == ["running"])
    for n in range(3):
        await queue.submit(f"t{n}", {}, 5)
    for _ in range(2):
        with pytest.raises(QueueFull):
            await queue.submit("over", {}, 5)
    assert await queue.get("over") is None
    assert (await queue.stats()).queued == 3

    await queue.remove("t1")
    await queue.submit("t3", {}, 5)
    with pytest.raises(QueueFull):
        await queue.submit("over", {}, 5)

    script.end("running")
    await until(lambda: script.started[-1] == "t0")
    await queue.submit("t4", {}, 5)
    assert (await queue.stats()).queued == 3
    assert script.started == ["running", "t0"]


async def test_result_expires_after_its_time_and_a_running_task_does_not(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue(result_ttl=0.05)
    await queue.start(script, 1)
    for task_id in "abc":
        await queue.submit(task_id, {}, 5)
    await until(lambda: script.started == ["a"])
    script.end("a")
    await until(lambda: script.started == ["a", "b"])
    deadline = asyncio.get_running_loop().time() + 10
    while await queue.get("a") is not None:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert await queue.get("b") == Record("b", State.RUNNING)
    assert await queue.get("c") == Record("c", State.PENDING)
    assert await queue.remove("a") is False
    assert await queue.wait("a", FOR_EVER) is None


# Handlers that break their promise


async def test_handler_that_raises_is_an_internal_error_and_its_slot_lives(
    make_queue: MakeQueue, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    for task_id in "ab":
        await queue.submit(task_id, {}, 5)
    await until(lambda: script.started == ["a"])
    with caplog.at_level(logging.ERROR):
        script.end("a", ValueError("inner workings"))
        record = await ended(queue, "a")
    assert record.state is State.ERROR
    assert code(record) == "internal_error"
    assert "inner workings" not in str(record.error)
    assert "inner workings" in caplog.text, "the log is where the reason belongs"
    await until(lambda: script.running == {"b"})
    script.end("b")
    assert (await ended(queue, "b")).state is State.COMPLETED


async def test_handler_that_cancels_itself_is_an_internal_error_and_its_slot_lives(
    make_queue: MakeQueue,
) -> None:
    async def handler(task_id: str, payload: JsonDict) -> JsonDict:
        if task_id == "a":
            raise asyncio.CancelledError
        return {"data": {}}

    queue = make_queue()
    await queue.start(handler, 1)
    for task_id in "ab":
        await queue.submit(task_id, {}, 5)
    assert code(await ended(queue, "a")) == "internal_error"
    assert (await ended(queue, "b")).state is State.COMPLETED


async def test_handler_that_never_ends_is_cut_off_as_an_internal_error(
    make_queue: MakeQueue,
    implementation: Implementation,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(implementation.backstop, 0.02)
    queue = make_queue()
    await queue.start(script, 1)
    await queue.submit("a", {}, 0.01)
    await queue.submit("b", {}, 60)
    assert code(await ended(queue, "a")) == "internal_error"
    assert script.cancelled == ["a"]
    await until(lambda: script.running == {"b"})
    script.end("b")
    assert (await ended(queue, "b")).state is State.COMPLETED


# Stopping


async def test_stop_lets_running_tasks_end_and_no_pending_one_begin(
    make_queue: MakeQueue, implementation: Implementation, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    for task_id in "abc":
        await queue.submit(task_id, {}, 5)
    await until(lambda: script.started == ["a"])
    waiting = asyncio.create_task(queue.wait("c", FOR_EVER))
    stopping = asyncio.create_task(queue.stop(FOR_EVER))
    await until(lambda: queue.stopping)
    if not implementation.hands_over:
        async with asyncio.timeout(10):
            assert await waiting == await queue.get("c")
    for task_id in "bc":
        assert implementation.is_left(await known(queue, task_id))
    waiting.cancel()
    assert await queue.get("a") == Record("a", State.RUNNING)
    assert not stopping.done()
    script.end("a", {"data": {"in": "time"}})
    async with asyncio.timeout(10):
        await stopping
    assert script.started == ["a"]
    assert await queue.get("a") == Record("a", State.COMPLETED, data={"in": "time"})


async def test_running_tasks_are_cancelled_when_the_grace_of_a_stop_is_over(
    make_queue: MakeQueue, implementation: Implementation, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 2)
    for task_id in "ab":
        await queue.submit(task_id, {}, 5)
    await until(lambda: script.running == {"a", "b"})
    async with asyncio.timeout(10):
        await queue.stop(0.02)
    assert sorted(script.cancelled) == ["a", "b"]
    for task_id in "ab":
        assert implementation.is_left(await known(queue, task_id))
    assert (await queue.stats()).running == 0


async def test_stop_without_grace_also_ends_tasks_that_have_not_made_a_step(
    make_queue: MakeQueue, implementation: Implementation, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await queue.submit("a", {}, 5)
    await queue.stop(0)
    assert implementation.is_left(await known(queue, "a"))


async def test_second_stop_may_cut_the_grace_of_the_first_short(
    make_queue: MakeQueue, implementation: Implementation, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await queue.submit("a", {}, 5)
    await until(lambda: script.started == ["a"])
    patient = asyncio.create_task(queue.stop(FOR_EVER))
    await asyncio.sleep(0.01)
    async with asyncio.timeout(10):
        await queue.stop(0)
        await patient
    assert implementation.is_left(await known(queue, "a"))


async def test_stopped_queue_takes_no_task_but_still_gives_and_deletes_results(
    make_queue: MakeQueue,
) -> None:
    queue = make_queue()
    await queue.start(at_once, 1)
    await queue.submit("a", {"n": 1}, 5)
    record = await ended(queue, "a")
    assert not queue.stopping
    await queue.stop(0)
    assert queue.stopping
    with pytest.raises(ShuttingDown):
        await queue.submit("b", {}, 5)
    assert await queue.get("b") is None
    assert await queue.get("a") == record
    assert await queue.remove("a") is True
    assert await queue.get("a") is None


async def test_queue_that_is_stopping_already_refuses_tasks(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await queue.submit("a", {}, 5)
    await until(lambda: script.started == ["a"])
    stopping = asyncio.create_task(queue.stop(FOR_EVER))
    await asyncio.sleep(0.01)
    assert queue.stopping
    with pytest.raises(ShuttingDown):
        await queue.submit("b", {}, 5)
    script.end("a")
    async with asyncio.timeout(10):
        await stopping


def test_a_handler_is_any_async_callable_of_id_and_payload() -> None:
    handlers: list[Handler] = [at_once, Script()]  # for mypy
    assert all(callable(handler) for handler in handlers)
