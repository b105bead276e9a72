"""Which response made the document that the page shows now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from playwright.async_api import Error, Page, Request, Response

from captcha_bypass.browsers.failures import is_abort, is_error_page, translate, translate_page
from captcha_bypass.errors import TaskError

#: Answers that leave the document as it is.
_NO_DOCUMENT = frozenset({204, 205})


@dataclass(eq=False)
class Document:
    """A response to a navigation of the main frame."""

    response: Response
    status: int
    #: As far as known when the response came; names in lower case.
    headers: dict[str, str]


class DocumentTracker:
    """Follows the main frame through the reloads, posts and redirects of a challenge.

    `goto()` only knows the first answer; this keeps the last that became a document.

    Args:
        failure: Tells why a URL could not be reached; the browser only knows that its proxy failed.
    """

    def __init__(self, page: Page, failure: Callable[[str], TaskError | None]) -> None:
        self._page = page
        self._why = failure
        #: The URL of the last request that failed, and what the browser says.
        self._failed: tuple[str, str] | None = None
        #: That request, if it failed after the document came and is not the one that brought it.
        self._failed_since: Request | None = None
        #: The last response that could be the document shown; None before the first.
        self.document: Document | None = None
        #: The first that could.
        self.first: Document | None = None
        page.on("response", self._on_response)
        page.on("requestfailed", self._on_failed)

    def close(self) -> None:
        """Follow no longer: a session's page is used again."""
        self._page.remove_listener("response", self._on_response)
        self._page.remove_listener("requestfailed", self._on_failed)

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
        if failed is not None and not answered and _same_page(failed.url, self._page.url):
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

    def _is_main(self, request: Request) -> bool:
        try:
            return request.is_navigation_request() and request.frame == self._page.main_frame
        except Error:
            return False  # a service worker's request has no frame

    def _on_response(self, response: Response) -> None:
        if not self._is_main(response.request):
            return
        headers = response.headers
        leaves_page = response.status in _NO_DOCUMENT or headers.get(
            "content-disposition", ""
        ).lower().startswith("attachment")
        if not leaves_page and not (300 <= response.status < 400 and "location" in headers):
            self._failed_since = None
            self.document = Document(response, response.status, headers)
            self.first = self.first or self.document

    def _on_failed(self, request: Request) -> None:
        if not self._is_main(request):
            return
        failure = request.failure or ""
        self._failed = request.url, failure
        shown = None if self.document is None else self.document.response.request
        if request is not shown and not is_abort(failure):
            self._failed_since = request


def _same_page(left: str, right: str) -> bool:
    return left.partition("#")[0] == right.partition("#")[0]
