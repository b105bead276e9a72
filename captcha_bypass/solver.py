"""One task on one page: go, wait, collect. One deadline."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from playwright.async_api import Error, Page, Route

from captcha_bypass import challenges, first_request
from captcha_bypass.documents import Document, DocumentTracker
from captcha_bypass.egress.gate import Gate
from captcha_bypass.errors import TaskError
from captcha_bypass.isolated import ask
from captcha_bypass.models import Cookie, ResultCookie, Solution, Task
from captcha_bypass.probe import Conditions, Watcher, page_too_large

#: Seconds each part of the result may take to collect; together they stay under the five that
#: the browser lives past the deadline.
COLLECT_SECONDS = 2.0
#: For the document's source where its DOM cannot be had in time.
SOURCE_SECONDS = 1.0

T = TypeVar("T")


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
    """
    tracker = DocumentTracker(page, failure)
    watcher = Watcher(page, tracker, Conditions.of(request), max_html_bytes)
    try:
        try:
            async with asyncio.timeout_at(deadline):
                await _prepare(page, request)
                await first_request.go(page, request, tracker, gate)
                await watcher.until_through()
                if _wants_form_again(request, tracker, watcher):
                    await first_request.go(page, request, tracker, gate)
                    await watcher.until_through()
                await asyncio.sleep(request.settle)
            timeout_reached = False
        except TimeoutError:
            timeout_reached = True
        tracker.raise_if_failed()
        solution = await _collect(page, tracker, request, max_html_bytes)
        if solution.challenge is None:
            solution.solved = watcher.met
    except Exception as error:
        raise tracker.explain(error) from error
    finally:
        watcher.close()
        tracker.close()
    solution.timeout_reached = timeout_reached
    return solution


def _wants_form_again(request: Task, tracker: DocumentTracker, watcher: Watcher) -> bool:
    """Whether the challenge has answered the form, and the site has not seen it yet."""
    if request.form is None or watcher.met is None:
        return False
    return not first_request.has_posted(request, tracker)


async def _prepare(page: Page, request: Task) -> None:
    if request.cookies:
        cookies: Any = [_browser_cookie(cookie, request.url) for cookie in request.cookies]
        await page.context.add_cookies(cookies)
    if request.block:
        await page.route("**/*", _blocker(frozenset(request.block)))


def _browser_cookie(cookie: Cookie, task_url: str) -> dict[str, Any]:
    """Give a cookie the place it needs; a host-only cookie's domain has no leading dot."""
    url = cookie.url or task_url
    fields = cookie.model_dump(exclude={"url", "domain", "secure", "partitionKey"})
    return {
        **fields,
        "domain": cookie.domain or host_of(url),
        "secure": url.startswith("https:") if cookie.secure is None else cookie.secure,
    }


def host_of(url: str) -> str:
    """Return the host of a URL that passed the API, IPv6 in brackets."""
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host


def _blocker(types: frozenset[str]) -> Any:  # noqa: ANN401 - Playwright's handler type
    async def block(route: Route) -> None:
        if route.request.resource_type in types:
            await route.abort()
        else:
            await route.fallback()

    return block


async def _collect(
    page: Page, tracker: DocumentTracker, request: Task, max_html_bytes: int
) -> Solution:
    document = tracker.document
    solution = Solution(url=request.url, timeout_reached=False, elapsed=0.0)
    if document is None:
        return solution
    cookies, html, headers, sent, shot = await asyncio.gather(
        _within(page, page.context.cookies()),
        _html(page, tracker, document, max_html_bytes),
        _within(page, document.response.all_headers()),
        _within(page, document.response.request.all_headers()),
        _within(page, page.screenshot(timeout=0)) if request.screenshot else _nothing(),
    )
    solution.cookies = [ResultCookie.model_validate(cookie) for cookie in cookies or []]
    solution.html = html
    solution.url = page.url
    solution.status_code = document.status
    solution.headers = headers or document.headers
    solution.request_headers = sent or document.response.request.headers
    solution.user_agent = solution.request_headers.get("user-agent")
    solution.screenshot = base64.b64encode(shot).decode() if shot else None
    found = challenges.detect(document.status, solution.headers, html)
    if found is not None and found.solvable:
        solution.challenge = found.vendor
    elif found is not None:
        solution.block = found.vendor
    return solution


async def _html(page: Page, tracker: DocumentTracker, document: Document, limit: int) -> str:
    """Return the DOM as HTML, or the source as it came where the page's script spins."""
    found: str | int
    try:
        async with asyncio.timeout(COLLECT_SECONDS):
            found = await _serialized(page, tracker, limit)
    except TimeoutError:
        source = await _within(page, document.response.body(), SOURCE_SECONDS)
        found = (source or b"").decode("utf-8", "replace")
    size = found if isinstance(found, int) else len(found.encode("utf-8", "surrogatepass"))
    if isinstance(found, int) or size > limit:
        raise page_too_large(size, limit)
    return found


async def _serialized(page: Page, tracker: DocumentTracker, limit: int) -> str | int:
    """Return the DOM as HTML, or its length where that is over the limit."""
    while True:
        try:
            answer = await ask(page.main_frame, "collect", {"limit": limit})
        except Error:
            if page.is_closed():
                raise
            await asyncio.sleep(0.05)  # it is navigating: its next document can be asked
        else:
            about, _, html = answer.partition("\n")
            told = json.loads(about)
            tracker.raise_if_failed(told["errorPage"])
            length = int(told["length"])
            return length if length > limit else html


async def _within(page: Page, part: Awaitable[T], seconds: float = COLLECT_SECONDS) -> T | None:
    """Return a part of the result, or None where the browser does not give it in time."""
    try:
        async with asyncio.timeout(seconds):
            return await part
    except TimeoutError:
        return None
    except Error:
        if page.is_closed():
            raise
        return None


async def _nothing() -> None:
    return None
