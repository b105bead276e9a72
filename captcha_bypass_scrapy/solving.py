"""Has the service solve one challenge: for a clearance, or for the page itself."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from captcha_bypass_scrapy import outcome, request_state
from captcha_bypass_scrapy.confirmation import checked, until_confirmed
from captcha_bypass_scrapy.cookies import beside
from captcha_bypass_scrapy.errors import SolveError
from captcha_bypass_scrapy.keys import Proxy, SiteKey
from captcha_bypass_scrapy.responses import response_from
from captcha_bypass_scrapy.tasks import Task, clearance_tasks, page_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.http import Response

    from captcha_bypass_scrapy.answers import Solution
    from captcha_bypass_scrapy.challenged import Challenged
    from captcha_bypass_scrapy.clearance import Clearance, Clearances
    from captcha_bypass_scrapy.detection import Detector
    from captcha_bypass_scrapy.reporting import Reporter
    from captcha_bypass_scrapy.scope import Scope
    from captcha_bypass_scrapy.service import Service
    from captcha_bypass_scrapy.settings import Config
    from captcha_bypass_scrapy.sharing import Sharing


class Solver:
    """Has tasks done and checks what comes back.

    Args:
        slot: Names a request's download slot and how many requests it takes at once; browsers
            open no more pages of it.
        scope: Where pages may end.
        sharing: Which clearances may be another crawl's.
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
        sharing: Sharing,
    ) -> None:
        self._service = service
        self._config = config
        self._clearances = clearances
        self._reporter = reporter
        self._detect = detect
        self._slot = slot
        self._scope = scope
        self._sharing = sharing
        self._gates: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def get_clearance(self, challenged: Challenged) -> Solution:
        """Get a clearance and store it.

        Raises:
            SolveError: there is none.
            CrawlEnding: the spider is closing.
        """
        key, vendor = challenged.key, challenged.challenge.vendor
        old = self._clearances.current(key)
        cookies = old.cookies if old is not None else ()
        started = time.monotonic()
        heard = old is None or await self.refuse(old, key) is not None
        asks = shares = heard and self._sharing.max_age(challenged) is not None
        tasks = clearance_tasks(challenged, cookies, proxy=self._proxy(key), shares=shares)
        try:
            async with self._gate(challenged.request):
                for task in tasks:
                    self._reporter.solving(key, challenged.challenge, challenged.request, task.url)
                    reuse = self._sharing.max_age(challenged) if asks else None
                    solution = await self._run(task.sharing(reuse), challenged)
                    if task.met_challenge(solution, vendor):
                        break
                    # The next page is not to be answered with the same.
                    asks = asks and not solution.get("clearance")
        except SolveError as error:
            self._reporter.failed(key, str(error), time.monotonic() - started)
            raise
        seconds = time.monotonic() - started
        got = task.cookies_to_use(solution, vendor, self._config.cookies)
        clearance = self._clearances.solved(
            key,
            [key.at(url) for url in (*challenged.target.urls, solution["url"])],
            vendor,
            beside(got, cookies) if shares else got,
            solution["user_agent"],
            seconds,
            solution.get("clearance"),
        )
        self._reporter.solved(key, clearance, seconds)
        return solution

    async def refuse(self, clearance: Clearance, key: SiteKey) -> bool | None:
        """Tell the other crawls that a site does not take its clearance.

        Returns:
            Whether none of them has said so before. None: the service has not heard it.
        """
        mine = self._clearances.has_own(key)  # another host's says nothing of this one
        if clearance.shared_id is None or not mine or not self._sharing.is_on:
            return True
        return await self._service.refuse(clearance.shared_id)

    async def get_page(self, challenged: Challenged, clearance: Clearance) -> Response:
        """Have the browser open the request's own page, and return that.

        Raises:
            SolveError: it could not be had.
            CrawlEnding: the spider is closing.
        """
        started = time.monotonic()
        async with self._gate(challenged.request):
            task = page_task(challenged, clearance, proxy=self._proxy(challenged.key))
            solution = await self._run(task, challenged)
        # The browser may have been challenged anew; the next page shall profit.
        cookies = task.cookies_to_use(solution, clearance.vendor, self._config.cookies)
        clearance.renew(cookies, solution["user_agent"])
        return await self.hand_over(solution, challenged, time.monotonic() - started)

    async def hand_over(
        self, solution: Solution, challenged: Challenged, seconds: float
    ) -> Response:
        """Return the browser's page as a response, if it is one that the spider may see.

        Args:
            seconds: What the service took for it.

        Raises:
            SolveError: it is a challenge to the user's detector, or not on this site.
        """
        request = challenged.request
        await self._scope.ensure_allowed(solution["url"], request)
        response = response_from(solution, request)
        found = self._detect(response)
        if found is not None and found.solvable:
            raise SolveError(f"the browser's page is a {found.vendor} challenge")
        self._reporter.browser_page(request, response.url)
        request_state.clear(request)
        outcome.tell(request, challenged.challenge.vendor, seconds, "page")
        return response

    def _gate(self, request: Request) -> asyncio.Semaphore:
        name, limit = self._slot(request)
        gate = self._gates.get(name)
        if gate is None:
            gate = self._gates[name] = asyncio.Semaphore(max(1, limit))
        return gate

    def _proxy(self, key: SiteKey) -> Proxy | None:
        return key.proxy if self._config.share_proxy else None

    async def _run(self, task: Task, challenged: Challenged) -> Solution:
        run, options = partial(self._service.run, key=challenged.key), challenged.options
        solution = checked(await run(task.body), options.timeout_seconds)
        return await until_confirmed(
            task.body, solution, challenged.request, options, self._detect, run
        )
