"""The order of pending tasks, held against a list that is searched from its start."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from captcha_bypass.tasks.pending import PendingOrder

NAMES = "abcd"
GROUPS = st.frozensets(st.sampled_from(NAMES), max_size=3)


class OrderMachine(RuleBasedStateMachine):
    """Tasks are (ticket, names of groups); the list has them in the order they came."""

    def __init__(self) -> None:
        super().__init__()
        self.bounds: dict[str, int] = {}
        self.order: PendingOrder[str] = PendingOrder()
        self.pending: list[tuple[int, frozenset[str]]] = []
        self.running: list[tuple[int, frozenset[str]]] = []

    @initialize(bounds=st.tuples(*[st.integers(0, 3)] * len(NAMES)))
    def start(self, bounds: tuple[int, ...]) -> None:
        self.bounds = dict(zip(NAMES, bounds, strict=True))

    def at_once(self) -> Counter[str]:
        return Counter(name for _, groups in self.running for name in groups)

    def first(self) -> tuple[int, frozenset[str]] | None:
        """Find the oldest task whose groups have room, no line of which has an earlier one."""
        at_once, lines = self.at_once(), set[str]()
        for ticket, groups in self.pending:
            bound = {name for name in groups if self.bounds[name]}
            if not bound & lines and all(at_once[name] < self.bounds[name] for name in bound):
                return ticket, groups
            lines |= {name for name in bound if self.bounds[name] == 1}
        return None

    @rule(groups=GROUPS)
    def add(self, groups: frozenset[str]) -> None:
        task = f"t{self.order._count + 1}"
        ticket = self.order.add(task, {name: self.bounds[name] for name in sorted(groups)})
        assert task == f"t{ticket}"
        self.pending.append((ticket, groups))

    @rule()
    def take(self) -> None:
        expected = self.first()
        assert self.order.take() == (expected and f"t{expected[0]}")
        if expected:
            self.pending.remove(expected)
            self.running.append(expected)

    @precondition(lambda self: self.pending)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.pending))
        self.order.discard(task[0])
        self.pending.remove(task)

    @rule()
    def discard_what_is_not_pending(self) -> None:
        for ticket in [0, 10**9, *(ticket for ticket, _ in self.running)]:
            self.order.discard(ticket)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        ending = data.draw(st.sampled_from(self.running))
        self.running.remove(ending)
        self.order.release(ending[0])

    @invariant()
    def agrees(self) -> None:
        assert len(self.order) == len(self.pending)
        assert self.order.oldest == (f"t{self.pending[0][0]}" if self.pending else None)
        for name, number in self.at_once().items():
            assert not self.bounds[name] or number <= self.bounds[name]

    def teardown(self) -> None:
        """Nothing is lost or left: all that is pending runs when what runs ends."""
        while self.pending:
            self.take()
            if self.running:
                self.order.release(self.running.pop(0)[0])
        while self.running:
            self.order.release(self.running.pop()[0])
        assert self.order.take() is None
        assert self.order._groups == {}
        assert self.order._tasks == {}
        assert self.order._running == {}


TestAnyOrder = OrderMachine.TestCase
TestAnyOrder.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_bound_of_a_group_is_that_of_its_first_task_until_it_has_none() -> None:
    order: PendingOrder[str] = PendingOrder()
    first = order.add("a", {"g": 1})
    order.add("b", {"g": 5})
    assert [order.take(), order.take()] == ["a", None]
    order.release(first)
    assert order.take() == "b"
    order.release(2)
    order.add("c", {"g": 2})
    order.add("d", {"g": 1})
    assert [order.take(), order.take()] == ["c", "d"]


def test_tasks_that_come_and_go_without_running_leave_nothing_behind() -> None:
    order: PendingOrder[int] = PendingOrder()
    order.add(0, {"first": 1})
    for n in range(10_000):
        gone = [order.add(n, {f"group{n}": 1}), order.add(n, {"first": 1, "more": 2})]
        for ticket in gone:
            order.discard(ticket)
    assert len(order._ready) < 100
    assert len(order._groups) == 1
    assert order.take() == 0


def test_oldest_task_of_a_group_that_is_discarded_again_and_again_leaves_nothing_behind() -> None:
    order: PendingOrder[int] = PendingOrder()
    before = order.add(0, {"a": 1})
    for n in range(1, 10_000):
        ticket = order.add(n, {"a": 1})
        order.discard(before)
        before = ticket
    assert len(order._ready) < 100
    assert order.take() == 9_999


def test_tasks_discarded_while_their_group_is_full_leave_nothing_behind() -> None:
    order: PendingOrder[int] = PendingOrder()
    running = [order.add(n, {"a": 2}) for n in range(2)]
    assert [order.take(), order.take(), order.take()] == [0, 1, None]
    last = order.add(2, {"a": 2})
    for n in range(10_000):
        ticket = order.add(n, {"a": 2})
        assert order.take() is None
        order.discard(ticket)
    assert len(order._groups["a"].waiting) < 100
    order.release(running[0])
    assert order.take() == 2
    order.release(last)
    assert order.take() is None
