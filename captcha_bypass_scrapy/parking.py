"""Requests that have to wait do so in the scheduler, where they are safe and take no place.

A request that waits in a middleware keeps one of CONCURRENT_REQUESTS places, and is lost with the
process. So it is given back: the middleware returns a copy with a priority so low that everything
else comes first. When it comes by again nothing else is to be done, and only then it waits here
for a moment, and leaves at once when a new request needs its place.

A copy that comes back without having been scheduled belongs to somebody who awaits the response
(robots.txt, media, `engine.download_async`) and must wait in place, which is lent to others.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from scrapy import Request
from scrapy.http.request import NO_CALLBACK
from scrapy.pqueues import DownloaderAwarePriorityQueue

from captcha_bypass_scrapy import request_state, resending
from captcha_bypass_scrapy.compat import scheduler_of, wake_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy.core.downloader import Slot
    from scrapy.crawler import Crawler

_MARK = "_captcha_bypass_park"
#: What a waiting request's priority is lowered by: more than projects use, for any order of theirs.
BEHIND_ALL = 1_000_000
#: Seconds a request with nothing before it in the scheduler waits here before it is given back.
#: A scheduler that others feed as well (Redis) may have something better by then.
WAIT_SECONDS = 1.0
#: Seconds between two looks at who waits for a robots.txt.
LEND_SECONDS = 0.1


class Obstacle(NamedTuple):
    """What a request has to wait for: an event, or time.

    Attributes:
        freed: Resolved when others of its host need not wait any more, if they have to now.
    """

    event: asyncio.Future[Any] | None
    seconds: float = float("inf")
    freed: asyncio.Future[None] | None = None


class Parking:
    """Gives requests back to the scheduler, and lets those that come by again wait a little."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        #: One for each request that waits here, in order; resolved to have it leave.
        self._nudges: dict[asyncio.Future[None], None] = {}
        #: They make a download slot look busy.
        many = max(100, 2 * crawler.settings.getint("CONCURRENT_REQUESTS"))
        self._fillers = {Request("data:,") for _ in range(many)}
        self._marked: dict[str, Slot] = {}  # download slots by name
        self._closed: set[str] = set()  # those of them of which no request can go on
        self._adjust = crawler.settings.getint("RETRY_PRIORITY_ADJUST")
        self._lent = 0

    def send(self, request: Request) -> Request:
        """Return the copy that a middleware must return to have the request wait."""
        copy = resending.resent(request)
        copy.priority = request.priority - BEHIND_ALL
        copy.meta[_MARK] = True
        return copy

    def step_back(self, request: Request) -> None:
        """Let others lead the next solve, as RetryMiddleware puts off what it sends again."""
        request_state.step_back(request)
        request.priority += int(request.meta.get("priority_adjust", self._adjust))

    def scheduled(self, request: Request) -> None:
        """Make room for a request that was scheduled and can go on; call it for every one."""
        if request.meta.pop(_MARK, False):
            return
        if self._marked:
            name = self._slot(request)[0]
            if name in self._closed:
                return  # it will have to wait as well
            self._unmark(name)
        nudge = next(iter(self._nudges), None)
        if nudge is not None:
            del self._nudges[nudge]
            nudge.set_result(None)

    def pop_unscheduled(self, request: Request) -> bool:
        """Take our mark off a request; says whether it came back without having been scheduled.

        Then somebody awaits its response.
        """
        return bool(request.meta.pop(_MARK, False))

    async def wait(self, request: Request, obstacle: Obstacle, *, first: bool) -> bool:
        """Wait a moment for what is in the way; at most `WAIT_SECONDS`.

        Args:
            first: Whether the request comes by for the first time.

        Returns:
            Whether to look again; otherwise the request is to be given back.
        """
        event, seconds, _ = obstacle
        if self._others_come_first(request, obstacle, first=first):
            return False
        nudge: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._nudges[nudge] = None
        waited: list[asyncio.Future[Any]] = [nudge] if event is None else [nudge, event]
        try:
            done, _ = await asyncio.wait(
                waited, timeout=min(seconds, WAIT_SECONDS), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            self._nudges.pop(nudge, None)
        if event in done:
            return True
        return nudge not in done and seconds <= WAIT_SECONDS

    async def wait_in_place(self, request: Request, obstacle: Obstacle) -> None:
        """Wait a moment for an event without taking a place; to be called until it came."""
        name, slot = self._slot(request)
        if slot is not None and name not in self._marked:
            self._mark(name, slot, obstacle)
        event, seconds, _ = obstacle
        # Those that wait for a robots.txt keep coming, and have places to lend as well.
        seconds = min(seconds, LEND_SECONDS if _is_robots(request) else WAIT_SECONDS)
        with self.place_lent(request):
            if event is None:
                await asyncio.sleep(seconds)
            else:
                await asyncio.wait([event], timeout=seconds)

    @contextmanager
    def place_lent(self, request: Request) -> Iterator[None]:
        """Let others use the place of a request that waits for long and cannot leave.

        Nor can those that wait for this one, if it is a robots.txt.
        """
        active: set[Request] = getattr(self._crawler.engine.downloader, "active", set())
        lent = {request} & active
        if _is_robots(request):
            host = urlsplit(request.url).netloc
            lent |= {
                other
                for other in active
                if urlsplit(other.url).netloc == host and not other.meta.get("dont_obey_robotstxt")
            }
        active -= lent
        self._lent += 1
        wake_engine(self._crawler)
        try:
            yield
        finally:
            self._lent -= 1
            active |= lent

    def is_lending(self) -> bool:
        """Whether a request waits that the engine does not count: the spider is not idle then."""
        return self._lent > 0

    def _others_come_first(self, request: Request, obstacle: Obstacle, *, first: bool) -> bool:
        """Whether others may be taken out of the scheduler now that this one is known to wait."""
        queue = getattr(scheduler_of(self._crawler), "mqs", None)
        if not isinstance(queue, DownloaderAwarePriorityQueue):
            return first
        name, slot = self._slot(request)
        if slot is None or name in self._marked:
            return False
        self._mark(name, slot, obstacle)
        return True

    def _mark(self, name: str, slot: Slot, obstacle: Obstacle) -> None:
        """Have the default queue, which looks for idle hosts, prefer all others to this one.

        Otherwise the whole backlog of the host would be taken out of the queue only to wait.
        """
        slot.active.update(self._fillers)
        self._marked[name] = slot
        event, seconds, freed = obstacle
        if freed is not None:
            self._closed.add(name)
        if (over := freed or event) is not None:
            over.add_done_callback(lambda _: self._unmark(name))
        if seconds != float("inf"):
            asyncio.get_running_loop().call_later(seconds, self._unmark, name)

    def _unmark(self, name: str) -> None:
        self._closed.discard(name)
        slot = self._marked.pop(name, None)
        if slot is not None:
            slot.active.difference_update(self._fillers)

    def _slot(self, request: Request) -> tuple[str, Slot | None]:
        """Return the name of a request's download slot, and the slot if it is there."""
        downloader = self._crawler.engine.downloader
        try:
            name = downloader.get_slot_key(request)
            return name, downloader.slots.get(name)
        except AttributeError:  # another DOWNLOADER: waiting works without this too
            return "", None


def _is_robots(request: Request) -> bool:
    """Whether RobotsTxtMiddleware waits for it, and with it all requests to that host."""
    ours = request.callback is NO_CALLBACK and request.meta.get("dont_obey_robotstxt")
    return bool(ours) and urlsplit(request.url).path == "/robots.txt"
