"""One challenge through the service: for a clearance, or for the page itself."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from captcha_bypass_scrapy import request_state
from captcha_bypass_scrapy.confirmation import until_confirmed
from captcha_bypass_scrapy.cookies import Cookie, choose, vendors_own
from captcha_bypass_scrapy.errors import SolveError
from captcha_bypass_scrapy.keys import SiteKey, home_url, origin_of, pages_to_open
from captcha_bypass_scrapy.responses import checked, response_from
from captcha_bypass_scrapy.tasks import own_cookies, task_cookies, task_for, task_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scrapy import Request
    from scrapy.http import Response

    from captcha_bypass_scrapy.answers import Solution
    from captcha_bypass_scrapy.clearance import Clearance, Clearances
    from captcha_bypass_scrapy.detection import Detector
    from captcha_bypass_scrapy.options import Options
    from captcha_bypass_scrapy.reporting import Reporter
    from captcha_bypass_scrapy.scope import Scope
    from captcha_bypass_scrapy.service import Service
    from captcha_bypass_scrapy.settings import Config
    from captcha_bypass_scrapy.solves import Solve


class Solver:
    """Has tasks done and checks what comes back.

    Args:
        slot: Names a request's download slot and how many requests it takes at once; browsers
            open no more pages of it.
        scope: Where pages may end.
    """

    def __init__(
        self,
        service: Service,
        config: Config,
        clearances: Clearances,
        reporter: Reporter,
        detect: Detector,
        slot: Callable[[Request], tuple[str, int]],
        scope: Scope,
    ) -> None:
        self._service = service
        self._config = config
        self._clearances = clearances
        self._reporter = reporter
        self._detect = detect
        self._slot = slot
        self._scope = scope
        self._gates: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def clear(self, request: Request, solve: Solve) -> Solution:
        """Get a clearance and store it.

        Raises:
            SolveError: there is none.
            CrawlEnding: the spider is closing.
        """
        key, vendor = solve.key, solve.challenge.vendor
        old = self._clearances.current(key)
        own = own_cookies(request, vendor)
        # One host may have several challenges, each with a cookie of its own: a new clearance
        # must not lose the others.
        cookies = task_cookies(request, own, old.cookies if old is not None else ())
        started = time.monotonic()
        try:
            async with self._gate(request):
                for url in pages_to_open(request, solve.options.url):
                    self._reporter.solving(key, solve.challenge, request, url)
                    headers = task_headers(request, url)
                    solution = await self._solution(
                        request, url, key, solve.options, cookies, headers
                    )
                    if _convinces(solution, vendor, cookies):
                        break
        except SolveError as error:
            self._reporter.failed(key, str(error), time.monotonic() - started)
            raise
        seconds = time.monotonic() - started
        clearance = self._clearances.solved(
            key,
            [SiteKey(origin_of(url), key.proxy) for url in [*solve.urls, solution["url"]]],
            vendor,
            self._chosen(solution, own, vendor),
            solution["user_agent"],
        )
        self._reporter.solved(key, clearance, seconds)
        return solution

    async def page(
        self, request: Request, key: SiteKey, options: Options, clearance: Clearance
    ) -> Response:
        """Have the browser open the request's own page, and return that.

        Raises:
            SolveError: it could not be had.
            CrawlEnding: the spider is closing.
        """
        url = home_url(request)
        own = own_cookies(request, clearance.vendor)
        async with self._gate(request):
            cookies = task_cookies(request, own, clearance.cookies)
            headers = task_headers(request)
            solution = await self._solution(request, url, key, options, cookies, headers)
        # The browser may have been challenged anew; the next page shall profit. Cookies that the
        # request brought along are nobody else's.
        clearance.renew(self._chosen(solution, own, clearance.vendor), solution["user_agent"])
        return await self.response(solution, request)

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
            and pages_to_open(request, options.url)[0] == home_url(request)
        )

    async def response(self, solution: Solution, request: Request) -> Response:
        """Return the browser's page as a response, if it is one that the spider may see.

        Raises:
            SolveError: it is a challenge to the user's detector, or not on this site.
        """
        await self._scope.check(solution["url"], request)
        response = response_from(solution, request)
        found = self._detect(response)
        if found is not None and found.solvable:
            raise SolveError(f"the browser's page is a {found.vendor} challenge")
        self._reporter.page(request, response.url)
        request_state.clear(request)
        return response

    def _gate(self, request: Request) -> asyncio.Semaphore:
        name, limit = self._slot(request)
        gate = self._gates.get(name)
        if gate is None:
            gate = self._gates[name] = asyncio.Semaphore(max(1, limit))
        return gate

    async def _solution(
        self,
        request: Request,
        url: str,
        key: SiteKey,
        options: Options,
        cookies: list[dict[str, Any]],
        headers: dict[str, str],
    ) -> Solution:
        proxy = key.proxy if self._config.share_proxy else None
        task = task_for(url, options, proxy, cookies, headers)
        solution = checked(await self._service.run(task, key), options.timeout_seconds)
        return await until_confirmed(
            task, solution, request, options, self._detect, partial(self._service.run, key=key)
        )

    def _chosen(
        self, solution: Solution, own: Mapping[str, str], vendor: str
    ) -> tuple[Cookie, ...]:
        """Return the cookies for everybody; those that the request brought along stay its own."""
        got = [cookie for cookie in solution["cookies"] if cookie["name"] not in own]
        return choose(map(Cookie.from_result, got), vendor, self._config.cookies)


def _convinces(solution: Solution, vendor: str, brought: list[dict[str, Any]]) -> bool:
    """Whether the browser met the challenge, and not an open page of a host with few closed ones.

    It did when the service says so, or when a cookie of the vendor's is there that was not before.
    """
    before = {(cookie["name"], cookie["value"]) for cookie in brought}
    return bool(solution.get("solved")) or any(
        vendors_own(cookie["name"], vendor) and (cookie["name"], cookie["value"]) not in before
        for cookie in solution["cookies"]
    )
