"""Switches a challenged request, or all of its site, to the way through the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captcha_bypass_scrapy import request_state, resending
from captcha_bypass_scrapy.errors import SolveError
from captcha_bypass_scrapy.site_state import OPENING_SECONDS

if TYPE_CHECKING:
    from scrapy import Request

    from captcha_bypass_scrapy.budget import Budget
    from captcha_bypass_scrapy.challenged import Challenged
    from captcha_bypass_scrapy.fetches import Fetches
    from captcha_bypass_scrapy.reporting import Reporter
    from captcha_bypass_scrapy.settings import Config
    from captcha_bypass_scrapy.solves import Solves
    from captcha_bypass_scrapy.ways import Ways


class Switch:
    """Has the browser send requests that are challenged otherwise."""

    def __init__(
        self,
        config: Config,
        ways: Ways,
        fetches: Fetches,
        solves: Solves,
        budget: Budget,
        reporter: Reporter,
    ) -> None:
        self._config = config
        self._ways = ways
        self._fetches = fetches
        self._solves = solves
        self._budget = budget
        self._reporter = reporter

    def concerns(self, challenged: Challenged) -> bool:
        """Whether the browser sends such requests already, or should from the first challenge on."""
        options = challenged.options
        known = self._ways.by_browser(challenged.request, options)
        return known or self._ways.of_site(challenged.key, options) or options.mode == "fetch"

    def helps_refused(self, challenged: Challenged) -> bool:
        """Whether it may get through where the cookies are refused."""
        auto = challenged.options.mode == "auto"
        return auto and self._fetches.possible and not self._ways.has_given_up(challenged.key)

    def site(self, challenged: Challenged) -> Request:
        """Have the browser send all requests of a site; returns the copy of this one.

        Raises:
            SolveError: it cannot, or it does already and this one is challenged all the same.
        """
        request, key = challenged.request, challenged.key
        if not self._fetches.possible:
            raise SolveError("the DOWNLOADER in use has no download handlers, so no mode fetch")
        if request_state.goes_by_browser(request) or self._ways.of_site(key, challenged.options):
            if request_state.count_in_vain(request) > self._config.times:
                raise SolveError("the browser's request is sent to a challenge, too", "refused")
        else:
            self._budget.spend(key)
            refuses = challenged.options.mode == "auto"
            self._fetches.install()
            self._ways.open(key, challenged.challenge.vendor, refuses=refuses)
            self._solves.prove(key, OPENING_SECONDS)
            self._reporter.by_browser(key, challenged.challenge, refuses=refuses)
        return resending.again(request)

    def one(self, challenged: Challenged) -> Request:
        """Have the browser send a single request, whose site takes the cookies for others."""
        self._fetches.install()
        copy = resending.again(challenged.request)
        request_state.mark_by_browser(copy)
        return copy
