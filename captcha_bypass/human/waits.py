"""Pages that wait for a person: how many there may be, how long, and how each has ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from playwright.async_api import Page

from captcha_bypass.status import Ending
from captcha_bypass.tasks.base import JsonDict, TaskQueue

logger = logging.getLogger(__name__)


class NoRoom(Exception):
    """As many pages wait for a person as may."""


class Wait:
    """A task's page that waits for a person; `Waits.open` makes it.

    Attributes:
        page: Closed by whoever lent it to the task.
        link: Where a person finds it.
        since: Epoch seconds.
        until: Epoch seconds; the time is up then.
        ended: Set once nobody is waited for any more.
        ending: How it has ended; None before.
    """

    def __init__(
        self,
        task_id: str,
        owner: str,
        host: str,
        vendor: str,
        page: Page,
        link: str,
        seconds: float,
    ) -> None:
        self.task_id = task_id
        self.owner = owner
        self.host = host
        self.vendor = vendor
        self.page = page
        self.link = link
        self.since = time.time()
        self.until = self.since + seconds
        self.deadline = asyncio.get_running_loop().time() + seconds
        self.ended = asyncio.Event()
        self.ending: Ending | None = None
        self._callbacks: list[Callable[[Wait], None]] = []

    @property
    def event(self) -> JsonDict:
        """What log lines say of it; nothing in it is of a site's making."""
        return {"task_id": self.task_id, "host": self.host, "vendor": self.vendor}

    def leave(self, by: str) -> None:
        """Give up: the task ends as one whose time is up.

        Args:
            by: Who, for the log; see api.access.
        """
        if not self.ended.is_set():
            logger.info("person gives up", extra={**self.event, "client": by})
        self.end("left")

    def end(self, ending: Ending) -> None:
        """Say how it has ended; what is said first counts."""
        if self.ended.is_set():
            return
        self.ending = ending
        self.ended.set()
        for callback in self._callbacks:
            callback(self)
        self._callbacks.clear()

    def on_end(self, callback: Callable[[Wait], None]) -> None:
        """Have a function, which must not raise, called once it has ended; at once if it has."""
        if self.ended.is_set():
            callback(self)
        else:
            self._callbacks.append(callback)


class Waits:
    """The waits of one service, each of which takes its task out of the queue's slots.

    Args:
        most: How many there may be.
        seconds: How long each may last.
        link_base: What links begin with; where it is None, whoever listens sets it.
        report: Told how each has ended, and of each that found no room.
    """

    def __init__(
        self,
        queue: TaskQueue,
        *,
        most: int,
        seconds: float,
        link_base: str | None = None,
        report: Callable[[Ending], None] = lambda ending: None,
    ) -> None:
        self._queue = queue
        self._most = most
        self._seconds = seconds
        self._report = report
        self._waits: dict[str, Wait] = {}
        self.link_base = link_base
        #: Told of each that begins; must neither raise nor take time.
        self.announce: Callable[[Wait], None] = lambda wait: None

    @property
    def count(self) -> int:
        """Pages that wait now."""
        return len(self._waits)

    def get(self, task_id: str) -> Wait | None:
        """Return the wait of a task; None: it does not wait for a person."""
        return self._waits.get(task_id)

    @asynccontextmanager
    async def open(
        self, task_id: str, owner: str, host: str, vendor: str, page: Page
    ) -> AsyncIterator[Wait]:
        """Let a page wait for a person within the block, which is left soon after the wait has ended.

        Raises:
            NoRoom: as many do as may.
        """
        if self.count >= self._most:
            raise NoRoom
        link = f"{self.link_base or ''}/dashboard#/task/{task_id}"
        wait = Wait(task_id, owner, host, vendor, page, link, self._seconds)
        self._waits[task_id] = wait
        try:
            await self._queue.leave_slot(task_id, self._seconds, link)
            logger.info("a person is needed", extra={**wait.event, "link": link})
            self.announce(wait)
            yield wait
        except asyncio.CancelledError:
            wait.end("cancelled")
            raise
        finally:
            del self._waits[task_id]
            wait.end("failed")
            self._tell(wait)

    def refused(self) -> None:
        """Count a task whose page would have waited, and found no room."""
        self._report("no_room")

    def _tell(self, wait: Wait) -> None:
        ending = wait.ending or "failed"
        self._report(ending)
        seconds = round(time.time() - wait.since, 3)
        told = {**wait.event, "outcome": ending, "seconds": seconds}
        logger.info("a person is needed no more", extra=told)
