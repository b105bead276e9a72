"""Which response made the document that the page shows now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from playwright._impl._connection import from_nullable_channel
from playwright.async_api import BrowserContext, Error, Page, Request, Response

from captcha_bypass import challenges
from captcha_bypass.browsers.failures import (
    is_abort,
    is_error_page,
    is_file,
    translate,
    translate_page,
)
from captcha_bypass.errors import TaskError
from captcha_bypass.history import Timeline

#: Answers that leave the document as it is.
_NO_DOCUMENT = frozenset({204, 205})
_NOT_MODIFIED = 304
#: Answers of one context that are remembered, and the most characters of headers of one that is.
_MOST_STORED = 50
_STORED_CHARS = 16 * 1024


@dataclass(eq=False)
class Document:
    """What a navigation of the main frame brought: a document, or a file in place of one."""

    #: None for what a script made: `blob:`, `about:blank`.
    response: Response | None
    status: int | None
    #: As far as known when the response came; names in lower case.
    headers: dict[str, str]
    #: On the event loop's clock.
    since: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    @property
    def request(self) -> Request | None:
        """What was asked for it."""
        return None if self.response is None else self.response.request

    @property
    def asked(self) -> str:
        """The URL that was asked for, before any redirect; empty for what a script made."""
        request = self.request
        while request is not None and request.redirected_from is not None:
            request = request.redirected_from
        return "" if request is None else request.url

    async def all_headers(self) -> dict[str, str]:
        """Return the headers as the site sent them; those of the stored answer where it was used."""
        if self.response is None or self.response.status == _NOT_MODIFIED:
            return self.headers
        return await self.response.all_headers()


class _Stored:
    """What a context's cache may answer with: status and headers of main documents, by URL."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[int, dict[str, str]]] = {}

    def document(self, response: Response) -> Document:
        """Return the document that a response makes, with what a 304 left out (RFC 9111, 4.3.4)."""
        url, headers = _page_of(response.url), response.headers
        if response.status != _NOT_MODIFIED:
            self._remember(url, response.status, headers)
            return Document(response, response.status, headers)
        # Unknown only where something else than the main frame has loaded it.
        status, stored = self._answers.get(url, (200, {}))
        renewed = {k: v for k, v in headers.items() if not stored or not k.startswith("content-")}
        return Document(response, status, {**stored, **renewed})

    def _remember(self, url: str, status: int, headers: Mapping[str, str]) -> None:
        self._answers.pop(url, None)
        size = len(url) + sum(len(name) + len(value) for name, value in headers.items())
        if ("etag" in headers or "last-modified" in headers) and size <= _STORED_CHARS:
            self._answers[url] = status, dict(headers)
            while len(self._answers) > _MOST_STORED:
                del self._answers[next(iter(self._answers))]


#: A session's cache lives as long as its context, and longer than a tracker.
_stored: WeakKeyDictionary[BrowserContext, _Stored] = WeakKeyDictionary()


class DocumentTracker:
    """Follows the main frame through the reloads, posts and redirects of a challenge.

    `goto()` only knows the first answer, and the last answer need not have become a document yet,
    or ever; this keeps the one whose document the frame has shown last.

    Args:
        failure: Tells why a URL could not be reached; the browser only knows that its proxy failed.
        timeline: Told of each document.
    """

    def __init__(
        self,
        page: Page,
        failure: Callable[[str], TaskError | None],
        timeline: Timeline | None = None,
    ) -> None:
        self.timeline = timeline or Timeline()
        self._page = page
        self._why = failure
        self._stored = _stored.setdefault(page.context, _Stored())
        #: The URL of the last request that failed, and what the browser says.
        self._failed: tuple[str, str] | None = None
        #: That request, if it failed after the last answer and is not the one that brought it.
        self._failed_since: Request | None = None
        #: The last answer that could become a document; None before the first.
        self.answer: Response | None = None
        #: Answers to the main frame that are no document yet, by Playwright's own request.
        self._answers: dict[Any, Response] = {}
        #: What is shown; None before the first.
        self.document: Document | None = None
        #: The first that was shown.
        self.first: Document | None = None
        #: What came in place of a document since then: a download, or nothing.
        self.file: Document | None = None
        page.on("response", self._on_response)
        page.on("requestfailed", self._on_failed)
        # Only this event says which request made the document that a frame shows now. Public is
        # `expect_navigation`, which has to be called anew for each and may miss one between.
        self._navigations = page.main_frame._impl_obj._event_emitter
        self._navigations.on("navigated", self._on_navigated)

    def close(self) -> None:
        """Follow no longer: a session's page is used again."""
        self._page.remove_listener("response", self._on_response)
        self._page.remove_listener("requestfailed", self._on_failed)
        self._navigations.remove_listener("navigated", self._on_navigated)

    def clear(self) -> None:
        """Begin anew: what the page has shown so far was none of the task's."""
        self.document = self.first = self.file = self.answer = None
        self._failed = self._failed_since = None

    def raise_if_failed(self, error_page: str | None = None, *, answered: bool = True) -> None:
        """Raise the TaskError for the browser's own error page, if that is what it shows.

        Args:
            error_page: The document's own URI if it says that it is one.
            answered: Whether the document has been asked; one that does not answer is judged by
                what failed last.
        """
        # Firefox's error pages have an address of their own in one protocol, and in the other that
        # of what could not be opened.
        if error_page is None and is_error_page(self._page.url):
            error_page = self._page.url
        if error_page is not None:
            raise self._explain_page(error_page)
        failed = self._failed_since
        if failed is not None and not answered and same_page(failed.url, self._page.url):
            raise self.explain(failed.failure or "")

    def _explain_page(self, error_page: str) -> TaskError:
        if self._failed is not None:
            explained = self.explain(self._failed[1])
            if explained.code != "navigation_error":
                return explained
        shown = translate_page(error_page)
        return shown if self._failed is None else self.explain(shown)

    def explain(self, error: Exception | str) -> TaskError:
        """Turn an error of the browser into ours, by what is known about the last failed request."""
        translated = translate(error)
        if isinstance(error, TaskError) or translated.code == "browser_crashed":
            return translated
        known = None if self._failed is None else self._why(self._failed[0])
        return known or translated

    def _on_response(self, response: Response) -> None:
        if not is_main(response.request, self._page):
            return
        if 300 <= response.status < 400 and "location" in response.headers:
            return
        self._answers[response.request._impl_obj] = response
        if response.status not in _NO_DOCUMENT:
            self._failed_since = None
            self.answer = response

    def _on_navigated(self, event: Mapping[str, Any]) -> None:
        made = event.get("newDocument")
        if made is None:
            return  # the same document under another URL
        response = self._answers.pop(from_nullable_channel(made.get("request")), None)
        if "error" in event:
            self._on_left_out(response, event["error"])
            return
        if response is None and made.get("request") is None:
            response = self._answer_of(event["url"])
        self._answers.clear()
        if not is_error_page(event["url"]):  # which Firefox shows in place of a file, too
            self.file = None
        self.document = (
            Document(None, None, {}) if response is None else self._stored.document(response)
        )
        self.first = self.first or self.document
        self._tell(self.document, event["url"])

    def _answer_of(self, url: str) -> Response | None:
        """Return the last answer that came for a URL, where its document is told of without a request.

        A navigation that begins before the last one has ended gets another name from Firefox in its
        midst, and Playwright knows of no request by that name.
        """
        found = [response for response in self._answers.values() if same_page(response.url, url)]
        return found[-1] if found else None

    def _tell(self, document: Document, url: str) -> None:
        self.timeline.add(document.status, url)
        if document.status is not None:  # it may be gone before the watcher's look at it
            self.timeline.judge(challenges.detect_headers(document.status, document.headers))

    def _on_left_out(self, response: Response | None, error: str) -> None:
        if response is None:
            return
        if response.status in _NO_DOCUMENT or is_file(error):
            self.file = Document(response, response.status, response.headers)

    def _on_failed(self, request: Request) -> None:
        if not is_main(request, self._page):
            return
        failure = request.failure or ""
        self._failed = request.url, failure
        shown = None if self.answer is None else self.answer.request
        if request is not shown and not is_abort(failure):
            self._failed_since = request


def is_main(request: Request, page: Page) -> bool:
    """Whether a request is for a document of the page's main frame."""
    try:
        return request.is_navigation_request() and request.frame == page.main_frame
    except Error:
        return False  # a service worker's request has no frame


def same_page(left: str, right: str) -> bool:
    """Whether two URLs are one but for their fragments."""
    return _page_of(left) == _page_of(right)


def _page_of(url: str) -> str:
    return url.partition("#")[0]
