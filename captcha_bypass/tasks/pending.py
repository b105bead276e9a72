"""The order in which pending tasks start: first in, first out, past groups that are at their bound."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Group(Generic[T]):
    #: Pending tasks with the numbers they came by, oldest first. Not a dict: that finds its first
    #: entry only past all those deleted before it.
    tasks: OrderedDict[str, tuple[int, T]] = field(default_factory=OrderedDict)
    running: int = 0

    @property
    def first(self) -> int:
        number, _ = next(iter(self.tasks.values()))
        return number


class PendingOrder(Generic[T]):
    """Pending tasks, and how many of each group run.

    Every step costs O(log n) on average, also where thousands of tasks wait for one group.

    Args:
        max_per_group: How many tasks of a group run at once; 0: any number. The group "" has
            no bound.
    """

    def __init__(self, max_per_group: int) -> None:
        self._max_per_group = max_per_group
        self._groups: dict[str, _Group[T]] = {}
        #: (number of the oldest task, group) of each group whose next task may run, as a heap.
        #: A pair stays when its task is discarded: such pairs are passed over.
        self._ready: list[tuple[int, str]] = []
        self._count = 0
        self._pending = 0

    def __len__(self) -> int:
        return self._pending

    def add(self, task_id: str, group: str, task: T) -> None:
        """Put a task at the end."""
        tasks = self._groups.setdefault(group, _Group()).tasks
        self._count += 1
        self._pending += 1
        tasks[task_id] = self._count, task
        if len(tasks) == 1:
            self._offer(group)

    def discard(self, task_id: str, group: str) -> None:
        """Take a task out, if it is pending."""
        found = self._groups.get(group)
        if found is None or task_id not in found.tasks:
            return
        first = found.first
        number, _ = found.tasks.pop(task_id)
        self._pending -= 1
        if number == first:
            self._offer(group)
        self._drop_if_unused(group)

    def take(self) -> T | None:
        """Take the oldest task that may run, and count it as running; None: there is none."""
        while self._ready:
            number, name = heapq.heappop(self._ready)
            group = self._groups.get(name)
            if group is None or not group.tasks or group.first != number:
                continue
            _, (_, task) = group.tasks.popitem(last=False)
            self._pending -= 1
            group.running += 1
            self._offer(name)
            return task
        return None

    def release(self, group: str) -> None:
        """Count a task that was taken as ended."""
        found = self._groups[group]
        was_full = not self._may_run(group, found)
        found.running -= 1
        if was_full:
            self._offer(group)
        self._drop_if_unused(group)

    def _may_run(self, name: str, group: _Group[T]) -> bool:
        return not name or not self._max_per_group or group.running < self._max_per_group

    def _offer(self, name: str) -> None:
        """Make the group's oldest task one that can be taken, if it may run."""
        group = self._groups[name]
        if not group.tasks or not self._may_run(name, group):
            return
        heapq.heappush(self._ready, (group.first, name))
        # Pairs of discarded tasks must not pile up while nothing is taken.
        if len(self._ready) > 2 * len(self._groups) + 16:
            self._ready = [
                (group.first, name)
                for name, group in self._groups.items()
                if group.tasks and self._may_run(name, group)
            ]
            heapq.heapify(self._ready)

    def _drop_if_unused(self, name: str) -> None:
        if not self._groups[name].tasks and not self._groups[name].running:
            del self._groups[name]
