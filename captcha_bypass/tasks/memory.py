"""The default queue: one process, no dependency, gone with the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from captcha_bypass.errors import QueueFull, ShuttingDown
from captcha_bypass.tasks.base import Handler, JsonDict, Observer, Record, State, Stats
from captcha_bypass.tasks.finished import Finished
from captcha_bypass.tasks.pending import PendingOrder
from captcha_bypass.tasks.running import INTERNAL_ERROR, Run, Running

_SHUTTING_DOWN: JsonDict = {
    "error": {
        "code": "shutting_down",
        "message": "The service stopped before the task ended; send it again.",
    }
}


@dataclass(slots=True, eq=False)
class _Entry:
    task_id: str
    payload: JsonDict
    timeout: float
    owner: str = ""
    state: State = State.PENDING
    outcome: JsonDict = field(default_factory=dict)
    #: Its place among the pending, and then the running.
    ticket: int = 0
    #: Set when the task has ended or was removed.
    done: asyncio.Event = field(default_factory=asyncio.Event)
    came_at: float = 0.0
    #: Its handler, while that runs.
    run: Run | None = None
    link: str = ""

    @property
    def waited(self) -> float:
        """Seconds since it came."""
        return asyncio.get_running_loop().time() - self.came_at

    def record(self) -> Record:
        data, error = self.outcome.get("data"), self.outcome.get("error")
        link = self.link if self.state is State.WAITING_FOR_HUMAN else None
        return Record(self.task_id, self.state, data, error, self.owner, link)


class MemoryQueue:
    """A TaskQueue in this process.

    Args:
        max_pending: Tasks that may wait for a slot; one more raises QueueFull.
        result_ttl: Seconds a finished task is kept.
        max_results_bytes: What all results may hold together; the oldest finished go first, the
            newest is always kept.
        on_start: Called with the seconds that a task was pending, when a slot takes it.
        observer: Told of every task.
    """

    def __init__(
        self,
        *,
        max_pending: int,
        result_ttl: float,
        max_results_bytes: int,
        on_start: Callable[[float], None] = lambda seconds: None,
        observer: Observer | None = None,
    ) -> None:
        self._max_pending = max_pending
        self._on_start = on_start
        self._observer = observer
        self._handler: Handler | None = None
        self._slots = 0
        self._stopping = False
        self._entries: dict[str, _Entry] = {}
        self._pending: PendingOrder[_Entry] = PendingOrder()
        self._finished = Finished(
            result_ttl, max_results_bytes, lambda task_id: self._forget(self._entries[task_id])
        )
        self._running = Running()

    @property
    def stopping(self) -> bool:
        """See TaskQueue."""
        return self._stopping

    @property
    def unfinished(self) -> tuple[int, int]:
        """See TaskQueue."""
        return len(self._running), len(self._pending)

    async def start(self, handler: Handler | None, slots: int) -> None:
        """See TaskQueue."""
        self._handler, self._slots = handler, slots
        self._dispatch()

    async def stop(self, grace: float) -> None:
        """See TaskQueue."""
        self._stopping = True
        for entry in [e for e in self._entries.values() if e.state is State.PENDING]:
            self._finish(entry, _SHUTTING_DOWN)
        await self._running.stop(grace)

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
        """See TaskQueue; there is but this process."""
        if self._stopping:
            raise ShuttingDown
        if len(self._pending) >= self._max_pending:
            raise QueueFull(
                f"{self._max_pending} tasks are pending; try again later or raise --max-queue."
            )
        entry = self._entries[task_id] = _Entry(task_id, payload, timeout, owner)
        entry.came_at = asyncio.get_running_loop().time()
        entry.ticket = self._pending.add(entry, bounds or {})
        if self._observer is not None:
            self._observer.submitted(task_id, payload, owner)
        self._dispatch()

    async def leave_slot(self, task_id: str, seconds: float, link: str) -> bool:
        """See TaskQueue."""
        entry = self._entries.get(task_id)
        if entry is None or entry.state is not State.RUNNING or entry.run is None:
            return False
        if not self._running.set_aside(entry.run, seconds):
            return False
        entry.state, entry.link = State.WAITING_FOR_HUMAN, link
        if self._observer is not None:
            self._observer.waiting(task_id)
        self._dispatch()
        return True

    async def put(self, task_id: str, outcome: JsonDict, *, owner: str = "") -> None:
        """See TaskQueue."""
        entry = self._entries[task_id] = _Entry(task_id, {}, 0.0, owner)
        self._finish(entry, outcome)

    async def get(self, task_id: str) -> Record | None:
        """See TaskQueue."""
        entry = self._entries.get(task_id)
        return None if entry is None or self._finished.is_past(task_id) else entry.record()

    async def wait(self, task_id: str, seconds: float) -> Record | None:
        """See TaskQueue."""
        entry = self._entries.get(task_id)
        if entry is not None and not entry.done.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await entry.done.wait()
            except TimeoutError:
                pass
        return await self.get(task_id)

    async def remove(self, task_id: str) -> bool:
        """See TaskQueue."""
        self._finished.clear_past()
        entry = self._entries.get(task_id)
        if entry is None:
            return False
        self._forget(entry)
        self._dispatch()  # it may have held up those behind it in a line
        if entry.run is not None:
            await entry.run.cancel()
        return True

    async def stats(self) -> Stats:
        """See TaskQueue."""
        oldest = self._pending.oldest
        return Stats(
            queued=len(self._pending),
            running=self._running.busy,
            slots=self._slots,
            oldest=0.0 if oldest is None else oldest.waited,
            waiting_for_human=self._running.aside,
        )

    def _dispatch(self) -> None:
        while self._handler is not None and self._running.busy < self._slots:
            entry = self._pending.take()
            if entry is None:
                return
            entry.state = State.RUNNING
            self._on_start(entry.waited)
            if self._observer is not None:
                self._observer.started(entry.task_id, entry.payload, entry.owner, entry.waited)
            entry.run = self._running.begin(
                self._handler,
                entry.task_id,
                entry.payload,
                entry.timeout,
                then=partial(self._ended, entry),
            )

    def _ended(self, entry: _Entry, outcome: JsonDict | None) -> None:
        entry.run = None
        self._pending.release(entry.ticket)
        if outcome is None:
            # Not stopping and not removed: the handler cancelled itself, which breaks its promise.
            outcome = _SHUTTING_DOWN if self._stopping else INTERNAL_ERROR
        if self._entries.get(entry.task_id) is entry:
            self._finish(entry, outcome)
        self._dispatch()

    def _finish(self, entry: _Entry, outcome: JsonDict) -> None:
        self._pending.discard(entry.ticket)
        entry.state = State.ERROR if "error" in outcome else State.COMPLETED
        entry.outcome = outcome
        entry.payload = {}  # it may hold a proxy password; nothing needs it any more
        if self._observer is not None:
            self._observer.ended(entry.task_id, outcome)
        entry.done.set()
        self._finished.add(entry.task_id, outcome)

    def _forget(self, entry: _Entry) -> None:
        del self._entries[entry.task_id]
        self._pending.discard(entry.ticket)
        self._finished.discard(entry.task_id)
        if self._observer is not None:
            self._observer.removed(entry.task_id)
        entry.done.set()
