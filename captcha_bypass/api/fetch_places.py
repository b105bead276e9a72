"""Requests that browsers send for clients: how many at once, what they hold, and how each ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from captcha_bypass.config import Config
from captcha_bypass.errors import CaptchaBypassError, TooManyWaiting
from captcha_bypass.wire.fetch import Fetched, FetchRequest

logger = logging.getLogger(__name__)

#: Told of each request: the outcome (`answered`, `cancelled`, or the code of its error), the seconds it
#: took, and the bytes of its body and of its answer's.
Report = Callable[[str, float, int, int], None]


class Fetching(Protocol):
    """Sends requests through browsers; fetching.sites does."""

    async def fetch(self, request: FetchRequest, owner: str) -> Fetched:
        """Return what a site answers, once no challenge is in the way.

        A caller that is cancelled ends the request at the site.

        Raises:
            RequestError: it is not taken.
            CaptchaBypassError: there is no answer; the code says why, see api.fetch.STATUS.
        """


class FetchPlaces:
    """Those under way, of `POST /fetch` and of `/v1`.

    Args:
        report: Told of each request that was taken.
    """

    def __init__(self, config: Config, fetching: Fetching, report: Report) -> None:
        self._most = config.max_waiting
        self._most_bytes = config.max_results_bytes
        self._fetching = fetching
        self._report = report
        self._running = 0
        #: Bytes of requests and answers that are held.
        self._held = 0

    @contextmanager
    def place(self, size: int) -> Iterator[None]:
        """Have a request under way within the block.

        Args:
            size: Bytes that it holds.

        Raises:
            TooManyWaiting: too many are, or they hold too much.
        """
        if self._running >= self._most:
            raise TooManyWaiting(
                f"{self._running} requests wait for sites; try again later or raise --max-waiting."
            )
        if self._held and self._held + size > self._most_bytes:
            raise TooManyWaiting(
                f"Requests and answers hold {self._held} bytes; try again later, or raise "
                "--max-results-bytes."
            )
        self._running += 1
        try:
            with self.holding(size):
                yield
        finally:
            self._running -= 1

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Count bytes as held within the block."""
        self._held += size
        try:
            yield
        finally:
            self._held -= size

    async def send(self, request: FetchRequest, owner: str) -> Fetched:
        """See Fetching.fetch; report how it ended."""
        clock = asyncio.get_running_loop().time
        started, outcome, found = clock(), "internal_error", None
        try:
            found = await self._fetching.fetch(request, owner)
            outcome = "answered"
            return found
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except CaptchaBypassError as error:
            outcome = error.code
            raise
        finally:
            self._tell(request, outcome, found, clock() - started)

    def _tell(
        self, request: FetchRequest, outcome: str, found: Fetched | None, seconds: float
    ) -> None:
        received = 0 if found is None else len(found.body)
        self._report(outcome, seconds, len(request.content or b""), received)
        told = {"host": request.host, "outcome": outcome, "seconds": round(seconds, 4)}
        if found is not None:
            told |= {"status": found.status, "bytes": received}
            told |= {"page_seconds": round(found.page_seconds, 4)}
        logger.debug("fetch ended", extra=told)
