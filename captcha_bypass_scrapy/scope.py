"""Where browsers' pages may end: what the offsite filter and robots.txt allow."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scrapy import Request
from scrapy.downloadermiddlewares.offsite import OffsiteMiddleware
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.utils.defer import maybe_deferred_to_future
from twisted.internet.defer import Deferred

from captcha_bypass_scrapy import request_state
from captcha_bypass_scrapy.compat import HOOK_ARGUMENTS
from captcha_bypass_scrapy.errors import SolveError

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


#: Seconds in which the requests that waited for a robots.txt come by; they all do at once.
ASK_AGAIN_SECONDS = 5.0


class Scope:
    """Asks Scrapy's own middlewares what they would say to a page that a browser ended on."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._ask_again: dict[str, float] = {}

    def is_offsite(self, url: str) -> bool:
        """Whether the offsite filter would drop a link there."""
        if self._offsite is None or self._crawler.spider is None:
            return False
        return not self._offsite.should_follow(Request(url), self._crawler.spider)

    async def ensure_allowed(self, url: str, request: Request) -> None:
        """See whether the page is one that the request could have been redirected to.

        Raises:
            SolveError: the offsite filter or robots.txt forbid it.
        """
        if url == request.url:
            return
        exempt = request.dont_filter or request_state.user_allows_offsite(request)
        if not exempt and self.is_offsite(url):
            raise SolveError(
                f"the browser ended at {url}, which is outside of allowed_domains", "offsite"
            )
        try:
            await self._obey_robots(url, request)
        except IgnoreRequest as error:
            raise SolveError(f"the browser ended at {url}: {error}", "offsite") from error

    def robots_arrived(self, request: Request) -> None:
        """Note that a robots.txt came after a solve; many requests may have waited for it."""
        if urlsplit(request.url).path == "/robots.txt":
            self._ask_again[urlsplit(request.url).netloc] = time.monotonic() + ASK_AGAIN_SECONDS

    async def ask_robots_again(self, request: Request) -> None:
        """See whether a request that has waited for robots.txt obeys it.

        Scrapy (2.19) hands it to the first of those that wait and lets the others go unchecked.

        Raises:
            IgnoreRequest: robots.txt forbids it.
        """
        until = self._ask_again.get(urlsplit(request.url).netloc) if self._ask_again else None
        if until is not None and time.monotonic() < until:
            await self._obey_robots(request.url, request)

    async def _obey_robots(self, url: str, request: Request) -> None:
        if self._robots is None or request.meta.get("dont_obey_robotstxt"):
            return
        asked = Request(url, headers=request.headers)
        answer = self._robots.process_request(asked, **HOOK_ARGUMENTS)
        await (maybe_deferred_to_future(answer) if isinstance(answer, Deferred) else answer)

    # They are only there once the crawl has begun.

    @cached_property
    def _offsite(self) -> OffsiteMiddleware | None:
        return self._crawler.get_downloader_middleware(OffsiteMiddleware)

    @cached_property
    def _robots(self) -> RobotsTxtMiddleware | None:
        return self._crawler.get_downloader_middleware(RobotsTxtMiddleware)
