"""One solve under way: what it is for, who waits for it, and what comes of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from captcha_bypass_scrapy.keys import origin_of

if TYPE_CHECKING:
    from captcha_bypass_scrapy.answers import Solution
    from captcha_bypass_scrapy.challenged import Challenged
    from captcha_bypass_scrapy.clearance import Clearance
    from captcha_bypass_scrapy.errors import CrawlEnding, SolveError
    from captcha_bypass_scrapy.options import Options


class Solve:
    """A solve under way; whoever meets the same challenge waits for it instead of solving.

    Args:
        number: Unique, also over the runs of a job.
        challenged: The request that leads it. Its options are how it is solved; its failure counts
            for no request with other options.
        old: The clearance that was refused, if there was one.
    """

    def __init__(self, number: int, challenged: Challenged, old: Clearance | None) -> None:
        self.number = number
        self.key = challenged.key
        self.challenge = challenged.challenge
        self.options = challenged.options
        self.urls = challenged.target.urls
        self.old = old
        #: The challenge page, for the errbacks of those who wait.
        self.response = challenged.response
        self._waiters = 0
        #: Whether the one that leads wants what the browser brings, and that, until it is taken.
        self._keeps = False
        self._solution: Solution | None = None
        #: None when solved, otherwise why not. A value and never an exception, so that a solve
        #: nobody waits for leaves no warning behind.
        self.outcome: asyncio.Future[SolveError | CrawlEnding | None] = (
            asyncio.get_running_loop().create_future()
        )

    @property
    def shared(self) -> bool:
        """Whether it goes by the project's settings and not by one request's own options."""
        return self.options.shared

    @property
    def waiters(self) -> int:
        """Requests that were challenged and wait for it; the first leads."""
        return self._waiters

    def add_waiter(self) -> None:
        """Count one request more that waits for it."""
        self._waiters += 1

    def keep_solution(self) -> None:
        """Have what the browser brings kept, for the request that leads: see `take_solution`."""
        self._keeps = True

    def worked(self, solution: Solution) -> None:
        """Take note of what the browser has brought."""
        if self._keeps:
            self._solution = solution

    def take_solution(self) -> Solution | None:
        """Return what the browser has brought, and forget it; None: nothing, or it was not kept."""
        solution, self._solution = self._solution, None
        return solution

    def clear_response(self) -> None:
        """Forget the challenge page, which nobody asks for once it has worked."""
        self.response = None

    def concerns(self, url: str) -> bool:
        """Whether a request to there was challenged where this is solved."""
        origin = origin_of(url)
        return origin == self.key.origin or any(origin == origin_of(u) for u in self.urls)

    def fits(self, options: Options) -> bool:
        """Whether it is solved the way these options ask for."""
        return self.options.same_solve(options)
