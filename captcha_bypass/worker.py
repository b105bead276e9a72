"""Between queue and browser: a payload comes in, a page is borrowed, an outcome goes out."""

from __future__ import annotations

import asyncio
import logging

from captcha_bypass.browsers.pool import BrowserPool
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.errors import BrowserLost, TaskError
from captcha_bypass.models import Solution, SolveRequest
from captcha_bypass.solver import host_of, solve
from captcha_bypass.tasks.base import JsonDict

logger = logging.getLogger(__name__)

#: How often a task starts again whose browser was lost, as far as can be told by no fault of its
#: own. If any page of that browser may have killed it, each gets a browser for itself next.
RESTARTS = 2


class Worker:
    """The queue's handler: never raises, an outcome is a value.

    Args:
        pool: Lends the pages.
        max_html_bytes: See Config.
        proxy: That of tasks that name none.
    """

    def __init__(
        self, pool: BrowserPool, max_html_bytes: int, proxy: Upstream | None = None
    ) -> None:
        self._pool = pool
        self._max_html_bytes = max_html_bytes
        self._proxy = proxy

    async def __call__(self, task_id: str, payload: JsonDict) -> JsonDict:
        """Run one task. Cancelling it closes its page, or kills its browser."""
        request = SolveRequest.model_validate(payload)
        clock = asyncio.get_running_loop().time
        started = clock()
        event = {"task_id": task_id, "host": host_of(request.url)}
        logger.info("task started", extra=event)
        try:
            solution = await self._solve(request, started + request.timeout, event)
        except asyncio.CancelledError:
            logger.info("task stopped", extra={**event, "seconds": round(clock() - started, 3)})
            raise
        except TaskError as error:
            return self._failed(error, {**event, "seconds": round(clock() - started, 3)})
        except Exception:
            logger.exception("task failed unexpectedly", extra=event)
            message = f"Unexpected error; the log has it under task {task_id}."
            return {"error": {"code": "internal_error", "message": message}}
        solution.elapsed = round(clock() - started, 3)
        outcome = "timeout" if solution.timeout_reached else "completed"
        logger.info("task ended", extra={**event, "outcome": outcome, "seconds": solution.elapsed})
        return {"data": solution.model_dump(mode="json")}

    async def _solve(self, request: SolveRequest, deadline: float, event: JsonDict) -> Solution:
        alone = False
        for _ in range(RESTARTS):
            try:
                return await self._attempt(request, deadline, event, alone=alone)
            except BrowserLost as error:
                alone = alone or error.suspect
                logger.info("task starts again: its browser was lost", extra=event)
        return await self._attempt(request, deadline, event, alone=True)

    async def _attempt(
        self, request: SolveRequest, deadline: float, event: JsonDict, *, alone: bool
    ) -> Solution:
        clock = asyncio.get_running_loop().time
        asked = clock()
        permit = permit_of(request, self._proxy)
        try:
            async with self._pool.page(deadline=deadline, permit=permit, alone=alone) as tab:
                seconds = round(clock() - asked, 4)
                logger.debug("page lent", extra={**event, "seconds": seconds})
                failure = tab.guard.failure
                return await solve(tab.page, request, deadline, self._max_html_bytes, failure)
        except TimeoutError:
            # No page before the deadline, or none that could be read five seconds past it.
            return Solution(url=request.url, timeout_reached=True, elapsed=0.0)

    def _failed(self, error: TaskError, event: JsonDict) -> JsonDict:
        logger.info("task ended", extra={**event, "outcome": error.code})
        return {"error": {"code": error.code, "message": str(error)}}


def permit_of(request: SolveRequest, default: Upstream | None = None) -> Permit:
    """Return what a task may reach by its own words: the host it names, through its proxy.

    Args:
        default: The proxy where the task names none.
    """
    proxy = request.proxy
    upstream = Upstream.of(proxy.server, proxy.username, proxy.password) if proxy else default
    return Permit(Destination.of(request.url), upstream)
