"""The order of pending tasks, held against a list that is searched from its start."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from captcha_bypass.tasks.pending import PendingOrder

GROUPS = st.sampled_from(["", "a", "b", "c"])


class OrderMachine(RuleBasedStateMachine):
    """Tasks are (name, group); the list has them in the order they came."""

    def __init__(self) -> None:
        super().__init__()
        self.bound = 0
        self.order: PendingOrder[str]
        self.pending: list[tuple[str, str]] = []
        self.running: list[tuple[str, str]] = []
        self.count = 0

    @initialize(bound=st.integers(0, 3))
    def start(self, bound: int) -> None:
        self.bound = bound
        self.order = PendingOrder(bound)

    def at_once(self) -> Counter[str]:
        return Counter(group for _, group in self.running)

    @rule(group=GROUPS)
    def add(self, group: str) -> None:
        task = f"t{self.count}"
        self.count += 1
        self.order.add(task, group, task)
        self.pending.append((task, group))

    @rule()
    def take(self) -> None:
        at_once = self.at_once()
        expected = next(
            (
                (task, group)
                for task, group in self.pending
                if not group or not self.bound or at_once[group] < self.bound
            ),
            None,
        )
        assert self.order.take() == (expected and expected[0])
        if expected:
            self.pending.remove(expected)
            self.running.append(expected)

    @precondition(lambda self: self.pending)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        task, group = data.draw(st.sampled_from(self.pending))
        self.order.discard(task, group)
        self.pending.remove((task, group))

    @rule(group=GROUPS)
    def discard_what_is_not_pending(self, group: str) -> None:
        self.order.discard("never there", group)
        for task, its_group in self.running:
            self.order.discard(task, its_group)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        ending = data.draw(st.sampled_from(self.running))
        self.running.remove(ending)
        self.order.release(ending[1])

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "order"):
            assert len(self.order) == len(self.pending)
            assert not self.bound or all(
                number <= self.bound for group, number in self.at_once().items() if group
            )

    def teardown(self) -> None:
        """Nothing is lost or left: all that is pending runs when what runs ends."""
        if hasattr(self, "order"):
            while self.pending:
                self.take()
                if self.running:
                    self.order.release(self.running.pop(0)[1])
            while self.running:
                self.order.release(self.running.pop()[1])
            assert self.order.take() is None
            assert self.order._groups == {}


TestAnyOrder = OrderMachine.TestCase
TestAnyOrder.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)


def test_tasks_that_come_and_go_without_running_leave_nothing_behind() -> None:
    order: PendingOrder[int] = PendingOrder(1)
    order.add("first", "first", 0)
    for n in range(10_000):
        order.add(f"t{n}", f"group{n}", n)
        order.add(f"u{n}", "first", n)
        order.discard(f"t{n}", f"group{n}")
        order.discard(f"u{n}", "first")
    assert len(order._ready) < 100
    assert len(order._groups) == 1
    assert order.take() == 0


def test_oldest_task_of_a_group_that_is_discarded_again_and_again_leaves_nothing_behind() -> None:
    order: PendingOrder[int] = PendingOrder(1)
    order.add("t0", "a", 0)
    for n in range(1, 10_000):
        order.add(f"t{n}", "a", n)
        order.discard(f"t{n - 1}", "a")
    assert len(order._ready) < 100
    assert order.take() == 9_999
