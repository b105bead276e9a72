"""The steps of nodes that share a queue, in any order, held against a plain model of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Iterator
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from captcha_bypass.tasks.fleet.store import ATTEMPTS
from tests.captcha_bypass.tasks.fleet import model
from tests.captcha_bypass.tasks.fleet.conftest import store_of
from tests.captcha_bypass.tasks.fleet.model import Model, Run, Task
from tests.support.redis_server import RedisServer

T = TypeVar("T")
STORE = "captcha_bypass.tasks.fleet.store"
MOST_PENDING = 8
#: Few, so that tasks often stand in each other's way.
GROUPS = st.dictionaries(st.sampled_from("abc"), st.integers(1, 3), max_size=3)
HOMES = st.sampled_from(["session:s", "fetch:f"])
#: A home, and which of the nodes a task is pinned to; never both.
PLACES = st.one_of(st.tuples(HOMES, st.just(0)), st.tuples(st.just(""), st.integers(0, 2)))
#: Keys that stand as long as the fleet does; there is one of each.
LASTING = {"tickets", "swept", "weight"}


class Link:
    """Redis, and a loop to ask it in."""

    def __init__(self, loop: asyncio.AbstractEventLoop, redis: Redis) -> None:
        self.loop = loop
        self.redis = redis

    def do(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self.loop.run_until_complete(wait())


class FleetMachine(RuleBasedStateMachine):
    """Two nodes; one that goes is followed by another."""

    link: ClassVar[Link]

    def __init__(self) -> None:
        super().__init__()
        self.do = self.link.do
        self.redis = self.link.redis
        self.prefix = f"test:{uuid4().hex}:"
        self.store = store_of(self.redis, self.prefix)
        self.forgetful = store_of(self.redis, self.prefix, ttl=0.0)
        self.model = Model()
        self.count = itertools.count(1)
        self.gone: list[str] = []

    @initialize(tasks=st.lists(st.tuples(GROUPS, PLACES), max_size=MOST_PENDING))
    def start(self, tasks: list[tuple[dict[str, int], tuple[str, int]]]) -> None:
        self.do(self.store.sweep())
        for _ in range(2):
            self.come()
        for groups, place in tasks:
            self.submit(groups, place)

    def come(self) -> None:
        node = f"n{next(self.count)}"
        self.model.nodes.append(node)
        self.beat(node)

    def beat(self, node: str, *, but: Run | None = None) -> None:
        runs = [run for run in self.model.runs_of(node) if run is not but]
        known = {run.token: run.task.task_id for run in runs}
        lost = self.do(self.store.beat(node, node.upper(), 2, f"http://{node}", "", known))
        assert set(lost) == {run.token for run in runs if run.task.state == "removed"}

    def some(self, data: st.DataObject, found: list[T]) -> T:
        return data.draw(st.sampled_from(found))

    # Tasks

    @rule(groups=GROUPS, place=PLACES)
    def submit(self, groups: dict[str, int], place: tuple[str, int]) -> None:
        home, pin = place[0], ["", *self.model.nodes][place[1]]
        number = next(self.count)
        task = Task(f"t{number}", number, groups, home, pin)
        taken = self.do(
            self.store.submit(
                task.task_id, {}, 5.0, groups, "key 0", MOST_PENDING, home=home, pin=pin
            )
        )
        assert taken is (len(self.model.pending()) < MOST_PENDING)
        if taken:
            self.model.enter(task)

    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        self.take_by(self.some(data, self.model.nodes))

    def take_by(self, node: str) -> bool:
        expected, token = self.model.first(node), uuid4().hex
        taken = self.do(self.store.take(node, token))
        assert (taken and taken.task_id) == (expected and expected.task_id)
        if taken is None or expected is None:
            return False
        assert (taken.payload, taken.owner, taken.timeout) == (b"{}", "key 0", 5.0)
        assert taken.is_home_lost is self.model.begin(expected, node, token)
        return True

    @precondition(lambda self: self.model.runs)
    @rule(data=st.data(), state=st.sampled_from(["completed", "error"]))
    def finish(self, data: st.DataObject, state: str) -> None:
        self.finish_one(self.some(data, self.model.runs), state)

    def finish_one(self, run: Run, state: str) -> None:
        outcome: dict[str, Any] = {"data": {}} if state == "completed" else {"error": {}}
        is_removed = run.task.state == "removed"
        for is_kept in (not is_removed, False):  # the second time it is said in vain
            said = self.store.finish(run.node, run.task.task_id, run.token, outcome)
            assert self.do(said) == (is_kept, [])
        self.model.end(run, state)
        if is_removed:
            self.gone.append(run.task.task_id)

    @precondition(lambda self: self.model.runs)
    @rule(data=st.data())
    def hand_over(self, data: st.DataObject) -> None:
        run = self.some(data, self.model.runs)
        for _ in range(2):
            self.do(self.store.hand_over(run.node, run.task.task_id, run.token))
        self.model.give_back(run, counts=False)

    @precondition(lambda self: self.model.runs)
    @rule(data=st.data())
    def set_aside(self, data: st.DataObject) -> None:
        run = self.some(data, self.model.runs)
        done = self.do(self.store.set_aside(run.node, run.task.task_id, run.token, "http://x"))
        assert done is (run.task.state == "running")
        if done:
            run.is_aside, run.task.state = True, "waiting_for_human"

    @precondition(lambda self: self.model.tasks)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        task = self.some(data, list(self.model.tasks.values()))
        is_running = any(run.task is task for run in self.model.runs)
        expected = (True, is_running) if task.state != "removed" else (False, False)
        assert self.do(self.store.remove(task.task_id)) == expected
        if is_running:
            task.state = "removed"
        else:
            del self.model.tasks[task.task_id]
            self.gone.append(task.task_id)
        self.model.tidy()

    @rule(number=st.integers(0, 4))
    def put(self, number: int) -> None:
        task = Task(f"put{number}", 0, {}, "", "", state="completed")
        if task.task_id not in self.model.tasks:
            for _ in range(2):  # the answer to the first was lost
                assert self.do(self.store.put(task.task_id, {"data": {}}, "key 0")) == []
            self.model.tasks[task.task_id] = task

    # Nodes

    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        node = self.some(data, self.model.nodes)
        self.do(self.store.sweep())
        self.do(self.redis.zadd(f"{self.prefix}nodes", {node: 0}))
        runs = self.model.runs_of(node)
        assert self.do(self.store.sweep()) == (1, len(runs))
        # What it still says does not count.
        for run in runs:
            said = self.store.finish(node, run.task.task_id, run.token, {"data": {}})
            assert self.do(said) == (False, [])
        self.model.leave(node, counts=True)
        self.come()

    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        """What it runs by now it was never told of."""
        node = self.some(data, self.model.nodes)
        self.do(self.store.depart(node))
        self.model.leave(node, counts=False)
        self.come()

    @precondition(lambda self: self.model.runs)
    @rule(data=st.data())
    def lose_the_answer_to_take(self, data: st.DataObject) -> None:
        run = self.some(data, self.model.runs)
        self.beat(run.node, but=run)
        self.model.give_back(run, counts=False)

    # Homes

    @rule(home=HOMES, data=st.data())
    def claim(self, home: str, data: st.DataObject) -> None:
        node = self.some(data, self.model.nodes)
        claim = self.do(self.store.claim(home, node))
        assert claim.is_lost is (home in self.model.lost)
        if claim.is_lost:
            self.model.lost.remove(home)
            return
        assert (claim.node, claim.url) == (self.model.homes.get(home, node), f"http://{claim.node}")
        self.model.homes[home] = claim.node

    @rule(home=HOMES)
    def leave_home(self, home: str) -> None:
        holder = self.do(self.store.holder(home))
        assert holder == self.model.homes.pop(home, None)
        if holder is not None:
            self.do(self.store.leave_home(home, holder))

    @rule(home=HOMES)
    def end_home(self, home: str) -> None:
        assert self.do(self.store.end_home(home)) is (home in self.model.lost)
        self.model.lost.discard(home)

    # What stands

    @invariant()
    def counts_agree(self) -> None:
        stats, pending = self.do(self.store.stats()), self.model.pending()
        assert stats.queued == len(pending)
        for node in stats.nodes:
            runs = self.model.runs_of(node.node_id)
            assert (node.running, node.aside) == (len(runs), sum(run.is_aside for run in runs))
        assert {node.node_id for node in stats.nodes} == set(self.model.nodes)

    @precondition(lambda self: self.model.tasks or self.gone)
    @rule(data=st.data())
    def get(self, data: st.DataObject) -> None:
        self.get_one(self.some(data, [*self.model.tasks, *self.gone]))

    def get_one(self, task_id: str) -> None:
        record, task = self.do(self.store.get(task_id)), self.model.tasks.get(task_id)
        if task is None or task.state == "removed":
            assert record is None
        else:
            assert record is not None
            assert record.state.value == task.state

    def teardown(self) -> None:
        """Nothing is lost or left: all that is pending runs when what runs ends."""
        assert set(self.do(self.store.homes(""))) == set(self.model.homes)
        while self.model.pending() or self.model.runs:
            took = [self.take_by(node) for node in self.model.nodes]
            assert any(took) or self.model.runs, "pending tasks that nobody may take"
            if self.model.runs:
                self.finish_one(self.model.runs[0], "completed")
        for task_id in [*self.model.tasks, *self.gone]:
            self.get_one(task_id)
        for task in self.model.ended()[::2]:
            assert self.do(self.store.remove(task.task_id)) == (True, False)
        self.do(self.forgetful.sweep())
        for node in list(self.model.nodes):
            self.do(self.store.depart(node))
            self.model.leave(node, counts=True)
        found = self.do(self.redis.keys(f"{self.prefix}*"))
        left = {
            (key.decode() if isinstance(key, bytes) else key).removeprefix(self.prefix)
            for key in found
        }
        assert left - LASTING == {f"lost:{home}" for home in self.model.lost}
        assert int(self.do(self.redis.get(f"{self.prefix}weight")) or 0) == 0
        self.do(self.store.close())
        self.do(self.forgetful.close())


@pytest.fixture
def link(server: RedisServer) -> Iterator[Link]:
    with asyncio.Runner() as runner:
        redis = Redis.from_url(server.url, socket_timeout=5.0)
        yield Link(runner.get_loop(), redis)
        runner.run(redis.aclose())


def test_any_order_of_steps_ends_as_a_plain_model_does_and_leaves_no_key(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert model.ATTEMPTS == ATTEMPTS
    monkeypatch.setattr(FleetMachine, "link", link, raising=False)
    # An answer that is not there yet counts as lost at once.
    monkeypatch.setattr(f"{STORE}.PATIENCE_SECONDS", -1.0)
    run_state_machine_as_test(
        FleetMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )
