"""States, order and groups of tasks, in every TaskQueue."""

from __future__ import annotations

import asyncio

import pytest

from captcha_bypass.errors import QueueFull
from captcha_bypass.tasks.base import JsonDict, Record, State, Stats, TaskQueue
from tests.captcha_bypass.tasks.implementations import Implementation, MakeQueue, known
from tests.support.scripted_queue import FOR_EVER, Script, at_once, ended, until

# States and order


async def test_task_goes_from_pending_over_running_to_completed(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.submit("a", {"n": 1}, 5)
    assert await known(queue, "a") == Record("a", State.PENDING)
    await queue.start(script, 1)
    await until(lambda: script.started == ["a"])
    assert await known(queue, "a") == Record("a", State.RUNNING)
    assert script.payloads["a"] == {"n": 1}
    script.end("a", {"data": {"answer": 42}})
    assert await ended(queue, "a") == Record("a", State.COMPLETED, data={"answer": 42})


async def test_error_outcome_is_a_record_in_state_error(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await queue.submit("a", {}, 5)
    await until(lambda: script.started == ["a"])
    error = {"code": "dns_error", "message": "no such host"}
    script.end("a", {"error": error})
    assert await ended(queue, "a") == Record("a", State.ERROR, error=error)


async def test_result_that_is_put_there_is_read_and_removed_like_any(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await queue.put("a", {"data": {"answer": 42}}, owner="me")
    expected = Record("a", State.COMPLETED, data={"answer": 42}, owner="me")
    assert await known(queue, "a") == await ended(queue, "a") == expected
    assert await queue.stats() == Stats(queued=0, running=0, slots=1)
    assert script.started == []
    assert await queue.remove("a")
    assert await queue.get("a") is None


async def test_one_slot_runs_tasks_strictly_in_the_order_they_came(make_queue: MakeQueue) -> None:
    queue = make_queue()
    order: list[str] = []

    async def handler(task_id: str, payload: JsonDict) -> JsonDict:
        order.append(f"start {task_id}")
        # Later tasks would be quicker: only the queue can keep the order.
        for _ in range(50 - payload["n"]):
            await asyncio.sleep(0)
        order.append(f"end {task_id}")
        return {"data": {}}

    await queue.start(handler, 1)
    for n in range(50):
        await queue.submit(f"t{n}", {"n": n}, 5)
    await ended(queue, "t49")
    assert order == [f"{what} t{n}" for n in range(50) for what in ("start", "end")]


async def test_slots_bound_how_many_run_at_once_and_are_all_used(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 3)
    for n in range(10):
        await queue.submit(f"t{n}", {}, 5)
    for n in range(10):
        # Ending one lets exactly the next in line start.
        await until(lambda n=n: len(script.started) == min(10, n + 3))  # type: ignore[misc]
        stats = await queue.stats()
        assert stats == Stats(queued=10 - len(script.started), running=min(3, 10 - n), slots=3)
        script.end(f"t{n}")
        await ended(queue, f"t{n}")
    assert script.started == [f"t{n}" for n in range(10)]
    assert script.most == 3


async def test_tasks_submitted_before_the_start_run_after_it(make_queue: MakeQueue) -> None:
    queue = make_queue()
    for n in range(3):
        await queue.submit(f"t{n}", {}, 5)
    assert await queue.stats() == Stats(queued=3, running=0, slots=0)
    await queue.start(at_once, 1)
    for n in range(3):
        assert (await ended(queue, f"t{n}")).state is State.COMPLETED


async def test_queue_without_a_handler_takes_tasks_and_runs_none(make_queue: MakeQueue) -> None:
    queue = make_queue()
    await queue.start(None, 0)
    await queue.submit("a", {}, 5)
    record = await queue.wait("a", 0.02)
    assert record == Record("a", State.PENDING)
    assert await queue.stats() == Stats(queued=1, running=0, slots=0)


async def test_unknown_task_is_none_everywhere_and_not_waited_for(make_queue: MakeQueue) -> None:
    queue = make_queue()
    await queue.start(at_once, 1)
    assert await queue.get("nobody") is None
    async with asyncio.timeout(10):
        assert await queue.wait("nobody", FOR_EVER) is None
    assert await queue.remove("nobody") is False


async def submit_all(queue: TaskQueue, bound: int, *tasks: str) -> None:
    """Submit tasks whose group is their name without the digits at its end."""
    for task_id in tasks:
        await queue.submit(task_id, {}, 5, {task_id.rstrip("0123456789"): bound})


# Groups


async def test_group_at_its_bound_is_passed_over_and_keeps_its_order(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 4)
    await submit_all(queue, 2, "a1", "a2", "a3", "a4", "b1", "a5", "b2", "b3", "c1")
    await until(lambda: len(script.started) == 4)
    assert script.started == ["a1", "a2", "b1", "b2"]
    assert await known(queue, "a3") == Record("a3", State.PENDING)
    assert await queue.stats() == Stats(queued=5, running=4, slots=4)
    # A free place goes to the oldest that may run: of its own group, or of one below its bound.
    for ending, expected in [("b1", "b3"), ("a2", "a3"), ("b2", "c1"), ("a1", "a4"), ("a3", "a5")]:
        script.end(ending)
        await until(lambda expected=expected: expected in script.running)  # type: ignore[misc]
    assert script.started[4:] == ["b3", "a3", "c1", "a4", "a5"]


async def test_free_slots_stay_free_while_all_that_is_pending_is_of_a_full_group(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 3)
    await submit_all(queue, 1, "a1", "a2", "a3")
    await until(lambda: script.started == ["a1"])
    await asyncio.sleep(0.01)
    assert await queue.stats() == Stats(queued=2, running=1, slots=3)
    await submit_all(queue, 1, "b1")
    await until(lambda: script.running == {"a1", "b1"})
    for n in range(1, 4):
        await until(lambda n=n: f"a{n}" in script.running)  # type: ignore[misc]
        script.end(f"a{n}")
        await ended(queue, f"a{n}")
    assert script.started == ["a1", "b1", "a2", "a3"]


@pytest.mark.parametrize("how", ["ended", "failed", "raised", "was removed", "was cut off"])
async def test_place_in_a_group_is_free_again_once_its_task(
    make_queue: MakeQueue,
    implementation: Implementation,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    queue = make_queue()
    await queue.start(script, 2)
    if how == "was cut off":
        monkeypatch.setattr(implementation.backstop, 0.02)
    await queue.submit("a1", {}, 0.01 if how == "was cut off" else 5, {"a": 1})
    await submit_all(queue, 1, "a2")
    await until(lambda: script.started[:1] == ["a1"])  # one that is cut off may have ended already
    if how == "was removed":
        await queue.remove("a1")
    elif how != "was cut off":
        script.end("a1", {"ended": {"data": {}}, "failed": {"error": {}}}.get(how, ValueError()))
    await until(lambda: script.running == {"a2"})
    assert await queue.stats() == Stats(queued=0, running=1, slots=2)


async def test_removing_pending_tasks_of_a_full_group_neither_starts_nor_loses_one(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 2)
    await submit_all(queue, 1, "a1", "a2", "a3", "a4", "a5")
    await until(lambda: script.started == ["a1"])
    for task_id in ("a2", "a4"):
        assert await queue.remove(task_id) is True
    assert script.started == ["a1"]
    for task_id in ("a1", "a3", "a5"):
        await until(lambda task_id=task_id: task_id in script.running)  # type: ignore[misc]
        script.end(task_id)
    await ended(queue, "a5")
    assert script.started == ["a1", "a3", "a5"]
    assert await queue.stats() == Stats(queued=0, running=0, slots=2)


@pytest.mark.parametrize("bounds", [None, {}, {"a": 0}], ids=["no groups", "none", "no bound"])
async def test_tasks_without_group_or_bound_use_every_slot(
    make_queue: MakeQueue, script: Script, bounds: dict[str, int] | None
) -> None:
    queue = make_queue()
    await queue.start(script, 5)
    for n in range(6):
        await queue.submit(f"t{n}", {}, 5, bounds)
    await until(lambda: len(script.running) == 5)
    assert script.started == [f"t{n}" for n in range(5)]


async def test_pending_tasks_of_a_full_group_count_and_end_as_any_others(
    make_queue: MakeQueue, implementation: Implementation, script: Script
) -> None:
    queue = make_queue(max_pending=2)
    await queue.start(script, 5)
    await submit_all(queue, 1, "a1")
    await until(lambda: script.started == ["a1"])
    await submit_all(queue, 1, "a2", "a3")
    with pytest.raises(QueueFull):
        await submit_all(queue, 1, "a4")
    await queue.stop(0)
    for n in (1, 2, 3):
        assert implementation.is_left(await known(queue, f"a{n}"))


async def test_task_runs_only_when_all_its_groups_have_room(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 10)
    await submit_all(queue, 2, "host1", "host2")
    await submit_all(queue, 1, "session1")
    await queue.submit("both", {}, 5, {"host": 2, "session": 1})
    await until(lambda: len(script.started) == 3)
    for ending in ("host1", "session1"):
        assert "both" not in script.started
        script.end(ending)
        await ended(queue, ending)
    await until(lambda: "both" in script.running)


async def test_task_held_up_by_one_group_is_overtaken_in_its_others_and_takes_its_turn_later(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 10)
    await submit_all(queue, 1, "session1")
    await queue.submit("both", {}, 5, {"host": 2, "session": 1})
    await submit_all(queue, 2, "host1", "host2", "host3")
    await until(lambda: script.started == ["session1", "host1", "host2"])
    script.end("session1")
    await ended(queue, "session1")
    script.end("host1")
    await until(lambda: "both" in script.running)
    assert "host3" not in script.started


async def test_tasks_of_a_group_with_bound_1_start_in_their_order_whatever_holds_them_up(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 10)
    await submit_all(queue, 1, "x1")
    await queue.submit("s1", {}, 5, {"x": 1, "s": 1})
    await queue.submit("s2", {}, 5, {"y": 4, "s": 1})
    await submit_all(queue, 4, "y1")
    await until(lambda: script.started == ["x1", "y1"])
    script.end("x1")
    await until(lambda: script.running == {"s1", "y1"})
    assert await queue.remove("s1") is True
    await until(lambda: script.running == {"s2", "y1"})


async def test_next_in_line_moves_up_when_the_one_before_it_is_removed(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 10)
    await submit_all(queue, 1, "x1")
    await queue.submit("s1", {}, 5, {"x": 1, "s": 1})
    await queue.submit("s2", {}, 5, {"y": 4, "s": 1})
    await until(lambda: script.started == ["x1"])
    assert await queue.remove("s1") is True
    await until(lambda: script.started == ["x1", "s2"])
