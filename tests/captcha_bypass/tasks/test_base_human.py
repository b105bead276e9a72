"""Tasks that leave their slot because a person must do something, in every TaskQueue."""

from __future__ import annotations

import asyncio

import pytest

from captcha_bypass.tasks.base import Record, State, Stats, TaskQueue
from tests.captcha_bypass.tasks.implementations import Implementation, MakeQueue, code, known
from tests.support.scripted_queue import FOR_EVER, Script, ended, until

LINK = "http://solver.test/dashboard#/task/a"


async def running(queue: TaskQueue, script: Script, task_id: str) -> None:
    await queue.submit(task_id, {}, 5)
    await until(lambda: task_id in script.running)


async def test_a_task_that_waits_for_a_person_gives_its_slot_to_the_next(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await running(queue, script, "a")
    await queue.submit("b", {}, 5)
    assert await queue.leave_slot("a", 60, LINK) is True
    await until(lambda: script.running == {"a", "b"})
    assert (await known(queue, "a")).state is State.WAITING_FOR_HUMAN
    assert not (await known(queue, "a")).finished
    assert (await known(queue, "a")).link == LINK
    assert await queue.stats() == Stats(queued=0, running=1, slots=1, waiting_for_human=1)
    await queue.submit("c", {}, 5)
    script.end("a")  # whose slot is not given a second time
    assert await ended(queue, "a") == Record("a", State.COMPLETED, data={})
    assert script.running == {"b"}
    assert await queue.stats() == Stats(queued=1, running=1, slots=1)


async def test_its_groups_stay_held(make_queue: MakeQueue, script: Script) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    for task_id in "ab":
        await queue.submit(task_id, {}, 5, {"host": 1})
    await queue.submit("c", {}, 5)
    await until(lambda: script.running == {"a"})
    await queue.leave_slot("a", 60, LINK)
    await until(lambda: script.running == {"a", "c"})
    script.end("c")
    await ended(queue, "c")
    assert script.running == {"a"}
    script.end("a")
    await until(lambda: script.running == {"b"})


async def test_only_a_running_task_leaves_its_slot_and_only_once(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await running(queue, script, "a")
    await queue.submit("b", {}, 5)
    assert await queue.leave_slot("b", 60, LINK) is False
    assert await queue.leave_slot("unknown", 60, LINK) is False
    assert await queue.leave_slot("a", 60, LINK) is True
    assert await queue.leave_slot("a", 60, LINK) is False
    script.end("a")
    await ended(queue, "a")
    assert await queue.leave_slot("a", 60, LINK) is False
    assert (await queue.stats()).waiting_for_human == 0


async def test_a_request_that_waits_for_the_result_goes_on_waiting(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await running(queue, script, "a")
    waiting = asyncio.create_task(queue.wait("a", FOR_EVER))
    await queue.leave_slot("a", 60, LINK)
    await asyncio.sleep(0)
    assert not waiting.done()
    script.end("a")
    record = await waiting
    assert record is not None
    assert record.state is State.COMPLETED


async def test_one_that_is_removed_is_cancelled(make_queue: MakeQueue, script: Script) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await running(queue, script, "a")
    await queue.leave_slot("a", 60, LINK)
    assert await queue.remove("a") is True
    assert script.cancelled == ["a"]
    assert await queue.get("a") is None
    assert await queue.stats() == Stats(queued=0, running=0, slots=1)


async def test_stop_gives_it_the_grace_that_running_tasks_have(
    make_queue: MakeQueue, implementation: Implementation, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    for task_id in "ab":
        await running(queue, script, task_id)
        await queue.leave_slot(task_id, 60, LINK)
    stopping = asyncio.create_task(queue.stop(FOR_EVER))
    await until(lambda: queue.stopping)
    script.end("a")
    assert (await ended(queue, "a")).state is State.COMPLETED
    assert not stopping.done()
    await queue.stop(0)  # the grace is over
    await stopping
    assert implementation.is_left(await known(queue, "b"))


async def test_it_may_last_longer_than_its_timeout_but_not_for_ever(
    implementation: Implementation,
    make_queue: MakeQueue,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What a busy machine has to have it leave its slot in.
    monkeypatch.setattr(implementation.backstop, 10.0)
    queue = make_queue()
    await queue.start(script, 2)
    clock = asyncio.get_running_loop().time
    await queue.submit("a", {}, 0.01)
    await until(lambda: script.running == {"a"})
    before = clock()
    monkeypatch.setattr(implementation.backstop, 0.05)
    assert await queue.leave_slot("a", 1.2, LINK) is True
    await queue.submit("b", {}, 0.01)
    assert code(await ended(queue, "b")) == "internal_error"
    assert code(await ended(queue, "a")) == "internal_error"
    assert clock() - before >= 1.2
