"""Takes tasks of the fleet for one node, while that has free slots."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from captcha_bypass.concurrency import Background
from captcha_bypass.errors import QueueUnavailable
from captcha_bypass.tasks.base import Handler
from captcha_bypass.tasks.fleet.news import POLL_SECONDS, happens
from captcha_bypass.tasks.fleet.outage import RETRY_SECONDS, Outage
from captcha_bypass.tasks.fleet.runs import SETTLE_SECONDS, Runs
from captcha_bypass.tasks.fleet.store import Store


class Taking:
    """Takes the oldest task that may run here, and then the next.

    Args:
        node: Who takes them.
        outage: Told where Redis cannot be reached.
        runs: What it has; it is given what is taken.
    """

    def __init__(self, store: Store, node: str, outage: Outage, runs: Runs) -> None:
        self._store = store
        self._node = node
        self._outage = outage
        self._runs = runs
        self._slots = 0
        self._stopping = False
        #: There may be something to take.
        self._pending = asyncio.Event()
        #: What was cancelled while this node takes a task, which may be that one.
        self._cancelled: set[str] | None = None
        self._job: asyncio.Task[None] | None = None

    def start(self, handler: Handler | None, slots: int, loops: Background) -> None:
        """Begin, in the background; `None`: tasks are for others to run."""
        self._slots = slots
        self._job = loops.start(self._take_all(handler))

    async def stop(self) -> None:
        """Take nothing new; returns once what was being taken is here, or Redis does not answer."""
        self._stopping = True
        self.look()
        if self._job is not None:
            await asyncio.wait({self._job}, timeout=SETTLE_SECONDS)

    def look(self) -> None:
        """See what is pending: there may be something to take now."""
        self._pending.set()

    def on_free(self) -> None:
        """Take note that a slot may be free again."""
        if self._runs.busy + 1 >= self._slots:  # there was no slot for what is pending
            self.look()

    def cancel(self, task_id: str) -> None:
        """Take note that a task is cancelled, which may be under way to this node."""
        if self._cancelled is not None:
            self._cancelled.add(task_id)

    async def _take_all(self, handler: Handler | None) -> None:
        while handler is not None and not self._stopping:
            self._pending.clear()
            try:
                while self._runs.busy < self._slots and not self._stopping:
                    if not await self._take(handler):
                        break
            except QueueUnavailable as error:
                self._outage.began(error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            finally:
                self._cancelled = None
            await happens(self._pending, POLL_SECONDS)

    async def _take(self, handler: Handler) -> bool:
        """Take one task; return whether there may be more."""
        token = uuid4().hex
        self._cancelled = set()
        taken = await self._store.take(self._node, token)
        if taken is None:
            return False
        was_cancelled = taken.task_id in self._cancelled
        self._runs.begin(handler, taken, token, cancelled=was_cancelled, handed_over=self._stopping)
        return taken.has_more
