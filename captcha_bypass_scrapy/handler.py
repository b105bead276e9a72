"""What is decided for a challenged request: wait, retry, solve, or give up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from scrapy.http import Response

from captcha_bypass_scrapy import request_state, resending
from captcha_bypass_scrapy.challenged import Challenged
from captcha_bypass_scrapy.errors import ChallengeNotSolved, CrawlEnding, NotHandedOver, SolveError
from captcha_bypass_scrapy.keys import target_of
from captcha_bypass_scrapy.options import options_of
from captcha_bypass_scrapy.responses import FLAG
from captcha_bypass_scrapy.tasks import opens_own_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request

    from captcha_bypass.challenges import Challenge
    from captcha_bypass_scrapy.clearance import Clearance, Clearances
    from captcha_bypass_scrapy.page_cache import PageCache
    from captcha_bypass_scrapy.parking import Parking
    from captcha_bypass_scrapy.reporting import Reporter
    from captcha_bypass_scrapy.runner import SolveRunner
    from captcha_bypass_scrapy.settings import Config
    from captcha_bypass_scrapy.solve import Solve
    from captcha_bypass_scrapy.solves import Solves
    from captcha_bypass_scrapy.solving import Solver
    from captcha_bypass_scrapy.switching import Switch
    from captcha_bypass_scrapy.ways import Ways

#: Bytes of a challenge page that is kept for the errback, in case its solve fails.
KEPT_PAGE_BYTES = 65_536


class ChallengeHandler:
    """Decides what becomes of challenged requests. It knows no hooks and no signals.

    Args:
        closing: Whether the spider is closing.
    """

    def __init__(
        self,
        config: Config,
        clearances: Clearances,
        solves: Solves,
        runner: SolveRunner,
        solver: Solver,
        switch: Switch,
        ways: Ways,
        parking: Parking,
        pages: PageCache,
        reporter: Reporter,
        closing: Callable[[], bool],
    ) -> None:
        self._config = config
        self._clearances = clearances
        self._solves = solves
        self._runner = runner
        self._solver = solver
        self._switch = switch
        self._ways = ways
        self._parking = parking
        self._pages = pages
        self._reporter = reporter
        self._closing = closing

    async def handle(
        self,
        request: Request,
        response: Response,
        challenge: Challenge,
        carried: tuple[int, ...],
    ) -> Request | Response:
        """Return what a challenged request gets: the browser's page, or a copy that is sent again.

        Args:
            carried: Generations of the clearances that it went out with.

        Raises:
            ChallengeNotSolved: neither.
        """
        try:
            if "cached" in response.flags:
                self._reporter.count("challenge/cached")
                self._require_site()
                return resending.uncached(request)
            options = options_of(request, self._config)
            target = target_of(request, options.url)
            page = response if len(response.body) <= KEPT_PAGE_BYTES else None
            fetched = FLAG in response.flags
            challenged = Challenged(request, challenge, target, options, page, carried, fetched)
            answer = await self._decide(challenged)
        except CrawlEnding:
            self._reporter.count("requeued_on_close")
            return resending.requeued(request)
        except SolveError as error:
            request_state.clear(request)
            self._reporter.gave_up(request, challenge.vendor, error)
            raise ChallengeNotSolved(
                challenge.vendor, str(error), response, error.evidence
            ) from error
        if isinstance(answer, Response):
            self._pages.store(request, answer)
        return answer

    def _require_site(self) -> None:
        """See whether the site may be asked; a stored challenge says nothing about a clearance.

        Raises:
            SolveError: it may not.
        """
        if self._pages.is_all_there_is():
            raise SolveError("it is in the cache, and HTTPCACHE_IGNORE_MISSING is set")

    async def _decide(self, challenged: Challenged) -> Request | Response:
        """Decide: wait for a solve, use the clearance that is there, or lead a solve."""
        if self._closing():
            raise CrawlEnding
        key, leads, counted = challenged.key, False, False
        current = self._clearances.current(key)
        if challenged.fetched:
            return await self._fetched(challenged, current)
        if self._switch.concerns(challenged):
            return self._switch.site(challenged)
        self._solves.challenge_came(key)
        solve, over = self._solves.join(key, challenged.options, current), None
        while solve is None and current not in (None, over):
            answer = await self._by_clearance(challenged, current)
            if answer is not None:
                return answer
            # Others may have begun a solve meanwhile, and may have ended it.
            over, current = current, self._clearances.current(key)
            solve = self._solves.join(key, challenged.options, current)
        if solve is None and over is not None:
            self._reporter.count("clearance/expired")
        if solve is not None:
            self._reporter.count("solve/joined")
            solve.add_waiter()
        elif (resting := self._solves.given_up(key)) is not None:
            raise resting
        elif (rest := self._solves.rest(key)) is not None:
            solve, counted = rest.solve, True
        else:
            solve, leads = self._runner.begin(challenged), True
            answer = await self._page_of(solve, challenged)
            if answer is not None:
                return answer
        copy = resending.again(challenged.request)
        request_state.wait_for(copy, solve.number, leads=leads, counted=counted)
        self._reporter.waits(unsent=False)
        return self._parking.send(copy)

    async def _by_clearance(
        self, challenged: Challenged, current: Clearance
    ) -> Request | Response | None:
        """Return what the site's clearance gets the request; None where it has expired."""
        request = challenged.request
        if not challenged.wants_page:
            if current.generation not in challenged.carried:
                self._reporter.count("retry/stale")
                if request_state.is_probe(request):
                    self._solves.probe_ended(challenged.key)
                return resending.again(request, stale=True)
            if self._is_expired(challenged, current):
                return None
            first = await self._solver.refuse(current, challenged.key)
            if current.reused and not first and self._may_solve(request):
                return None  # others have met its end before this crawl could use it
            self._reporter.count("clearance/refused")
            if self._switch.helps_refused(challenged):
                worked = current.successes > 0
                return (self._switch.one if worked else self._switch.site)(challenged)
            if (why := challenged.why_no_page) is not None:
                raise SolveError(
                    f"the site refuses the browser's cookies from Scrapy, and {why}", "refused"
                )
        try:
            return await self._solver.get_page(challenged, current)
        except NotHandedOver:
            if not challenged.wants_page:
                raise
            return resending.by_cookies(request)

    async def _fetched(
        self, challenged: Challenged, current: Clearance | None
    ) -> Request | Response:
        """Return what takes the place of an answer that is a challenge to the user's detector.

        The service, which got it, does not know such challenges. A browser's page may be better.
        """
        page = challenged.options.mode == "auto" and challenged.request.method == "GET"
        if not page or current is None:
            raise SolveError("the browser's answer is a challenge to your detector", "refused")
        self._ways.give_up(challenged.key)
        return await self._solver.get_page(challenged, current)

    def _is_expired(self, challenged: Challenged, clearance: Clearance) -> bool:
        """Whether a clearance that was challenged has expired; otherwise the site refuses it.

        It was good for pages before, or it is old, or it was made for another host of the domain, or for
        another crawl.
        """
        if not self._clearances.has_own(challenged.key):
            return True
        if not self._may_solve(challenged.request):
            return False
        worked = clearance.borrowed or clearance.successes > 0
        return worked or clearance.older_than(self._config.cooldown_seconds)

    def _may_solve(self, request: Request) -> bool:
        """Whether it may be solved for once more."""
        return request_state.times(request) < self._config.times

    async def _page_of(self, solve: Solve, challenged: Challenged) -> Request | Response | None:
        """Wait for a solve whose page is what this request wants; None where it is not that."""
        if not opens_own_page(challenged):
            solve.add_waiter()
            return None
        solve.keep_solution()
        with self._parking.place_lent(challenged.request):
            await asyncio.wait([solve.outcome])
        solution = solve.take_solution()
        if isinstance(solve.outcome.result(), CrawlEnding):
            raise CrawlEnding
        if solution is None:
            return None
        try:
            current = self._clearances.current(challenged.key)
            seconds = current.seconds if current is not None else 0.0
            return await self._solver.hand_over(solution, challenged, seconds)
        except NotHandedOver:
            return resending.by_cookies(challenged.request)
