"""What is decided for a challenged request: wait, retry, solve, or give up."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from captcha_bypass_scrapy import request_state
from captcha_bypass_scrapy.errors import (
    ChallengeNotSolved,
    CrawlEnding,
    NotHandedOver,
    SolveError,
    SolverUnavailable,
)
from captcha_bypass_scrapy.keys import SiteKey, home_key, key_of, origin_of
from captcha_bypass_scrapy.options import Options, options_of
from captcha_bypass_scrapy.parking import Obstacle

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.http import Response

    from captcha_bypass.challenges import Challenge
    from captcha_bypass_scrapy.budget import Budget
    from captcha_bypass_scrapy.clearance import Clearance, Clearances
    from captcha_bypass_scrapy.parking import Parking
    from captcha_bypass_scrapy.reporting import Reporter
    from captcha_bypass_scrapy.service import Service
    from captcha_bypass_scrapy.settings import Config
    from captcha_bypass_scrapy.solves import Solve, Solves
    from captcha_bypass_scrapy.solving import Solver

logger = logging.getLogger("captcha_bypass_scrapy")
#: Seconds for which a request whose solve failed lets others lead the next: its page may be bad.
STEP_BACK_SECONDS = 0.1
#: Bytes of a challenge page that is kept for the errback, in case its solve fails.
KEPT_PAGE_BYTES = 65_536


class ChallengeHandler:
    """Decides what becomes of challenged requests. It knows no hooks and no signals.

    Args:
        close_spider: Called when the service is away and the setting says to stop then.
    """

    def __init__(
        self,
        config: Config,
        clearances: Clearances,
        solves: Solves,
        parking: Parking,
        solver: Solver,
        service: Service,
        budget: Budget,
        reporter: Reporter,
        closing: Callable[[], bool],
        close_spider: Callable[[], None],
    ) -> None:
        self._config = config
        self._clearances = clearances
        self._solves = solves
        self._parking = parking
        self._solver = solver
        self._service = service
        self._budget = budget
        self._reporter = reporter
        self._closing = closing
        self._close_spider = close_spider
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """End the solves under way; what waits for them is in the scheduler."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Requests on their way out

    async def hold(self, request: Request, *, first: bool) -> Request | None:
        """Keep a request from a host that is being solved: it would only be challenged too.

        Args:
            first: Whether it has not waited in the scheduler yet.

        Raises:
            ChallengeNotSolved: what it waited for has failed, too often.
            CrawlEnding: the spider is closing.
        """
        awaited = self._parking.pop_unscheduled(request)
        counted = not first
        while (obstacle := self._obstacle(request)) is not None:
            if self._closing():
                raise CrawlEnding
            if not counted:
                counted = True
                self._reporter.waits(unsent=request_state.awaited_solve(request) is None)
            if awaited:
                await self._parking.wait_in_place(request, obstacle)
            elif not await self._parking.wait(request, obstacle, first=first):
                return self._parking.send(request)
        return None

    def _obstacle(self, request: Request) -> Obstacle | None:
        number = request_state.awaited_solve(request)
        solve = None if number is None else self._solves.find(number)
        if solve is None:
            request_state.stop_waiting(request)
        elif not solve.outcome.done():
            return Obstacle(solve.outcome, freed=self._solves.freed(solve.key))
        elif (outcome := solve.outcome.result()) is None:
            request_state.note_solved(request)
        elif isinstance(outcome, CrawlEnding):
            raise CrawlEnding
        else:
            return self._next_try(request, solve, outcome)
        if not self._solves.busy() or request_state.is_probe(request):
            return None
        key = key_of(request)
        options = options_of(request, self._config)
        held = self._solves.holds(key, options, self._clearances.current(key))
        if held is None:
            return None
        if held.probe_in <= 0:
            held.probed()
            request_state.mark_probe(request)
            return None
        return Obstacle(held.freed, held.probe_in, held.freed)

    def _next_try(self, request: Request, solve: Solve, error: SolveError) -> Obstacle | None:
        """What it waited for has failed: count that, and wait for the next try, or lead it."""
        leads = request_state.has_led(request, solve.number)
        if not leads and not solve.concerns(request.url):
            request_state.stop_waiting(
                request
            )  # another host's: it might have done for this one too
            return None
        options = options_of(request, self._config)
        if isinstance(error, SolverUnavailable) or (leads and error.kind != "unsolved"):
            raise self.fail(request, solve.challenge.vendor, error, solve.response)
        mine = leads or (solve.fits(options) and error.kind == "unsolved")
        counted = request_state.has_counted(request, solve.number)
        request_state.mark_counted(request, solve.number)
        if mine and not counted:
            again = request_state.count_failure(request) <= options.retry_times
            self._reporter.unsolved(error, again=again)
            if not again:
                raise self.fail(request, solve.challenge.vendor, error, solve.response)
        if leads:
            self._parking.step_back(request)
            return Obstacle(None, STEP_BACK_SECONDS)
        current = self._clearances.current(solve.key)
        if current is not None and current is not solve.old:
            request_state.note_solved(request)
            return None
        if (reason := self._solves.given_up(solve.key)) is not None:
            raise self.fail(request, solve.challenge.vendor, _resting(reason), solve.response)
        if (rest := self._solves.rest(solve.key)) is not None:
            return Obstacle(None, rest.seconds, self._solves.freed(solve.key))
        following = self._solves.join(solve.key, options, current)
        try:
            coming = following or self._lead(
                request, solve.key, options, solve.challenge, solve.urls, solve.response
            )
        except SolveError as late:
            raise self.fail(request, solve.challenge.vendor, late, solve.response) from late
        coming.waiters += 1
        request_state.wait_for(request, coming.number, leads=following is None)
        return Obstacle(coming.outcome, freed=self._solves.freed(coming.key))

    # Requests on their way back

    async def handle(
        self,
        request: Request,
        response: Response,
        challenge: Challenge,
        carried: tuple[int, ...],
    ) -> Request | Response:
        """Decide by what the request carried; the way of a challenged request in one place."""
        options = options_of(request, self._config)
        key = home_key(request)
        if self._closing():
            raise CrawlEnding
        self._solves.challenged(key)
        current = self._clearances.current(key)
        if (joined := self._solves.join(key, options, current)) is not None:
            self._reporter.count("solve/joined")
            joined.waiters += 1
            return self._line_up(request, joined)
        if current is not None and page_wanted(request, self._config):
            try:
                return await self._solver.page(request, key, options, current)
            except NotHandedOver:
                return request_state.by_cookies(request)
        if current is not None and current.generation not in carried:
            self._reporter.count("retry/stale")
            return request_state.again(request, stale=True)
        if current is not None and not self._expired(key, current, request):
            return await self._refused(request, key, options, current)
        if current is not None:
            self._reporter.count("clearance/expired")
        if (reason := self._solves.given_up(key)) is not None:
            raise _resting(reason)
        if (rest := self._solves.rest(key)) is not None:
            return self._line_up(request, rest.solve, counted=True)
        page = response if len(response.body) <= KEPT_PAGE_BYTES else None
        urls = [*request.meta.get("redirect_urls", ()), request.url]
        solve = self._lead(request, key, options, challenge, urls, page)
        if self._solver.answers(request, options):
            return await self._answered(request, solve)
        solve.waiters += 1
        return self._line_up(request, solve, leads=True)

    def _expired(self, key: SiteKey, clearance: Clearance, request: Request) -> bool:
        """Whether a challenged clearance has been good for something, or is old enough to doubt.

        One that was made for another host of the domain was worth a try, and no more.
        """
        if not self._clearances.own(key):
            return True
        if request_state.times(request) >= self._config.times:
            return False
        return clearance.successes > 0 or clearance.older_than(self._config.cooldown_seconds)

    async def _refused(
        self, request: Request, key: SiteKey, options: Options, clearance: Clearance
    ) -> Response:
        """The site does not take a good clearance from Scrapy: show what the browser sees."""
        self._reporter.count("clearance/refused")
        if options.mode == "cookies" or request.method != "GET":
            why = "mode is cookies" if options.mode == "cookies" else f"it is a {request.method}"
            raise SolveError(
                f"the site refuses the browser's cookies from Scrapy, and {why}", "refused"
            )
        return await self._solver.page(request, key, options, clearance)

    async def _answered(self, request: Request, solve: Solve) -> Request | Response:
        """Wait for the solve, whose page is what this request wants."""
        solve.keeps = True
        with self._parking.place_lent(request):
            await asyncio.wait([solve.outcome])
        solution, solve.solution = solve.solution, None
        if isinstance(solve.outcome.result(), CrawlEnding):
            raise CrawlEnding
        if solution is None:
            return self._line_up(request, solve, leads=True)
        try:
            return await self._solver.response(solution, request)
        except NotHandedOver:
            return request_state.by_cookies(request)

    def _line_up(
        self, request: Request, solve: Solve, *, leads: bool = False, counted: bool = False
    ) -> Request:
        """Return the copy that waits for a solve, or goes by how it failed."""
        copy = request_state.again(request)
        request_state.wait_for(copy, solve.number, leads=leads, counted=counted)
        self._reporter.waits(unsent=False)
        return self._parking.send(copy)

    # Solves

    def _lead(
        self,
        request: Request,
        key: SiteKey,
        options: Options,
        challenge: Challenge,
        urls: list[str],
        page: Response | None,
    ) -> Solve:
        """Begin to solve for everybody at this key.

        Raises:
            SolveError: the crawl has asked for as many solves as it may, or the service is away.
            CrawlEnding: the spider is closing.
        """
        if self._closing():
            raise CrawlEnding
        try:
            self._service.check_available()
        except SolverUnavailable as error:
            if self._stops(error):
                raise CrawlEnding from error  # it was us who closed the spider
            raise
        self._budget.spend(key)
        solve = self._solves.start(
            key,
            challenge,
            options,
            old=self._clearances.current(key),
            urls=urls,
            response=page,
            slot=request.meta.get("download_slot"),
        )
        task = asyncio.create_task(self._run(request, solve))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return solve

    async def _run(self, request: Request, solve: Solve) -> None:
        outcome: SolveError | CrawlEnding | None = CrawlEnding()
        shares = False
        try:
            solution = await self._solver.clear(request, solve)
            if solve.keeps:
                solve.solution = solution
            outcome = None
            shares = self._clearances.shared(solve.key)
            self._reporter.retrying(solve.waiters, solve.key)
        except (SolveError, CrawlEnding) as error:
            outcome = error.with_traceback(None)
        except Exception as error:
            logger.exception("A solve ended in an error that nobody has foreseen")
            outcome = SolveError(f"{type(error).__name__}: {error}")
        finally:
            if isinstance(outcome, SolverUnavailable) and self._stops(outcome):
                outcome = CrawlEnding()
                self._close_spider()
            self._solves.finish(solve, outcome, shares=shares)

    def _stops(self, error: SolverUnavailable) -> bool:
        return self._config.on_unavailable == "close" and error.state != "busy"

    def fail(
        self, request: Request, vendor: str, error: SolveError, response: Response | None = None
    ) -> ChallengeNotSolved:
        """Return the exception for a request that stays without its page."""
        request_state.clear(request)
        self._reporter.gave_up(request, origin_of(request.url), vendor, str(error), error.kind)
        return ChallengeNotSolved(vendor, str(error), response)


def _resting(reason: str) -> SolveError:
    return SolveError(f"not tried again so soon after: {reason}", "cooldown")


def page_wanted(request: Request, config: Config) -> bool:
    """Whether a challenge is answered with the browser's page without trying the cookies."""
    by_page = options_of(request, config).mode == "html" and request.method == "GET"
    return by_page and not request_state.goes_by_cookies(request)
