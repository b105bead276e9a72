"""What the dashboard's pages are told: looked at once a second for all of an owner's, while there are any."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from captcha_bypass.api.dashboard.view import view_of, without_clocks
from captcha_bypass.concurrency import Background
from captcha_bypass.errors import TooManyWaiting
from captcha_bypass.history import History, Minute
from captcha_bypass.status import StatusBoard
from captcha_bypass.tasks.base import JsonDict

#: Seconds between two looks, and so between two batches.
BATCH_SECONDS = 1.0
#: Seconds after which the status is sent although only its clocks have moved: a connection without any
#: event is a lost one.
STATUS_SECONDS = 5.0
#: Listeners at once, of all owners.
MAX_LISTENERS = 100
#: Minutes that are sent again: the current one, and the one before it, in which a task may have ended
#: after the last look.
LAST_MINUTES = 2


@dataclass
class _Seen:
    """What a listener has: numbers of the feed's looks, and a version of the history."""

    status: int | None = None
    minutes: int | None = None
    tasks: int | None = None


class Listener:
    """One page that is told; whatever it misses by being slow is one batch, not many."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._seen = _Seen()
        self._wake = asyncio.Event()
        self._is_open = True

    async def news(self) -> list[bytes] | None:
        """Wait until there is something new, and return its events; None: nothing will be any more."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self._is_open:
                return None
            if events := self._feed.news(self._seen):
                return events

    def wake(self) -> None:
        """Say that there may be."""
        self._wake.set()

    def close(self) -> None:
        """Say that it is over."""
        self._is_open = False
        self._wake.set()


class Feed:
    """What one owner's listeners are told."""

    def __init__(self, board: StatusBoard, history: History, owner: str) -> None:
        self._board = board
        self._history = history
        self._owner = owner
        self.listeners: set[Listener] = set()
        #: The last status, how often it has changed, and when it was last sent.
        self._status: tuple[JsonDict, bytes] | None = None
        self._statuses = 0
        self._status_at = 0.0
        #: The last hour, how often it has changed, and by which minute and version of the history.
        self._hour: list[Minute] = []
        self._hours = 0
        self._hour_of = (0, -1)
        #: Of the history at the last look.
        self._version = -1
        #: By the version that they begin at: events of tasks, and the version that they lead to.
        self._tasks: dict[int | None, tuple[bytes, int]] = {}

    async def run(self) -> None:
        """Look as long as anybody listens."""
        while self.listeners:
            if await self._look():
                for listener in self.listeners:
                    listener.wake()
            await asyncio.sleep(BATCH_SECONDS)

    @property
    def has_looked(self) -> bool:
        """Whether there is something to tell a new listener already."""
        return self._status is not None

    def news(self, seen: _Seen) -> list[bytes]:
        """Return the events that bring a listener up to date, and note that it has them."""
        events = []
        if self._status is not None and seen.status != self._statuses:
            events.append(self._status[1])
        if seen.tasks is None or seen.tasks < self._version:
            event, seen.tasks = self._tasks_since(seen.tasks)
            events.append(event)
        if seen.minutes != self._hours:
            last = seen.minutes is not None and seen.minutes == self._hours - 1
            events.append(_event("minutes", self._hour[-LAST_MINUTES:] if last else self._hour))
        seen.status, seen.minutes = self._statuses, self._hours
        return [event for event in events if event]

    async def _look(self) -> bool:
        """Find out what is new; False: nothing is."""
        before = self._statuses, self._hours, self._version
        view = view_of(await self._board.now(self._owner))
        steady, now = without_clocks(view), asyncio.get_running_loop().time()
        late = now - self._status_at >= STATUS_SECONDS
        if self._status is None or self._status[0] != steady or late:
            self._status = steady, _event("status", view)
            self._statuses += 1
            self._status_at = now
        self._version = self._history.version
        if self._version != before[2]:
            self._tasks.clear()
        self._look_at_minutes()
        return before != (self._statuses, self._hours, self._version)

    def _look_at_minutes(self) -> None:
        of = int(time.time() // 60), self._version
        if of != self._hour_of:
            hour = self._history.minutes(self._owner)
            if hour != self._hour:
                self._hours += 1
            self._hour, self._hour_of = hour, of

    def _tasks_since(self, since: int | None) -> tuple[bytes, int]:
        known = self._tasks.get(since)
        if known is None:
            known = self._tasks[since] = self._changed(since), self._history.version
        return known

    def _changed(self, since: int | None) -> bytes:
        removed = None if since is None else self._history.removed_since(self._owner, since)
        if since is None or removed is None:
            tasks = self._history.entries(self._owner)
            return _event("tasks", {"reset": True, "tasks": tasks, "removed": []})
        tasks = self._history.entries(self._owner, since)
        if not tasks and not removed:
            return b""  # what has changed is another owner's
        return _event("tasks", {"reset": False, "tasks": tasks, "removed": removed})


class Feeds:
    """The feeds of all owners that anybody listens to."""

    def __init__(self, board: StatusBoard, history: History) -> None:
        self._board = board
        self._history = history
        self._feeds: dict[str, Feed] = {}
        self._background = Background()

    @property
    def listeners(self) -> int:
        """How many listen."""
        return sum(len(feed.listeners) for feed in self._feeds.values())

    @contextmanager
    def listening(self, owner: str) -> Iterator[Listener]:
        """Listen within the block.

        Raises:
            TooManyWaiting: there are too many already.
        """
        if self.listeners >= MAX_LISTENERS:
            raise TooManyWaiting(
                f"{MAX_LISTENERS} dashboards are open; close one, or try again later."
            )
        feed = self._feeds.get(owner)
        if feed is None:
            feed = self._feeds[owner] = Feed(self._board, self._history, owner)
        listener = Listener(feed)
        if not feed.listeners:
            self._background.run(feed.run())
        elif feed.has_looked:
            listener.wake()
        feed.listeners.add(listener)
        try:
            yield listener
        finally:
            feed.listeners.discard(listener)
            if not feed.listeners and self._feeds.get(owner) is feed:
                del self._feeds[owner]

    def hang_up(self) -> None:
        """Tell all listeners that it is over."""
        for feed in self._feeds.values():
            for listener in feed.listeners:
                listener.close()

    async def close(self) -> None:
        """Look no more."""
        await self._background.close()


def _event(name: str, value: object) -> bytes:
    data = json.dumps(value, separators=(",", ":"))  # ASCII, and so without any kind of new line
    return f"event: {name}\ndata: {data}\n\n".encode("ascii")
