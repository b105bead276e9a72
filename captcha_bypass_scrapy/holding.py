"""Requests on their way out that have to wait for a solve: their own, or that of their site."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from captcha_bypass_scrapy import request_state, resending
from captcha_bypass_scrapy.challenged import Challenged
from captcha_bypass_scrapy.errors import (
    ChallengeNotSolved,
    CrawlEnding,
    SolveError,
    SolverUnavailable,
)
from captcha_bypass_scrapy.keys import key_of, target_of
from captcha_bypass_scrapy.options import options_of
from captcha_bypass_scrapy.parking import Obstacle

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request

    from captcha_bypass_scrapy.clearance import Clearances
    from captcha_bypass_scrapy.failed_fetches import FailedFetches
    from captcha_bypass_scrapy.options import Options
    from captcha_bypass_scrapy.parking import Parking
    from captcha_bypass_scrapy.reporting import Reporter
    from captcha_bypass_scrapy.runner import SolveRunner
    from captcha_bypass_scrapy.settings import Config
    from captcha_bypass_scrapy.solve import Solve
    from captcha_bypass_scrapy.solves import Solves

#: Seconds for which a request whose solve failed lets others lead the next: its page may be bad.
STEP_BACK_SECONDS = 0.1


class RequestHolder:
    """Holds requests that were challenged, and those that would only be challenged too.

    Args:
        closing: Whether the spider is closing.
    """

    def __init__(
        self,
        config: Config,
        clearances: Clearances,
        solves: Solves,
        runner: SolveRunner,
        parking: Parking,
        failed: FailedFetches,
        reporter: Reporter,
        closing: Callable[[], bool],
    ) -> None:
        self._config = config
        self._clearances = clearances
        self._solves = solves
        self._runner = runner
        self._parking = parking
        self._failed = failed
        self._reporter = reporter
        self._closing = closing

    async def hold(self, request: Request, *, first: bool) -> Request | None:
        """Keep a request until it may go; or return the copy that waits in the scheduler.

        Args:
            first: Whether it has not waited in the scheduler yet.

        Raises:
            ChallengeNotSolved: what it waited for has failed, too often.
        """
        try:
            return await self._hold(request, first=first)
        except CrawlEnding:
            self._reporter.count("requeued_on_close")
            return resending.requeued(request)

    async def _hold(self, request: Request, *, first: bool) -> Request | None:
        awaited = self._parking.pop_unscheduled(request)
        counted = not first
        while (obstacle := self._proceed(request)) is not None:
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

    def _proceed(self, request: Request) -> Obstacle | None:
        """Take a request as far as it gets; returns what is in its way then."""
        number = request_state.awaited_solve(request)
        solve = None if number is None else self._solves.find(number)
        if solve is None:
            request_state.stop_waiting(request)
        elif not solve.outcome.done():
            return Obstacle(solve.outcome, freed=self._solves.freed(solve.key))
        elif (failure := solve.outcome.result()) is None:
            request_state.note_solved(request)
        elif isinstance(failure, CrawlEnding):
            raise CrawlEnding
        else:
            return self._after_failure(request, solve, failure)
        return self._join_held(request)

    def _join_held(self, request: Request) -> Obstacle | None:
        """Let a request wait with the others of a site being solved, or go as a probe.

        Raises:
            ChallengeNotSolved: its site is not tried any more.
        """
        self._failed.check_given_up(request)
        if not self._solves.busy() or request_state.is_probe(request):
            return None
        key = key_of(request)
        options = options_of(request, self._config)
        site = self._solves.holds(key, options, self._clearances.current(key))
        if site is None:
            return None
        if site.probe_in <= 0:
            site.mark_probed()
            request_state.mark_probe(request)
            return None
        return Obstacle(site.freed, site.probe_in, site.freed)

    def _after_failure(self, request: Request, solve: Solve, error: SolveError) -> Obstacle | None:
        """What it waited for has failed: count that, and see to the next try.

        Raises:
            ChallengeNotSolved: it is not tried again for this request.
        """
        leads = request_state.has_led(request, solve.number)
        if not leads and not solve.concerns(request.url):
            # Another host's: it might have done for this one too.
            request_state.stop_waiting(request)
            return None
        options = options_of(request, self._config)
        if isinstance(error, SolverUnavailable) or (leads and error.kind != "unsolved"):
            raise self._fail(request, solve, error)
        mine = leads or (solve.fits(options) and error.kind == "unsolved")
        if mine and not request_state.has_counted(request, solve.number):
            again = request_state.count_failure(request) <= options.retry_times
            self._reporter.unsolved(error, again=again)
            if not again:
                raise self._fail(request, solve, error)
        request_state.mark_counted(request, solve.number)
        if leads:
            self._parking.step_back(request)
            return Obstacle(None, STEP_BACK_SECONDS)
        return self._next_try(request, solve, options)

    def _next_try(self, request: Request, solve: Solve, options: Options) -> Obstacle | None:
        """Wait for the solve that follows a failed one, or lead it."""
        key = solve.key
        current = self._clearances.current(key)
        if current is not None and current is not solve.old:
            request_state.note_solved(request)
            return None
        if (resting := self._solves.given_up(key)) is not None:
            raise self._fail(request, solve, resting)
        if (rest := self._solves.rest(key)) is not None:
            return Obstacle(None, rest.seconds, self._solves.freed(key))
        following = self._solves.join(key, options, current)
        target = replace(target_of(request, options.url), key=key, urls=solve.urls)
        try:
            coming = following or self._runner.begin(
                Challenged(request, solve.challenge, target, options, solve.response)
            )
        except SolveError as error:
            raise self._fail(request, solve, error) from error
        coming.add_waiter()
        request_state.wait_for(request, coming.number, leads=following is None)
        return Obstacle(coming.outcome, freed=self._solves.freed(coming.key))

    def _fail(self, request: Request, solve: Solve, error: SolveError) -> ChallengeNotSolved:
        """Return the exception for a request that stays without its page."""
        vendor = solve.challenge.vendor
        request_state.clear(request)
        self._reporter.gave_up(request, vendor, error)
        return ChallengeNotSolved(vendor, str(error), solve.response, error.evidence)
