"""One task on one page: go, wait, collect. One deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import Page, Route

from captcha_bypass import first_request
from captcha_bypass.collecting import Collector
from captcha_bypass.cookies import Jar
from captcha_bypass.documents import DocumentTracker
from captcha_bypass.egress.gate import Gate
from captcha_bypass.errors import NotAPage, TaskError
from captcha_bypass.models import Task
from captcha_bypass.probe import Conditions, Watcher
from captcha_bypass.results import Solution


async def solve(
    page: Page,
    request: Task,
    deadline: float,
    max_html_bytes: int,
    failure: Callable[[str], TaskError | None],
    gate: Gate,
) -> Solution:
    """Open the request's URL, wait for its conditions until `deadline`, return what is there.

    Args:
        page: A fresh page; whoever lent it closes it.
        deadline: On the event loop's clock.
        max_html_bytes: A larger page raises `page_too_large`.
        failure: Tells why a URL could not be reached, as whoever connects for the browser knows.
        gate: Keeps the browser from other hosts while the task's own headers are on their way.

    Raises:
        TaskError: there is no page to return; reaching the deadline is not an error.
        TimeoutError: past the deadline the browser does not answer at all.
    """
    tracker, jar = DocumentTracker(page, failure), Jar(page)
    watcher = Watcher(page, tracker, Conditions.of(request), max_html_bytes)
    collector = Collector(page, tracker, jar, request, deadline, max_html_bytes)
    try:
        opening = _open(page, request, tracker, jar, gate, watcher)
        timeout_reached = not await _in_time(opening, deadline)
        while True:
            tracker.raise_if_failed()
            document, solution = await collector.collect()
            if timeout_reached or document is watcher.held:
                break
            # The page has moved on: for what it shows now, the conditions have to hold, too.
            timeout_reached = not await _in_time(watcher.until_through(), deadline)
    except TimeoutError:
        raise
    except Exception as error:
        explained = tracker.explain(error)
        if explained.code != "not_a_page":
            raise explained from error
        solution = await collector.collect_file()
        solution.solved = watcher.met
        raise NotAPage(str(explained), solution) from error
    finally:
        watcher.close()
        jar.close()
        tracker.close()
    if solution.challenge is None:
        solution.solved = watcher.met
    solution.timeout_reached = timeout_reached
    return solution


async def _in_time(part: Awaitable[None], deadline: float) -> bool:
    """Whether a part of the task was done by its deadline."""
    try:
        async with asyncio.timeout_at(deadline):
            await part
    except TimeoutError:
        return False
    return True


async def _open(
    page: Page, request: Task, tracker: DocumentTracker, jar: Jar, gate: Gate, watcher: Watcher
) -> None:
    """Open the page, and return once its conditions have held and it has had its time to settle."""
    await jar.fill(request)
    tracker.forget()
    if request.block:
        await page.route("**/*", _blocker(frozenset(request.block)))
    await first_request.go(page, request, tracker, gate)
    await watcher.until_through()
    if _wants_form_again(request, tracker, watcher):
        await first_request.go(page, request, tracker, gate)
        await watcher.until_through()
    await asyncio.sleep(request.settle)


def _wants_form_again(request: Task, tracker: DocumentTracker, watcher: Watcher) -> bool:
    """Whether the challenge has answered the form, and the site has not seen it yet."""
    if request.form is None or watcher.met is None:
        return False
    return not first_request.has_posted(request, tracker)


def _blocker(types: frozenset[str]) -> Any:  # noqa: ANN401 - Playwright's handler type
    async def block(route: Route) -> None:
        if route.request.resource_type in types:
            await route.abort()
        else:
            await route.fallback()

    return block
