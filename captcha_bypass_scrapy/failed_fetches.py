"""What becomes of requests that the browser could not send, or not past a challenge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captcha_bypass_scrapy import request_state, resending
from captcha_bypass_scrapy.errors import (
    ChallengeNotSolved,
    CrawlEnding,
    SolveError,
    SolverUnavailable,
)
from captcha_bypass_scrapy.keys import key_of
from captcha_bypass_scrapy.options import options_of
from captcha_bypass_scrapy.service import ASK_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request

    from captcha_bypass_scrapy.parking import Parking
    from captcha_bypass_scrapy.reporting import Reporter
    from captcha_bypass_scrapy.runner import SolveRunner
    from captcha_bypass_scrapy.service import Service
    from captcha_bypass_scrapy.settings import Config
    from captcha_bypass_scrapy.solves import Solves
    from captcha_bypass_scrapy.ways import Ways


class FailedFetches:
    """Has such requests wait in the scheduler for another try, or fail.

    Args:
        close_spider: Called when the service is away and the setting says to stop then.
    """

    def __init__(
        self,
        config: Config,
        ways: Ways,
        solves: Solves,
        service: Service,
        runner: SolveRunner,
        parking: Parking,
        reporter: Reporter,
        close_spider: Callable[[], None],
    ) -> None:
        self._config = config
        self._ways = ways
        self._solves = solves
        self._service = service
        self._runner = runner
        self._parking = parking
        self._reporter = reporter
        self._close_spider = close_spider

    def handle(self, request: Request, error: SolveError | CrawlEnding) -> Request:
        """Return the copy that takes the request's place.

        Raises:
            ChallengeNotSolved: it is not tried again.
        """
        if isinstance(error, CrawlEnding):
            return self._requeued(request)
        if isinstance(error, SolverUnavailable):
            return self._without_service(request, error)
        key = key_of(request)
        if error.kind != "unsolved":
            self._solves.probe_ended(key)
            raise self._lost(request, error)
        if not request_state.goes_by_browser(request):  # whose site is well
            self._solves.way_failed(key, error)
        options = options_of(request, self._config)
        again = request_state.count_failure(request) <= options.retry_times
        self._reporter.unsolved(error, again=again)
        if not again:
            raise self._lost(request, error)
        self._parking.step_back(request)
        return self._waiting(request)

    def check_given_up(self, request: Request) -> None:
        """See whether a request of a site that is not tried any more has to fail at once.

        Raises:
            ChallengeNotSolved: it has.
        """
        if not self._solves.busy():
            return
        error = self._solves.given_up(key_of(request))
        options = options_of(request, self._config)
        if error is not None and self._ways.by_browser(request, options):
            raise self._lost(request, error)

    def _without_service(self, request: Request, error: SolverUnavailable) -> Request:
        key = key_of(request)
        if self._runner.ends_crawl(error):
            self._close_spider()
            return self._requeued(request)
        if self._service.waits_for(error):
            self._solves.prove(key, ASK_SECONDS, after=min(error.pause, ASK_SECONDS))
            return self._waiting(request)
        self._solves.release(key)
        raise self._lost(request, error)

    def _waiting(self, request: Request) -> Request:
        request_state.end_probe(request)
        self._reporter.waits(unsent=False)
        return self._parking.send(request)

    def _requeued(self, request: Request) -> Request:
        self._reporter.count("requeued_on_close")
        return resending.requeued(request)

    def _lost(self, request: Request, error: SolveError) -> ChallengeNotSolved:
        vendor = self._ways.vendor(key_of(request))
        request_state.clear(request)
        self._reporter.gave_up(request, vendor, error)
        failure = ChallengeNotSolved(vendor, str(error), None, error.evidence)
        failure.__cause__ = error
        return failure
