"""One task on one page: go, wait, collect. One deadline."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from playwright.async_api import Error, Route

from captcha_bypass.browsers.tab import Tab
from captcha_bypass.errors import TaskError
from captcha_bypass.history import Timeline
from captcha_bypass.human.waits import Waits
from captcha_bypass.solving import first_request
from captcha_bypass.solving.attending import Attendant
from captcha_bypass.solving.bounds import Bounds
from captcha_bypass.solving.collecting import Collector
from captcha_bypass.solving.conditions import Conditions
from captcha_bypass.solving.cookies import Jar
from captcha_bypass.solving.documents import DocumentTracker
from captcha_bypass.solving.explaining import Explainer, Explanation
from captcha_bypass.solving.failed_requests import FailedRequests
from captcha_bypass.solving.outcome import Outcome, Reasons
from captcha_bypass.solving.watcher import Watcher
from captcha_bypass.wire.task import Task


async def solve(
    tab: Tab,
    task: Task,
    bounds: Bounds,
    task_id: str = "",
    waits: Waits | None = None,
    timeline: Timeline | None = None,
) -> Outcome:
    """Open the task's URL, wait for its conditions until the deadline, return what is there.

    Args:
        tab: With a fresh page; whoever lent it closes it.
        bounds: Moved where a person is waited for.
        waits: Where such pages are kept; None: nobody is waited for.
        timeline: Told of the documents that the page shows.

    Raises:
        TaskError: there is nothing to return; reaching the deadline is not an error, and of a file
            in place of a page there are findings.
        TimeoutError: past the deadline the browser does not answer at all.
    """
    conditions = Conditions.of(task)
    tracker, jar = DocumentTracker(tab.page, tab.guard.failure, timeline), Jar(tab.page)
    failed = FailedRequests(tab.page, tab.guard.failure)
    watcher = Watcher(tab.page, tracker, conditions, bounds, judges_always=task.waits_for_human)
    explainer = Explainer(tab.page, tracker, conditions)
    collector = Collector(tab.page, tracker, jar, task, bounds)
    attendant = Attendant(waits, task_id, task, tab, watcher, explainer, bounds)
    try:
        async with attendant:
            in_time = await bounds.in_time(_go(tab, task, tracker, jar, watcher))
            while True:
                tracker.raise_if_failed()
                if not in_time:
                    attendant.end("timeout")
                    late = await _unfinished(tracker, watcher, collector, explainer, failed)
                    return attendant.explained(late)
                found = await collector.collect()
                if found.document is watcher.held:
                    attendant.end("solved")
                    reasons = Reasons(failed_requests=failed.counts)
                    return Outcome(found, met=watcher.met, reasons=reasons)
                # The page has moved on: for what it shows now, the conditions have to hold, too.
                in_time = await bounds.in_time(watcher.until_through())
    except (Error, TaskError) as error:
        explained = tracker.explain(error)
        if explained.code != "not_a_page":
            raise explained from error
        reasons = Reasons(conditions.unmet(), failed_requests=failed.counts)
        file = await collector.collect_file()
        return Outcome(file, met=watcher.met, error=explained, reasons=reasons)
    finally:
        watcher.close()
        failed.close()
        jar.close()
        tracker.close()


async def _unfinished(
    tracker: DocumentTracker,
    watcher: Watcher,
    collector: Collector,
    explainer: Explainer,
    failed: FailedRequests,
) -> Outcome:
    """Return what is there when the time is up, and why it is no more."""
    before = tracker.document
    explaining = asyncio.create_task(explainer.explain(watcher.unmet(before)))
    try:
        found = await collector.collect()
        why = await explaining
    finally:
        explaining.cancel()
        await asyncio.gather(explaining, return_exceptions=True)
    if found.document is not before:
        why = Explanation()  # which was of another document
    obstacle = found.obstacle
    if why.has_widget and obstacle is not None and obstacle.kind == "automatic":
        found = replace(found, obstacle=replace(obstacle, kind="human"))
    unmet = watcher.unmet(found.document, challenged=obstacle is not None and obstacle.solvable)
    reasons = Reasons(unmet, why.hints, failed.counts)
    return Outcome(found, timeout_reached=True, met=watcher.met, reasons=reasons)


async def _go(tab: Tab, task: Task, tracker: DocumentTracker, jar: Jar, watcher: Watcher) -> None:
    """Open the page, and return once its conditions have held and it has had its time to settle."""
    await jar.fill(task)
    tracker.clear()
    if task.block:
        await tab.page.route("**/*", _blocker(frozenset(task.block)))
    await first_request.go(tab, task, tracker)
    await watcher.until_through()
    if _wants_form_again(task, tracker, watcher):
        await first_request.go(tab, task, tracker)
        await watcher.until_through()
    await asyncio.sleep(task.settle)


def _wants_form_again(task: Task, tracker: DocumentTracker, watcher: Watcher) -> bool:
    """Whether the challenge has answered the form, and the site has not seen it yet."""
    if task.form is None or watcher.met is None:
        return False
    return not first_request.has_posted(task, tracker)


def _blocker(types: frozenset[str]) -> Any:  # noqa: ANN401 - Playwright's handler type
    async def block(route: Route) -> None:
        if route.request.resource_type in types:
            await route.abort()
        else:
            await route.fallback()

    return block
