"""The seam of the queue: what every implementation does, and the records it hands out."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

JsonDict = dict[str, Any]

#: Runs one task: `(task_id, payload) -> {"data": {...}}` or `{"error": {"code", "message"}}`.
#: Never raises: an outcome is a value. Cancelling it must free all it holds.
Handler = Callable[[str, JsonDict], Awaitable[JsonDict]]


class State(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    RUNNING = "running"
    #: It runs, but has no slot: a person must do something on its page.
    WAITING_FOR_HUMAN = "waiting_for_human"
    COMPLETED = "completed"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Record:
    """A task as it stood when it was asked for."""

    task_id: str
    state: State
    #: The handler's data, when completed; what there is beside an error.
    data: JsonDict | None = None
    #: `{"code", "message"}`; only in state error.
    error: JsonDict | None = None
    #: Whose it is, as whoever submitted it said.
    owner: str = ""
    #: Where a person finds its page; only while it waits for one.
    link: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the task has ended, well or not."""
        return self.state in (State.COMPLETED, State.ERROR)


@dataclass(frozen=True, slots=True)
class NodeStats:
    """What one of several nodes that share a queue does now."""

    name: str
    slots: int
    running: int
    waiting_for_human: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Numbers of now: of all nodes together, where several share the queue."""

    queued: int
    running: int
    slots: int
    #: Seconds that the oldest pending task has waited; 0: none is pending.
    oldest: float = field(default=0.0, compare=False)
    #: Tasks that wait for a person; none of them has a slot.
    waiting_for_human: int = 0
    #: Each of several nodes that share the queue; empty: it is this process' own.
    nodes: tuple[NodeStats, ...] = field(default=(), compare=False)


class Observer(Protocol):
    """Told of what becomes of each task, at once; must be quick, and not raise.

    A payload may hold secrets, and must not be kept.
    """

    def submitted(self, task_id: str, payload: JsonDict, owner: str) -> None:
        """Note that a task is pending."""

    def started(self, task_id: str, payload: JsonDict, owner: str, waited: float) -> None:
        """Note that a slot has taken a task which was pending for so many seconds."""

    def waiting(self, task_id: str) -> None:
        """Note that a running task has left its slot, and waits for a person."""

    def ended(self, task_id: str, outcome: JsonDict) -> None:
        """Note that a task has ended as its handler, or the queue, says."""

    def removed(self, task_id: str) -> None:
        """Note that a task is forgotten: it is cancelled if it had not ended, or its result is gone."""


class TaskQueue(Protocol):
    """A FIFO queue of JSON tasks with a fixed number of slots and a bound on each group.

    A free slot takes the oldest pending task all of whose groups are below their bounds: tasks of a
    group that is at it are passed over, also by later ones of their other groups, and keep their
    places. Only of a group with a bound of 1 no task ever starts before an earlier one, whatever
    holds that up. How many tasks are pending, of whichever groups, does not slow any call down.
    """

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called: it takes nothing new."""

    @property
    def unfinished(self) -> tuple[int, int]:
        """How many tasks this process runs, and how many are pending that end when it does."""

    async def start(self, handler: Handler | None, slots: int) -> None:
        """Begin to run tasks; `None` and 0 slots: take tasks for others to run."""

    async def stop(self, grace: float) -> None:
        """Take nothing new, and give running tasks `grace` seconds; then none is left here.

        What has not ended is `shutting_down` or, where others share the queue, theirs to run. Results
        can still be read afterwards.
        """

    async def submit(
        self,
        task_id: str,
        payload: JsonDict,
        timeout: float,
        bounds: Mapping[str, int] | None = None,
        *,
        owner: str = "",
        home: str = "",
        here: bool = False,
    ) -> None:
        """Queue a task whose handler promises to end about `timeout` seconds after its start.

        Args:
            bounds: The task's groups, and how many tasks of each may run at once; 0: any number.
                While a group has tasks, the bound counts that the first of them came with.
            owner: Stands in its records; the queue itself keeps nobody from a task.
            home: What it needs, and the process has that ran the last task with this; which one
                that is matters where several share the queue.
            here: No other process may run it.

        Raises:
            QueueFull: as many tasks are pending as the bound allows.
            ShuttingDown: the queue is stopping.
        """

    async def leave_slot(self, task_id: str, seconds: float, link: str) -> bool:
        """Let a running task wait for a person: its slot serves others, its groups stay held.

        Its handler calls this, which promises then to end about `seconds` from now.

        Args:
            link: Where a person finds its page.

        Returns:
            False: it does not run, or has left its slot before.
        """

    async def put(self, task_id: str, outcome: JsonDict, *, owner: str = "") -> None:
        """Keep what a Handler returns as the result of a task that has ended and never ran here."""

    async def get(self, task_id: str) -> Record | None:
        """Return the task, or None if it is unknown, removed or expired."""

    async def wait(self, task_id: str, seconds: float) -> Record | None:
        """Like `get`, but only once the task has ended or `seconds` have passed."""

    async def remove(self, task_id: str) -> bool:
        """Forget a task: unqueue it, stop it, or delete its result. False: there was none.

        A running handler is cancelled, and has ended in nearly all cases, when this returns.
        """

    async def stats(self) -> Stats:
        """Count tasks and slots."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Where a home is."""

    #: Empty: no node has slots, or it is lost.
    node: str
    #: By which other nodes reach it; empty: by none.
    url: str
    #: The node died that had it; told once.
    is_lost: bool


class Homes(Protocol):
    """Which of the services that share a queue has what goes by a name, see TaskQueue.submit."""

    #: What this one goes by.
    node: str
    #: By which they know each other, in printable ASCII: this one says the first, and takes any of them.
    secrets: tuple[str, ...]

    async def claim(self, home: str) -> Claim:
        """Find the node that has a home; this one, or one that has slots, gets it if none has."""

    async def homes(self, start: str) -> list[str]:
        """Return the names of the homes of all nodes that begin so."""

    async def leave_home(self, home: str, node: str = "") -> None:
        """Say that a node, or this one, has a home no more."""

    async def end_home(self, home: str) -> bool:
        """Have the node that has a home end it; return whether there was one, or its node had died."""


def weigh(value: Any) -> int:  # noqa: ANN401 - any JSON value
    """Estimate the bytes a JSON value holds in memory."""
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        return size + sum(weigh(key) + weigh(item) for key, item in value.items())
    if isinstance(value, list):
        return size + sum(weigh(item) for item in value)
    return size
