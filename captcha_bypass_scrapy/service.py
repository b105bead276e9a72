"""The service as a crawl uses it: one that is away or full is waited for, as the settings say."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from captcha_bypass_scrapy.errors import CrawlEnding, FetchFailed, SolveError, SolverUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from captcha_bypass_scrapy.answers import Solution
    from captcha_bypass_scrapy.client import SolverClient
    from captcha_bypass_scrapy.fetch_client import FetchClient, Fetched
    from captcha_bypass_scrapy.keys import SiteKey
    from captcha_bypass_scrapy.reporting import Reporter
    from captcha_bypass_scrapy.settings import Config

#: Seconds between two questions whether a service that is away is back.
ASK_SECONDS = 2.0


class Service:
    """Hands tasks and requests on, and remembers for all of them that the service is in trouble.

    Args:
        closing: Whether the spider is closing.
    """

    def __init__(
        self,
        client: SolverClient,
        fetcher: FetchClient,
        config: Config,
        reporter: Reporter,
        closing: Callable[[], bool],
    ) -> None:
        self._client = client
        self._config = config
        self._reporter = reporter
        self._closing = closing
        self._fetcher = fetcher
        self._down_since = self._down_until = 0.0
        #: Since when it has had no place for anything.
        self._busy_since: float | None = None
        self._down: SolverUnavailable | None = None

    async def run(self, task: dict[str, Any], key: SiteKey) -> Solution:
        """Return the answer to a task, which need not be a solution; wait for a service in trouble.

        Raises:
            SolveError: this task did not work out.
            SolverUnavailable: none would, and the settings do not say to wait (any longer).
            CrawlEnding: the spider is closing.
        """
        began = time.monotonic()
        while True:
            try:
                self.check_available()
                solution = await self._client.solve(
                    task,
                    lambda state: self._reporter.slow(key, state),
                    lambda link: self._reporter.needs_person(key, link),
                )
            except SolverUnavailable as error:
                self._went_down(error)
                if not self._waits(error, began):
                    raise
                await self._sleep(min(error.pause, ASK_SECONDS))
            else:
                break
        self._came_back()
        return solution

    async def refuse(self, clearance_id: str) -> bool | None:
        """Tell that a clearance is not good any more; see SolverClient."""
        return await self._client.refuse(clearance_id)

    async def fetch(self, body: dict[str, Any], *, most: int, leaves: bool) -> Fetched:
        """Return a site's answer to a request; unlike `run` it waits for no service.

        Args:
            body: Body of POST /fetch.
            most: Bytes of the answer's body; 0: any number.
            leaves: Whether the request is given up where the spider closes.

        Raises:
            FetchFailed, SolveError, CrawlEnding: see FetchClient.
            SolverUnavailable: `waits_for` says whether it is worth another try.
        """
        self.check_available()
        try:
            answer = await self._fetcher.fetch(body, most=most, leaves=leaves)
        except SolverUnavailable as error:
            self._went_down(error)
            raise
        except (FetchFailed, SolveError):
            self._came_back()  # it answers
            raise
        self._came_back()
        return answer

    def waits_for(self, error: SolverUnavailable) -> bool:
        """Whether requests that failed for this are for later rather than lost."""
        began = self._down_since if self._busy_since is None else self._busy_since
        return self._waits(error, began)

    def check_available(self) -> None:
        """See whether it makes sense to ask the service now.

        Raises:
            SolverUnavailable: it is known that it cannot be used, and it is not waited for.
        """
        left = self._down_until - time.monotonic()
        if self._down is not None and left > 0 and not self._waits(self._down, 0.0):
            raise SolverUnavailable(str(self._down), left, self._down.state)

    def _came_back(self) -> None:
        self._busy_since = None
        if self._down is not None:
            self._down = None
            self._reporter.available()

    def _waits(self, error: SolverUnavailable, began: float) -> bool:
        """Whether a task is for later rather than lost."""
        if self._config.on_unavailable != "wait" or error.state == "refusing":
            return False
        since = max(began, self._client.moved) if error.state == "busy" else self._down_since
        return time.monotonic() < since + self._config.unavailable_seconds

    def _went_down(self, error: SolverUnavailable) -> None:
        if error.state == "busy" and self._busy_since is None:
            self._busy_since = time.monotonic()
        if error.state == "busy" and self._config.on_unavailable == "wait":
            return
        now = time.monotonic()
        if self._down is None:
            self._down_since = now
            self._reporter.unavailable(error, self._config)
        self._down, self._down_until = error, now + error.pause

    async def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._closing():
                raise CrawlEnding
            await asyncio.sleep(min(left, self._config.long_poll_seconds))
