"""Between queue and browser: a payload comes in, a page is borrowed, an outcome goes out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from captcha_bypass.browsers.tab import Tab
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.errors import BrowserLost, TaskError
from captcha_bypass.history import History
from captcha_bypass.human.waits import Waits
from captcha_bypass.solving.blocked_ports import check_port
from captcha_bypass.solving.bounds import Bounds
from captcha_bypass.solving.capturing import capture
from captcha_bypass.solving.conditions import Conditions
from captcha_bypass.solving.explaining import hint_of
from captcha_bypass.solving.outcome import Findings, Outcome, Reasons
from captcha_bypass.solving.solver import solve
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.wire.fetch import FetchRequest
from captcha_bypass.wire.task import SessionKey, Task

logger = logging.getLogger(__name__)

#: How often a task starts again whose browser was lost, as far as can be told by no fault of its
#: own. If any page of that browser may have killed it, each gets a browser for itself next.
RESTARTS = 2
#: Not again: what the person did in it is lost, and they may have left.
LOST_WAIT = "The browser was lost while its page waited for a person; send the task again."
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
        history: Told what tasks' pages show, and left with those that came to nothing.
        waits: Where pages wait for a person; None: none does.
    """

    def __init__(
        self,
        pages: Pages,
        max_html_bytes: int,
        proxy: Upstream | None = None,
        report: Report = lambda outcome, seconds, data: None,
        history: History | None = None,
        waits: Waits | None = None,
    ) -> None:
        self._pages = pages
        self._max_html_bytes = max_html_bytes
        self._proxy = proxy
        self._report = report
        self._waits = waits
        self._history = history or History()

    async def __call__(self, task_id: str, payload: JsonDict) -> JsonDict:
        """Run one task. Cancelling it closes its page, or kills its browser."""
        clock = asyncio.get_running_loop().time
        started = clock()
        ended, result = "internal_error", JsonDict()
        try:
            job = self._job(task_id, Task.model_validate(payload), started)
            ended, result = await self._run(job, started)
        except asyncio.CancelledError:
            ended = "cancelled"
            raise
        finally:
            self._report(ended, clock() - started, result.get("data", {}))
        return result

    def _job(self, task_id: str, task: Task, started: float) -> _Job:
        return _Job(
            task_id,
            task,
            permit_of(task, self._proxy),
            Bounds(started + task.timeout, self._max_html_bytes),
            {"task_id": task_id, "host": task.host},
        )

    async def _run(self, job: _Job, started: float) -> tuple[str, JsonDict]:
        """Return how a task ended, and what the queue keeps of it."""
        clock = asyncio.get_running_loop().time
        logger.info("task started", extra=job.event)
        try:
            outcome = await self._solve(job)
        except asyncio.CancelledError:
            seconds = round(clock() - started, 3)
            logger.info("task stopped", extra={**job.event, "seconds": seconds})
            raise
        except TaskError as error:
            outcome = Outcome(error=error)
        except Exception:
            logger.exception("task failed unexpectedly", extra=job.event)
            message = f"Unexpected error; the log has it under task {job.event['task_id']}."
            return "internal_error", Outcome(error=TaskError("internal_error", message)).result(0)
        seconds = round(clock() - started, 3)
        logger.info("task ended", extra={**job.event, **outcome.event, "seconds": seconds})
        return outcome.name, outcome.result(seconds)

    async def _solve(self, job: _Job) -> Outcome:
        check_port(job.permit.named)
        alone = lost = False
        for _ in range(RESTARTS):
            try:
                outcome = await self._attempt(job, alone=alone)
                break
            except BrowserLost as error:
                if job.bounds.was_moved:
                    raise TaskError("browser_crashed", LOST_WAIT) from error
                lost, alone = True, alone or error.suspect
                logger.info("task starts again: its browser was lost", extra=job.event)
        else:
            outcome = await self._attempt(job, alone=True)
        if lost and outcome.timeout_reached and not outcome.has_document:
            # Its site may not have been slow at all.
            message = "Its browser was lost, and the time that was left did not do; send it again."
            raise TaskError("browser_crashed", message)
        return outcome

    async def _attempt(self, job: _Job, *, alone: bool) -> Outcome:
        clock = asyncio.get_running_loop().time
        asked = clock()
        try:
            async with self._pages.page(
                deadline=job.bounds.deadline,
                permit=job.permit,
                alone=alone,
                session=job.task.session_key,
                max_age=job.task.session_ttl,
            ) as tab:
                seconds = round(clock() - asked, 4)
                logger.debug("page lent", extra={**job.event, "seconds": seconds})
                return await self._witnessed(job, tab)
        except TimeoutError:
            # It had a page, which could not be read within five seconds past the deadline.
            reasons = Reasons(Conditions.of(job.task).unmet(), (hint_of("page_busy"),))
            return Outcome(Findings(job.task.url), timeout_reached=True, reasons=reasons)

    async def _witnessed(self, job: _Job, tab: Tab) -> Outcome:
        """Solve a task on its page, and keep what the page shows if it came to nothing."""
        timeline = self._history.timeline(job.task_id)
        try:
            outcome = await solve(tab, job.task, job.bounds, job.task_id, self._waits, timeline)
        except TaskError as error:
            if error.code == "browser_crashed" or not timeline.documents:
                raise
            await self._keep(job, tab, "")
            raise
        if timeline.documents and (outcome.timeout_reached or outcome.error is not None):
            await self._keep(job, tab, outcome.findings.html if outcome.findings else "")
        return outcome

    async def _keep(self, job: _Job, tab: Tab, html: str) -> None:
        """Keep what a page shows, where that is wanted.

        Args:
            html: Its HTML, if the result has it.
        """
        if not self._history.evidence.is_open:
            return
        evidence = await capture(tab.page, html, job.bounds, job.task.owner)
        if evidence is not None:
            self._history.keep(job.task_id, evidence)


@dataclass(frozen=True)
class _Job:
    """A task, and what it may do."""

    task_id: str
    task: Task
    permit: Permit
    bounds: Bounds
    #: What names it in log lines.
    event: JsonDict


def permit_of(task: Task | FetchRequest, default: Upstream | None = None) -> Permit:
    """Return what a task or request may reach by its own words: the host it names, through its proxy.

    Args:
        default: The proxy where the task names none.
    """
    upstream = default if task.proxy is None else Upstream.of(task.proxy)
    return Permit(Destination.of(task.url), upstream)
