"""Between queue and browser: a payload comes in, a page is borrowed, an outcome goes out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from captcha_bypass.blocked_ports import check_port
from captcha_bypass.browsers.tabs import Tab
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.errors import BrowserLost, NotAPage, TaskError
from captcha_bypass.models import SessionKey, Task
from captcha_bypass.results import Solution
from captcha_bypass.solver import solve
from captcha_bypass.tasks.base import JsonDict

logger = logging.getLogger(__name__)

#: How often a task starts again whose browser was lost, as far as can be told by no fault of its
#: own. If any page of that browser may have killed it, each gets a browser for itself next.
RESTARTS = 2
#: Told of each task that ends: the outcome (`completed`, `timeout`, `cancelled` or the code of its
#: error), the seconds since it was taken, and the data of its result, empty if there is none.
Report = Callable[[str, float, JsonDict], None]


class Pages(Protocol):
    """Lends pages, as browsers.pool.BrowserPool does."""

    def page(
        self,
        *,
        deadline: float,
        permit: Permit,
        alone: bool = False,
        session: SessionKey | None = None,
        max_age: float | None = None,
    ) -> AbstractAsyncContextManager[Tab]:
        """See BrowserPool.page."""


class Worker:
    """The queue's handler: never raises, an outcome is a value.

    Args:
        pages: Lends the pages.
        max_html_bytes: See Config.
        proxy: That of tasks that name none.
        report: Called once for each task.
    """

    def __init__(
        self,
        pages: Pages,
        max_html_bytes: int,
        proxy: Upstream | None = None,
        report: Report = lambda outcome, seconds, data: None,
    ) -> None:
        self._pages = pages
        self._max_html_bytes = max_html_bytes
        self._proxy = proxy
        self._report = report

    async def __call__(self, task_id: str, payload: JsonDict) -> JsonDict:
        """Run one task. Cancelling it closes its page, or kills its browser."""
        clock = asyncio.get_running_loop().time
        started = clock()
        ended, result = "internal_error", JsonDict()
        try:
            ended, result = await self._run(task_id, Task.model_validate(payload), started)
        except asyncio.CancelledError:
            ended = "cancelled"
            raise
        finally:
            self._report(ended, clock() - started, result.get("data", {}))
        return result

    async def _run(self, task_id: str, request: Task, started: float) -> tuple[str, JsonDict]:
        """Return how a task ended, and what the queue keeps of it."""
        clock = asyncio.get_running_loop().time
        event = {"task_id": task_id, "host": request.host}
        logger.info("task started", extra=event)
        try:
            solution = await self._solve(request, started + request.timeout, event)
        except asyncio.CancelledError:
            logger.info("task stopped", extra={**event, "seconds": round(clock() - started, 3)})
            raise
        except TaskError as error:
            seconds = round(clock() - started, 3)
            logger.info("task ended", extra={**event, "outcome": error.code, "seconds": seconds})
            failed = _failed(error.code, str(error))
            if isinstance(error, NotAPage):
                error.solution.elapsed = seconds
                failed["data"] = error.solution.model_dump(mode="json")
            return error.code, failed
        except Exception:
            logger.exception("task failed unexpectedly", extra=event)
            message = f"Unexpected error; the log has it under task {task_id}."
            return "internal_error", _failed("internal_error", message)
        solution.elapsed = round(clock() - started, 3)
        outcome = "timeout" if solution.timeout_reached else "completed"
        logger.info("task ended", extra={**event, "outcome": outcome, "seconds": solution.elapsed})
        return outcome, {"data": solution.model_dump(mode="json")}

    async def _solve(self, request: Task, deadline: float, event: JsonDict) -> Solution:
        permit = permit_of(request, self._proxy)
        check_port(permit.named)
        alone = lost = False
        for _ in range(RESTARTS):
            try:
                return _whole(
                    await self._attempt(request, permit, deadline, event, alone=alone), lost=lost
                )
            except BrowserLost as error:
                lost, alone = True, alone or error.suspect
                logger.info("task starts again: its browser was lost", extra=event)
        return _whole(await self._attempt(request, permit, deadline, event, alone=True), lost=lost)

    async def _attempt(
        self, request: Task, permit: Permit, deadline: float, event: JsonDict, *, alone: bool
    ) -> Solution:
        clock = asyncio.get_running_loop().time
        asked = clock()
        try:
            async with self._pages.page(
                deadline=deadline,
                permit=permit,
                alone=alone,
                session=request.session_key,
                max_age=request.session_ttl,
            ) as tab:
                seconds = round(clock() - asked, 4)
                logger.debug("page lent", extra={**event, "seconds": seconds})
                guard = tab.guard
                return await solve(
                    tab.page, request, deadline, self._max_html_bytes, guard.failure, guard.gate
                )
        except TimeoutError:
            # It had a page, which could not be read within five seconds past the deadline.
            return Solution(url=request.url, timeout_reached=True, elapsed=0.0)


def _whole(solution: Solution, *, lost: bool) -> Solution:
    """Return a solution, but for one without a document whose site may not have been slow at all.

    Raises:
        TaskError: `browser_crashed`.
    """
    if lost and solution.timeout_reached and solution.status_code is None:
        message = "Its browser was lost, and the time that was left did not do; send it again."
        raise TaskError("browser_crashed", message)
    return solution


def _failed(code: str, message: str) -> JsonDict:
    return {"error": {"code": code, "message": message}}


def permit_of(task: Task, default: Upstream | None = None) -> Permit:
    """Return what a task may reach by its own words: the host it names, through its proxy.

    Args:
        default: The proxy where the task names none.
    """
    upstream = default if task.proxy is None else Upstream.of(task.proxy)
    return Permit(Destination.of(task.url), upstream)
