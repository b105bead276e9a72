"""Requests of a challenged host wait here, so that they take no place from other hosts.

A request that waits in a middleware keeps one of CONCURRENT_REQUESTS places, and the scheduler
goes on handing out its host's requests because that host looks idle: soon all places are taken
and every host stands still. A parked request has left the downloader instead.

The way in: the middleware returns a marked copy, the engine announces it with the signal
`request_scheduled`, and our handler takes it out with IgnoreRequest. The way back is
`engine.crawl`. A copy that comes back to the middleware still marked was not announced: it belongs
to somebody who awaits the response (robots.txt, media, `engine.download_async`) and must wait in
place.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from typing import TYPE_CHECKING

from scrapy.exceptions import IgnoreRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.core.engine import ExecutionEngine
    from scrapy.crawler import Crawler

    from captcha_bypass_scrapy.clearance import Flight
    from captcha_bypass_scrapy.exits import Key

_MARK = "_captcha_bypass_park"
#: Seconds between two batches of released requests, and the longest wait of one that found the
#: parking full.
PAUSE_SECONDS = 0.05
FULL_SECONDS = 0.5


class Parking:
    """Parked requests by key.

    Args:
        capacity: How many fit in; more stay in the scheduler.
        batch: How many are released at a time, so that a site is not hit by all of them at once.
    """

    def __init__(self, crawler: Crawler, capacity: int, batch: int) -> None:
        self._crawler = crawler
        self._capacity = capacity
        self._batch = max(1, batch)
        self._parked: defaultdict[Key, deque[Request]] = defaultdict(deque)
        #: Marked copies on their way to `announced`.
        self._arriving: dict[int, Key] = {}
        self._tickets = 0

    def send(self, request: Request, key: Key) -> Request:
        """Return the copy that a middleware must return to have the request parked."""
        self._tickets += 1
        self._arriving[self._tickets] = key
        copy = request.replace(dont_filter=True)
        copy.meta[_MARK] = self._tickets
        return copy

    def full(self) -> bool:
        """Whether no more fit in."""
        return sum(len(parked) for parked in self._parked.values()) >= self._capacity

    def turned_back(self, request: Request) -> bool:
        """Whether this is a marked copy that nobody announced; unmarks it."""
        ticket = request.meta.pop(_MARK, None)
        self._arriving.pop(ticket, None)
        return ticket is not None

    def announced(self, request: Request, wanted: Callable[[Key], bool]) -> None:
        """Take a marked request out; to be called for every scheduled request.

        Args:
            wanted: Whether the key is still being solved; a request that comes too late passes.

        Raises:
            IgnoreRequest: it is parked now.
        """
        ticket = request.meta.pop(_MARK, None)
        key = self._arriving.pop(ticket, None)
        if key is None or not wanted(key):
            return
        self._parked[key].append(request)
        self._count_as_active(request)
        raise IgnoreRequest("parked until its host's challenge is solved")

    def let_one_go(
        self,
        key: Key,
        suitable: Callable[[Request], bool],
        prepare: Callable[[Request], None],
    ) -> None:
        """Give one suitable request of a key back to the scheduler, if there is one."""
        parked = self._parked[key]
        request = next(filter(suitable, parked), None)
        if request is not None:
            parked.remove(request)
            self._count_as_active(request, leaving=True)
            prepare(request)
            self._engine.crawl(request)

    async def release(
        self, key: Key, prepare: Callable[[Request], bool], closing: Callable[[], bool]
    ) -> None:
        """Give a key's requests back to the scheduler, in batches.

        Args:
            prepare: Called with each; returns False for one that does not go to the site, and so
                need not wait for a batch.
            closing: Whether the spider is closing; then all go at once, to be kept in a JOBDIR.
        """
        parked = self._parked.pop(key, deque())
        in_batch = 0
        while parked:
            request = parked.popleft()
            self._count_as_active(request, leaving=True)
            in_batch += prepare(request)
            self._engine.crawl(request)
            if in_batch == self._batch and not closing():
                in_batch = 0
                await asyncio.sleep(PAUSE_SECONDS)

    @property
    def _engine(self) -> ExecutionEngine:
        return self._crawler.engine

    async def pause(self, flight: Flight | None) -> None:
        """Wait a moment, or less if the solve ends."""
        if flight is not None:
            await asyncio.wait([flight.landed], timeout=FULL_SECONDS)

    def _count_as_active(self, request: Request, *, leaving: bool = False) -> None:
        """Make the host look busy, so that the default queue prefers the requests of others.

        Otherwise the whole backlog of the host would be taken out of the queue only to be parked.
        """
        downloader = self._engine.downloader
        try:
            slot = downloader.slots.get(downloader.get_slot_key(request))
        except AttributeError:  # another DOWNLOADER: parking works without this too
            return
        if slot is not None and leaving:
            slot.active.discard(request)
        elif slot is not None:
            slot.active.add(request)
