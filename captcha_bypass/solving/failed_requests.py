"""Requests of a page that failed, counted by why: what a challenge could not load, say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from playwright.async_api import Page, Request, Response

from captcha_bypass.browsers.failures import is_abort, translate
from captcha_bypass.errors import TaskError
from captcha_bypass.solving.documents import is_main

#: Codes that are kept apart; all others are `other`. There are a dozen of errors, and 200 of HTTP.
MOST_CODES = 20


class FailedRequests:
    """Counts them on a page, its own documents aside.

    What was given up by the page, or by a task's `block`, has not failed.

    Args:
        failure: See DocumentTracker.
    """

    def __init__(self, page: Page, failure: Callable[[str], TaskError | None]) -> None:
        self._page = page
        self._why = failure
        self._counts = Counter[str]()
        page.on("requestfailed", self._on_failed)
        page.on("response", self._on_response)

    def close(self) -> None:
        """Count no longer: a session's page is used again."""
        self._page.remove_listener("requestfailed", self._on_failed)
        self._page.remove_listener("response", self._on_response)

    @property
    def counts(self) -> dict[str, int]:
        """How many there were of each code, most first: a task's error code, or `http_404`."""
        return dict(self._counts.most_common())

    def _on_failed(self, request: Request) -> None:
        failure = request.failure or ""
        if is_abort(failure) or is_main(request, self._page):
            return
        known = self._why(request.url) if request.url.startswith(("http:", "https:")) else None
        self._count((known or translate(failure)).code)

    def _on_response(self, response: Response) -> None:
        if response.status >= 400 and not is_main(response.request, self._page):
            self._count(f"http_{response.status}")

    def _count(self, code: str) -> None:
        if code not in self._counts and len(self._counts) >= MOST_CODES:
            code = "other"
        self._counts[code] += 1
