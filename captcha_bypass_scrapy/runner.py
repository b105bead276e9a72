"""Begins solves, and runs each in a task of its own."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from captcha_bypass_scrapy.errors import CrawlEnding, SolveError, SolverUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from captcha_bypass_scrapy.budget import Budget
    from captcha_bypass_scrapy.challenged import Challenged
    from captcha_bypass_scrapy.clearance import Clearances
    from captcha_bypass_scrapy.reporting import Reporter
    from captcha_bypass_scrapy.service import Service
    from captcha_bypass_scrapy.settings import Config
    from captcha_bypass_scrapy.solve import Solve
    from captcha_bypass_scrapy.solves import Solves
    from captcha_bypass_scrapy.solving import Solver

logger = logging.getLogger("captcha_bypass_scrapy")

#: Failures that keep what the browser showed, for requests that come by later: a picture may be a
#: megabyte.
REMEMBERED_SCREENSHOTS = 20


class SolveRunner:
    """Runs the solves of a crawl; `close` ends them.

    Args:
        closing: Whether the spider is closing.
        close_spider: Called when the service is away and the setting says to stop then.
    """

    def __init__(
        self,
        config: Config,
        clearances: Clearances,
        solves: Solves,
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
        self._solver = solver
        self._service = service
        self._budget = budget
        self._reporter = reporter
        self._closing = closing
        self._close_spider = close_spider
        self._tasks: set[asyncio.Task[None]] = set()
        #: Failures with a picture, the oldest first.
        self._pictured: deque[SolveError] = deque()

    async def close(self) -> None:
        """End the solves under way; what waits for them is in the scheduler."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def begin(self, challenged: Challenged) -> Solve:
        """Begin to solve for everybody at this request's site.

        Raises:
            SolveError: the crawl has asked for as many solves as it may, or the service is away.
            CrawlEnding: the spider is closing.
        """
        if self._closing():
            raise CrawlEnding
        try:
            self._service.check_available()
        except SolverUnavailable as error:
            if self.ends_crawl(error):
                raise CrawlEnding from error  # it was us who closed the spider
            raise
        self._budget.spend(challenged.key)
        solve = self._solves.start(challenged, old=self._clearances.current(challenged.key))
        task = asyncio.create_task(self._run(challenged, solve))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return solve

    async def _run(self, challenged: Challenged, solve: Solve) -> None:
        outcome: SolveError | CrawlEnding | None = CrawlEnding()
        shares = False
        try:
            solution = await self._solver.get_clearance(challenged)
            solve.worked(solution)
            outcome = None
            shares = self._clearances.spans_domain(solve.key)
            self._reporter.retrying(solve.waiters, solve.key)
        except (SolveError, CrawlEnding) as error:
            outcome = error.with_traceback(None)
            if isinstance(error, SolveError) and error.evidence.screenshot is not None:
                self._remember(error)
        except Exception as error:
            logger.exception("A solve ended in an error that nobody has foreseen")
            outcome = SolveError(f"{type(error).__name__}: {error}")
        finally:
            if isinstance(outcome, SolverUnavailable) and self.ends_crawl(outcome):
                outcome = CrawlEnding()
                self._close_spider()
            self._solves.finish(solve, outcome, shares=shares, unproven=_is_unproven(solve))

    def _remember(self, error: SolveError) -> None:
        """Keep the picture of a failure, and drop the oldest past the bound."""
        self._pictured.append(error)
        if len(self._pictured) > REMEMBERED_SCREENSHOTS:
            old = self._pictured.popleft()
            old.evidence = replace(old.evidence, screenshot=None)

    def ends_crawl(self, error: SolverUnavailable) -> bool:
        """Whether the settings say to close the spider for this."""
        return self._config.on_unavailable == "close" and error.state != "busy"


def _is_unproven(solve: Solve) -> bool:
    """Whether it has to be seen first that the site takes its cookies from Scrapy.

    Where it does not, and the browser sends the requests then, only one is refused.
    """
    worked = solve.old is not None and solve.old.successes > 0
    return solve.options.mode == "auto" and not worked
