"""What only the queue in this process promises: its costs, what it forgets."""

from __future__ import annotations

import gc
import itertools
import time
import weakref
from statistics import median
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from captcha_bypass.tasks import running
from captcha_bypass.tasks.base import JsonDict, State, Stats
from captcha_bypass.tasks.memory import MemoryQueue
from tests.support.memory_queue import AGES, TTL, ClockLoop, quick
from tests.support.scripted_queue import Script, ended, until

# How long tasks are pending


def test_time_in_the_queue_is_told_and_the_oldest_pending_has_an_age(loop: ClockLoop) -> None:
    waited: list[float] = []
    queue, script = quick(on_start=waited.append), Script()
    loop.run(queue.start(script, 1))
    for task_id in "abcd":
        loop.run(queue.submit(task_id, {}, AGES))
        loop.move(1.0)
    assert waited == [0.0]
    assert loop.run(queue.stats()).oldest == 3.0  # b
    loop.run(queue.remove("b"))
    assert loop.run(queue.stats()).oldest == 2.0  # c
    script.end("a")
    loop.settle()
    script.end("c")
    loop.settle()
    assert waited == [0.0, 2.0, 1.0]
    assert loop.run(queue.stats()).oldest == 0.0
    loop.run(queue.stop(0))


# Payloads


class Payload(dict[str, Any]):
    """A dict that can be watched."""


def canary() -> Payload:
    return Payload(proxy={"server": "http://p:1", "username": "u", "password": "CANARY"})


async def test_payload_is_forgotten_when_its_task_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Log records that pytest keeps would hold the traceback, and that the payload.
    monkeypatch.setattr(running.logger, "disabled", True)
    queue, script = quick(), Script()
    await queue.start(script, 4)
    held: dict[str, weakref.ref[Payload]] = {}
    for task_id in ("completed", "failed", "raised", "removed", "pending", "stopped"):
        payload = canary()
        held[task_id] = weakref.ref(payload)
        await queue.submit(task_id, payload, 5)
        del payload
    await until(lambda: len(script.started) == 4)
    assert all(ref() is not None for ref in held.values())

    script.end("completed")
    script.end("failed", {"error": {"code": "dns_error", "message": "no"}})
    script.end("raised", ValueError("no"))
    for task_id in ("completed", "failed", "raised"):
        await ended(queue, task_id)
    await queue.remove("removed")
    await queue.remove("pending")
    await queue.stop(0)
    script._ends.clear()  # the test's own exception holds frames
    gc.collect()
    assert {task_id for task_id, ref in held.items() if ref() is not None} == set()


async def test_no_record_shows_the_payload() -> None:
    queue, script = quick(), Script()
    await queue.start(script, 1)
    await queue.submit("a", canary(), 5)
    await queue.submit("b", canary(), 5)
    await until(lambda: script.started == ["a"])
    for task_id in "ab":
        assert "CANARY" not in repr(await queue.get(task_id))
    await queue.stop(0)
    for task_id in "ab":
        assert "CANARY" not in repr(await queue.get(task_id))


# Size


async def test_thousands_of_pending_tasks_can_be_cancelled_in_any_order() -> None:
    queue, script = quick(), Script()
    await queue.start(script, 1)
    await queue.submit("first", {}, 5)
    await until(lambda: script.started == ["first"])
    names = [f"t{n}" for n in range(6000)]
    for name in names:
        await queue.submit(name, {}, 5)
    # From the end, from the start, from the middle.
    doomed = [*names[5000:][::-1], *names[:1000], *names[1000:5000:2]]
    for name in doomed:
        assert await queue.remove(name) is True
    left = [name for name in names if name not in set(doomed)]
    assert await queue.stats() == Stats(queued=len(left), running=1, slots=1)
    assert [await queue.get(name) for name in doomed] == [None] * len(doomed)
    for name in ["first", *left][:50]:
        await until(lambda name=name: name in script.running)  # type: ignore[misc]
        script.end(name)
        await ended(queue, name)
    await until(lambda: len(script.started) == 51)
    assert script.started == ["first", *left][:51]
    await queue.stop(0)


async def test_no_call_costs_more_because_a_full_group_has_many_pending_tasks() -> None:
    queue, script = quick(max_pending=200_000), Script()
    await queue.start(script, 3)
    await queue.submit("first", {}, AGES, {"busy": 1, "host": 4})
    names = (f"t{n}" for n in itertools.count())

    async def probe() -> float:
        """Seconds to queue and cancel in the full group, and to start and cancel beside it."""
        began = time.perf_counter()
        for group in ("busy", "idle"):
            name = next(names)
            await queue.submit(name, {}, AGES, {group: 1, "host": 4})
            await queue.remove(name)
        return time.perf_counter() - began

    async def median_with(pending: int) -> float:
        while (await queue.stats()).queued < pending:
            await queue.submit(next(names), {}, AGES, {"busy": 1, "host": 4})
        return median([await probe() for _ in range(200)])

    few, many = await median_with(10), await median_with(50_000)
    # Looking at each pending task would make it a thousand times.
    assert many < 10 * few
    assert (await queue.stats()).running == 1
    await queue.remove("first")
    await until(lambda: script.started[-1] == "t0")
    await queue.stop(0)


# Any order of anything


class QueueMachine(RuleBasedStateMachine):
    """Compares the queue with lists: what waits, what runs, what has ended and when."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = ClockLoop()
        self.queue: MemoryQueue
        self.script = Script()
        self.slots = 0
        self.bounds: dict[str, int] = {}
        self.groups: dict[str, frozenset[str]] = {}
        self.count = 0
        self.pending: list[str] = []
        self.running: list[str] = []
        self.finished: dict[str, tuple[float, State]] = {}
        self.gone: list[str] = []
        self.started: list[str] = []
        running.logger.disabled = True  # handlers raise on purpose here

    def teardown(self) -> None:
        self.loop.run(self.queue.stop(0))
        assert self.script.running == set()
        self.loop.close()
        running.logger.disabled = False

    @initialize(slots=st.integers(2, 4), a=st.integers(0, 2), b=st.integers(0, 2))
    def start(self, slots: int, a: int, b: int) -> None:
        self.slots, self.bounds = slots, {"a": a, "b": b}
        self.queue = quick(max_pending=8, result_ttl=TTL)
        self.loop.run(self.queue.start(self.script, slots))

    def next_task(self) -> str | None:
        lines = set[str]()
        for task_id in self.pending:
            groups = {name for name in self.groups[task_id] if self.bounds[name]}
            full = {
                name
                for name in groups
                if sum(name in self.groups[other] for other in self.running) >= self.bounds[name]
            }
            if not full and not groups & lines:
                return task_id
            lines |= {name for name in groups if self.bounds[name] == 1}
        return None

    def bounds_of(self, task_id: str) -> dict[str, int]:
        return {name: self.bounds[name] for name in sorted(self.groups[task_id])}

    def advance(self) -> None:
        while len(self.running) < self.slots:
            task_id = self.next_task()
            if task_id is None:
                break
            self.pending.remove(task_id)
            self.running.append(task_id)
            self.started.append(task_id)
        for task_id, (at, _) in list(self.finished.items()):
            if at + TTL <= self.loop.now:
                del self.finished[task_id]
                self.gone.append(task_id)

    @precondition(lambda self: len(self.pending) < 8)
    @rule(settle=st.booleans(), groups=st.frozensets(st.sampled_from("ab")))
    def submit(self, settle: bool, groups: frozenset[str]) -> None:
        task_id = f"t{self.count}"
        self.count += 1
        self.groups[task_id] = groups
        bounds = self.bounds_of(task_id)
        self.loop.run_until_complete(self.queue.submit(task_id, {}, AGES, bounds))
        self.pending.append(task_id)
        self.advance()
        if settle:
            self.loop.settle()

    @precondition(lambda self: len(self.pending) < 8)
    @rule(groups=st.frozensets(st.sampled_from("ab")))
    def submit_and_remove_before_its_first_step(self, groups: frozenset[str]) -> None:
        task_id = f"t{self.count}"
        self.count += 1
        self.groups[task_id] = groups

        async def both() -> bool:
            await self.queue.submit(task_id, {}, AGES, self.bounds_of(task_id))
            return await self.queue.remove(task_id)

        assert self.loop.run(both())
        self.gone.append(task_id)

    @precondition(lambda self: self.pending or self.running or self.finished)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        self.loop.settle()
        task_id = data.draw(st.sampled_from([*self.pending, *self.running, *self.finished]))
        assert self.loop.run(self.queue.remove(task_id))
        for tasks in (self.pending, self.running):
            if task_id in tasks:
                tasks.remove(task_id)
        self.finished.pop(task_id, None)
        self.gone.append(task_id)
        self.advance()

    @precondition(lambda self: self.gone)
    @rule(data=st.data())
    def remove_what_is_gone(self, data: st.DataObject) -> None:
        assert not self.loop.run(self.queue.remove(data.draw(st.sampled_from(self.gone))))

    @precondition(lambda self: self.running)
    @rule(
        data=st.data(),
        how=st.sampled_from([{"data": {}}, {"error": {"code": "dns_error"}}, ValueError("no")]),
    )
    def end(self, data: st.DataObject, how: JsonDict | Exception) -> None:
        self.loop.settle()
        task_id = data.draw(st.sampled_from(self.running))
        self.script.end(task_id, how)
        self.loop.settle()
        self.running.remove(task_id)
        good = isinstance(how, dict) and "data" in how
        self.finished[task_id] = (self.loop.now, State.COMPLETED if good else State.ERROR)
        self.advance()

    @rule(seconds=st.sampled_from([1.0, TTL / 3, TTL]))
    def time_passes(self, seconds: float) -> None:
        self.loop.move(seconds)
        self.advance()

    @invariant()
    def all_agree(self) -> None:
        if not self.slots:
            return
        self.loop.settle()
        stats = self.loop.run(self.queue.stats())
        assert stats == Stats(len(self.pending), len(self.running), self.slots)
        assert stats.running <= self.slots
        assert self.script.started == self.started
        assert self.script.running == set(self.running)
        expected = {
            **dict.fromkeys(self.pending, State.PENDING),
            **dict.fromkeys(self.running, State.RUNNING),
            **{task_id: state for task_id, (_, state) in self.finished.items()},
        }
        for task_id, state in expected.items():
            record = self.loop.run(self.queue.get(task_id))
            assert record is not None, task_id
            assert record.state is state
        for task_id in self.gone:
            assert self.loop.run(self.queue.get(task_id)) is None, task_id


TestAnyOrder = QueueMachine.TestCase
TestAnyOrder.settings = settings(
    max_examples=150,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
