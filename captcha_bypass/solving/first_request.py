"""A task's first request: its own headers and form, which no host but the task's gets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from playwright.async_api import Error, Page, Request, Route

from captcha_bypass.browsers.tab import Tab
from captcha_bypass.egress.gate import Gate
from captcha_bypass.egress.rules import Destination
from captcha_bypass.solving.documents import DocumentTracker
from captcha_bypass.wire.task import Task

_FORM_TYPE = "application/x-www-form-urlencoded"


async def go(tab: Tab, task: Task, tracker: DocumentTracker) -> None:
    """Navigate until the first answer: `load` never comes on a page that keeps loading.

    Where that leads to another host, the task's own headers and form stay behind: browsers would
    take both along.

    Raises:
        Error: there is no answer.
    """
    page, gate = tab.page, tab.guard.gate
    if not task.headers and task.form is None:
        await _navigate(page, task.url, tracker)
        return
    elsewhere = _Redirected(page, gate)
    try:
        await _send(page, task, gate)
        try:
            await _navigate(page, task.url, tracker)
        except Error:
            if elsewhere.url is None:
                raise
        if elsewhere.url is None:
            gate.open()
    finally:
        # Also where the deadline came first: what is held back may be a redirect that nobody saw.
        gate.refuse()
        elsewhere.close()
    if elsewhere.url is not None:
        gate.open()
        await _navigate(page, elsewhere.url, tracker)


def has_posted(task: Task, tracker: DocumentTracker) -> bool:
    """Whether the document now shown answers a post of the task's form by a challenge's own script.

    Large CDNs keep the form in their challenge, and post it once the visitor has passed.
    """
    if tracker.document is None or tracker.document is tracker.first or task.form is None:
        return False
    asked = tracker.document.request
    while asked is not None:
        if asked.method == "POST" and _place(asked.url) == _place(task.url):
            # What is shorter than the form is the challenge's own answer.
            length = asked.headers.get("content-length", "")
            return not length.isdigit() or int(length) >= len(task.form)
        asked = asked.redirected_from
    return False


def _place(url: str) -> tuple[str, str]:
    """Return what stays of a URL when a challenge adds its token to it."""
    parts = urlsplit(url)
    return parts.netloc, parts.path


class _Redirected:
    """Sees whether the first request is redirected to another host, and keeps it from there."""

    def __init__(self, page: Page, gate: Gate) -> None:
        self._page = page
        self._gate = gate
        #: Where to; None until then.
        self.url: str | None = None
        page.on("request", self._on_request)

    def close(self) -> None:
        self._page.remove_listener("request", self._on_request)

    def _on_request(self, request: Request) -> None:
        first = request
        while first.redirected_from is not None:
            first = first.redirected_from
        try:
            main = request.is_navigation_request() and request.frame == self._page.main_frame
        except Error:
            return  # a service worker's request has no frame
        if main and self.url is None and Destination.of(request.url) not in _of_one_host(first.url):
            self.url = request.url
            self._gate.refuse()


def _of_one_host(url: str) -> tuple[Destination, ...]:
    """Return the destinations that are as good as a URL's own: https in place of http, too."""
    own = Destination.of(url)
    return (own, Destination(own.host, 443)) if own.port == 80 else (own,)


async def _send(page: Page, task: Task, gate: Gate) -> None:
    """Let the page's next request be sent as the task wants it, and none after it."""
    headers = dict(task.headers)
    if task.form is not None:
        # As from a form on the site itself; a real one on a page of ours would be a stranger's,
        # and the browser would keep the site's cookies to itself.
        parts = urlsplit(task.url)
        posted = {"Origin": f"{parts.scheme}://{parts.netloc}", "Sec-Fetch-Site": "same-origin"}
        given = {name.lower() for name in headers}
        headers |= {name: value for name, value in posted.items() if name.lower() not in given}
        headers = {n: v for n, v in headers.items() if n.lower() != "content-type"}
        headers["Content-Type"] = _FORM_TYPE
    # Not among the request's own: there Firefox does not take all of them (Origin, Referer ...), and
    # Playwright gives them to what it is redirected to as well.
    await page.set_extra_http_headers(headers)
    await page.route("**/*", _as_wanted(page, task.form, gate), times=1)


def _as_wanted(page: Page, form: str | None, gate: Gate) -> Callable[[Route], Awaitable[None]]:
    async def send(route: Route) -> None:
        await page.set_extra_http_headers({})  # it has them now
        gate.confine(*_of_one_host(route.request.url))
        method = None if form is None else "POST"
        await route.continue_(method=method, post_data=form)

    return send


async def _navigate(page: Page, url: str, tracker: DocumentTracker) -> None:
    try:
        await page.goto(url, wait_until="commit", timeout=0)
    except Error as error:
        # A page that navigates on at once aborts the navigation that goto waits for.
        interrupted = "NS_BINDING_ABORTED" in str(error) or "interrupted" in str(error)
        if not interrupted or tracker.answer is None:
            raise
