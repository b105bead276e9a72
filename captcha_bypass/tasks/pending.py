"""The order in which pending tasks start: first in, first out, past those that a full group holds up.

A task whose group is full is overtaken, also by later tasks of its other groups: else one busy
session would hold up all that goes to the same host. Only a group with a bound of 1 is a line: none
of its tasks ever starts before an earlier one, whatever holds that up.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Group:
    name: str
    bound: int
    pending: int = 0
    running: int = 0
    #: Its pending tasks in the order they came, where the bound is 1. Not a dict: that finds its
    #: first entry only past all those deleted before it.
    line: OrderedDict[int, None] = field(default_factory=OrderedDict)
    #: Tasks that found it full, as a heap. A discarded task stays in it, to be passed over.
    waiting: list[int] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return self.running >= self.bound

    def is_behind(self, ticket: int) -> bool:
        """Whether an earlier task of a line must start before this one."""
        return self.bound == 1 and next(iter(self.line)) != ticket


@dataclass(slots=True)
class _Task(Generic[T]):
    task: T
    groups: list[_Group]


class PendingOrder(Generic[T]):
    """Pending tasks, and how many of each group run.

    Every step costs O(log n) on average, also where thousands of tasks wait for one group, plus a
    look at tasks that have room in one group and none in another. Where no task has two groups with
    a bound above 1 these are at most as many as tasks run, and none is overtaken for ever.
    """

    def __init__(self) -> None:
        self._count = 0
        self._groups: dict[str, _Group] = {}
        #: Pending tasks by ticket: a number that grows. Each is behind another in a line, or in
        #: `_ready`, or in `waiting` of one of its groups.
        self._tasks: OrderedDict[int, _Task[T]] = OrderedDict()
        #: A heap of those that no group is known to hold up. If a group has room and tasks waiting,
        #: an earlier one of its tasks is here: so the first here that may run is the first at all.
        self._ready: list[int] = []
        self._running: dict[int, list[_Group]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def oldest(self) -> T | None:
        """The pending task that came first, whatever holds it up; None: there is none."""
        return next((found.task for found in self._tasks.values()), None)

    def add(self, task: T, bounds: Mapping[str, int]) -> int:
        """Put a task at the end, and return its ticket.

        Args:
            bounds: Its groups, and how many of each may run at once; 0: any number. While a group
                has tasks, the bound counts that the first of them came with.
        """
        self._count += 1
        ticket = self._count
        groups = [
            self._groups.setdefault(name, _Group(name, bound))
            for name, bound in bounds.items()
            if bound > 0
        ]
        self._tasks[ticket] = _Task(task, groups)
        for group in groups:
            group.pending += 1
            if group.bound == 1:
                group.line[ticket] = None
        self._offer(ticket)
        return ticket

    def take(self) -> T | None:
        """Take the oldest task that may run, and count it as running; None: there is none."""
        while self._ready:
            ticket = heapq.heappop(self._ready)
            found = self._tasks.get(ticket)
            if found is None:
                continue
            full = next((group for group in found.groups if group.is_full), None)
            if full is not None:
                heapq.heappush(full.waiting, ticket)
                self._wake(found.groups)
                continue
            for group in found.groups:
                group.running += 1
            self._running[ticket] = found.groups
            self._leave(ticket)
            return found.task
        return None

    def release(self, ticket: int) -> None:
        """Count a task that was taken as ended."""
        groups = self._running.pop(ticket)
        for group in groups:
            group.running -= 1
        self._wake(groups)
        self._drop_unused(groups)

    def discard(self, ticket: int) -> None:
        """Take a task out, if it is pending."""
        if ticket not in self._tasks:
            return
        groups = self._tasks[ticket].groups
        self._leave(ticket)
        # What is passed over must not pile up while nothing is taken.
        self._ready = self._tidy(self._ready, len(self._tasks))
        for group in groups:
            group.waiting = self._tidy(group.waiting, group.pending)
        self._drop_unused(groups)

    def _leave(self, ticket: int) -> None:
        """Let those move up that were behind a task, or waiting for one that was ready."""
        groups = self._tasks.pop(ticket).groups
        left = [group.line for group in groups if group.bound == 1 and not group.is_behind(ticket)]
        for group in groups:
            group.pending -= 1
            group.line.pop(ticket, None)
        for later in {next(iter(line)) for line in left if line}:
            self._offer(later)
        self._wake(groups)

    def _offer(self, ticket: int) -> None:
        """Make a task ready unless it is behind another."""
        if not any(group.is_behind(ticket) for group in self._tasks[ticket].groups):
            heapq.heappush(self._ready, ticket)

    def _wake(self, groups: list[_Group]) -> None:
        """Make the first waiting task of each group that has room ready."""
        for group in groups:
            while group.waiting and not group.is_full:
                ticket = heapq.heappop(group.waiting)
                if ticket in self._tasks:
                    heapq.heappush(self._ready, ticket)
                    break

    def _tidy(self, heap: list[int], most: int) -> list[int]:
        if len(heap) <= 2 * most + 16:
            return heap
        return sorted(ticket for ticket in heap if ticket in self._tasks)

    def _drop_unused(self, groups: list[_Group]) -> None:
        for group in groups:
            if not group.pending and not group.running:
                del self._groups[group.name]
