"""What every TaskQueue does. A second implementation joins by one entry in IMPLEMENTATIONS."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

import pytest

from captcha_bypass.errors import QueueFull, ShuttingDown
from captcha_bypass.tasks.base import Handler, JsonDict, Record, State, Stats, TaskQueue
from captcha_bypass.tasks.memory import MemoryQueue
from tests.support.scripted_queue import FOR_EVER, Script, at_once, ended, until


@dataclass(frozen=True)
class Implementation:
    make: Callable[[int, float], TaskQueue]
    #: Where the constant stands that is added to a task's timeout.
    backstop: str


IMPLEMENTATIONS = {
    "memory": Implementation(
        make=lambda max_pending, ttl: MemoryQueue(
            max_pending=max_pending, result_ttl=ttl, max_results_bytes=2**28
        ),
        backstop="captcha_bypass.tasks.memory.BACKSTOP_SECONDS",
    ),
}


class MakeQueue(Protocol):
    def __call__(self, *, max_pending: int = 1000, result_ttl: float = 60.0) -> TaskQueue: ...


async def known(queue: TaskQueue, task_id: str) -> Record:
    record = await queue.get(task_id)
    assert record is not None
    return record


def code(record: Record) -> str | None:
    return None if record.error is None else record.error["code"]


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def implementation(request: pytest.FixtureRequest) -> Implementation:
    return IMPLEMENTATIONS[request.param]


@pytest.fixture
async def make_queue(implementation: Implementation) -> AsyncIterator[MakeQueue]:
    queues: list[TaskQueue] = []

    def make(*, max_pending: int = 1000, result_ttl: float = 60.0) -> TaskQueue:
        queues.append(implementation.make(max_pending, result_ttl))
        return queues[-1]

    yield make
    for queue in queues:
        await queue.stop(0)


@pytest.fixture
def script() -> Script:
    return Script()


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


# Groups


async def submit_all(queue: TaskQueue, bound: int, *tasks: str) -> None:
    """Submit tasks whose group is their name without the digits at its end."""
    for task_id in tasks:
        await queue.submit(task_id, {}, 5, {task_id.rstrip("0123456789"): bound})


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
    await until(lambda: script.started == ["a1"])
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
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue(max_pending=2)
    await queue.start(script, 5)
    await submit_all(queue, 1, "a1", "a2", "a3")
    with pytest.raises(QueueFull):
        await submit_all(queue, 1, "a4")
    await queue.stop(0)
    assert [code(await known(queue, f"a{n}")) for n in (1, 2, 3)] == ["shutting_down"] * 3


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


async def test_stop_ends_pending_tasks_as_shutting_down_and_lets_running_ones_end(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    for task_id in "abc":
        await queue.submit(task_id, {}, 5)
    await until(lambda: script.started == ["a"])
    waiting = asyncio.create_task(queue.wait("c", FOR_EVER))
    stopping = asyncio.create_task(queue.stop(FOR_EVER))
    for task_id in "bc":
        assert code(await ended(queue, task_id)) == "shutting_down"
    async with asyncio.timeout(10):
        assert await waiting == await queue.get("c")
    assert await queue.get("a") == Record("a", State.RUNNING)
    assert not stopping.done()
    script.end("a", {"data": {"in": "time"}})
    async with asyncio.timeout(10):
        await stopping
    assert script.started == ["a"]
    assert await queue.get("a") == Record("a", State.COMPLETED, data={"in": "time"})


async def test_running_tasks_are_cancelled_as_shutting_down_when_their_grace_is_over(
    make_queue: MakeQueue, script: Script
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
        assert code(await known(queue, task_id)) == "shutting_down"
    assert (await queue.stats()).running == 0


async def test_stop_without_grace_also_ends_tasks_that_have_not_made_a_step(
    make_queue: MakeQueue, script: Script
) -> None:
    queue = make_queue()
    await queue.start(script, 1)
    await queue.submit("a", {}, 5)
    await queue.stop(0)
    assert code(await known(queue, "a")) == "shutting_down"


async def test_second_stop_may_cut_the_grace_of_the_first_short(
    make_queue: MakeQueue, script: Script
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
    assert code(await known(queue, "a")) == "shutting_down"


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
