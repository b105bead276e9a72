"""One challenge through the service: for a clearance, or for the page itself."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

from captcha_bypass_scrapy import retries
from captcha_bypass_scrapy.cookies import Cookie, choose, parse_header
from captcha_bypass_scrapy.errors import SolveError, SolverUnavailable
from captcha_bypass_scrapy.exits import Key, origin_of
from captcha_bypass_scrapy.pages import (
    checked,
    page_to_solve,
    response_from,
    task_cookies,
    task_for,
    task_headers,
)
from captcha_bypass_scrapy.patience import until_content

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.http import Response

    from captcha_bypass.challenges import Challenge
    from captcha_bypass_scrapy.clearance import Clearance, Clearances
    from captcha_bypass_scrapy.client import Solution, SolverClient
    from captcha_bypass_scrapy.detection import Detector
    from captcha_bypass_scrapy.settings import Config, Options
    from captcha_bypass_scrapy.telling import Teller


class Solver:
    """Makes tasks, judges what comes back, and lets a service in trouble be.

    Args:
        pages_at_once: How many pages of one key browsers open at a time, as many as Scrapy would.
    """

    def __init__(
        self,
        client: SolverClient,
        config: Config,
        clearances: Clearances,
        tell: Teller,
        detect: Detector,
        pages_at_once: int,
    ) -> None:
        self._client = client
        self._config = config
        self._clearances = clearances
        self._tell = tell
        self._detect = detect
        self._gates: defaultdict[Key, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(max(1, pages_at_once))
        )
        self._down_until = 0.0
        self._down_reason: str | None = None

    async def clear(
        self, request: Request, key: Key, options: Options, challenge: Challenge
    ) -> Solution:
        """Get a clearance and store it.

        Raises:
            SolveError: there is none.
            CrawlEnding: the spider is closing.
        """
        self._raise_if_down()
        url = page_to_solve(request, options)
        old = self._clearances.current(key)
        # One host may have several challenges, each with a cookie of its own: a new clearance
        # must not lose the others. The request's own cookies stay out of what is shared.
        cookies = [c.as_task() for c in old.cookies if c.live()] if old is not None else []
        self._tell.solving(key, challenge, request, url)
        started = time.monotonic()
        headers = task_headers(request, url)
        try:
            solution = await self._solution(request, url, key, options, cookies, headers)
        except SolveError as error:
            if not isinstance(error, SolverUnavailable):
                self._clearances.failed(key, str(error))
            self._tell.failed(key, str(error), time.monotonic() - started)
            raise
        seconds = time.monotonic() - started
        clearance = self._clearances.solved(
            key,
            self._others(key, request, solution),
            challenge.vendor,
            self._chosen(solution["cookies"], challenge.vendor),
            solution["user_agent"],
        )
        self._tell.solved(key, clearance, seconds)
        return solution

    async def page(
        self, request: Request, key: Key, options: Options, clearance: Clearance
    ) -> Response:
        """Have the browser open the request's own page, and return that.

        Raises:
            SolveError: it could not be had.
            CrawlEnding: the spider is closing.
        """
        url = retries.home_url(request)
        async with self._gates[key]:
            self._raise_if_down()
            cookies = task_cookies(request, clearance.cookies)
            headers = task_headers(request)
            solution = await self._solution(request, url, key, options, cookies, headers)
        # The browser may have been challenged anew; the next page shall profit. Cookies that the
        # request brought along are nobody else's.
        own = parse_header((request.headers.get(b"Cookie") or b"").decode("latin-1"))
        got = [cookie for cookie in solution["cookies"] if cookie["name"] not in own]
        clearance.renew(self._chosen(got, clearance.vendor), solution["user_agent"])
        return self.response(solution, request)

    @staticmethod
    def answers(request: Request, options: Options) -> bool:
        """Whether the page a clearance was got with is this request's response.

        Only in mode html, and if the browser opened this request's own page.
        """
        return (
            options.mode == "html"
            and request.method == "GET"
            and not options.url
            # A challenge's own reload does not send them again.
            and not task_headers(request)
            and page_to_solve(request, options) == retries.home_url(request)
        )

    def response(self, solution: Solution, request: Request) -> Response:
        """Return the browser's page as a response, if it is no challenge to the user's detector."""
        response = response_from(solution, request)
        found = self._detect(response)
        if found is not None and found.solvable:
            raise SolveError(f"the browser's page is a {found.vendor} challenge")
        self._tell.page(request, response.url)
        retries.forget(request)
        return response

    async def _solution(
        self,
        request: Request,
        url: str,
        key: Key,
        options: Options,
        cookies: list[dict[str, Any]],
        headers: dict[str, str],
    ) -> Solution:
        proxy = key.exit if self._config.share_proxy else None
        task = task_for(url, options, proxy, cookies, headers)
        solution = checked(await self._asked(task, key), options.timeout_seconds)
        return await until_content(
            task, solution, request, options, self._detect, partial(self._asked, key=key)
        )

    async def _asked(self, task: dict[str, Any], key: Key) -> Solution:
        """Return the service's answer, which need not be a solution."""
        try:
            solution = await self._client.solve(task, lambda state: self._tell.slow(key, state))
        except SolverUnavailable as error:
            self._went_down(error)
            raise
        if self._down_reason is not None:
            self._down_reason = None
            self._tell.available()
        return solution

    def _chosen(self, cookies: list[dict[str, Any]], vendor: str) -> tuple[Cookie, ...]:
        return choose(map(Cookie.from_result, cookies), vendor, self._config.cookies)

    def _went_down(self, error: SolverUnavailable) -> None:
        self._down_until = time.monotonic() + error.pause
        if self._down_reason is None:
            self._tell.unavailable(str(error), error.pause)
        self._down_reason = str(error)

    def _raise_if_down(self) -> None:
        left = self._down_until - time.monotonic()
        if self._down_reason is not None and left > 0:
            raise SolverUnavailable(self._down_reason, left)

    @staticmethod
    def _others(key: Key, request: Request, solution: Solution) -> list[Key]:
        """Return what else a clearance is good for: where redirects came by and ended.

        A cookie goes only to its own domain, whatever key it stands under.
        """
        urls = [*request.meta.get("redirect_urls", ()), request.url, solution["url"]]
        return [Key(origin_of(url), key.exit) for url in urls]
