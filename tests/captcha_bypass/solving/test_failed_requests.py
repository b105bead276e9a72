"""Requests of a page that failed are counted by why, and the counts are bounded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pyee import EventEmitter

from captcha_bypass.errors import TaskError
from captcha_bypass.solving.failed_requests import MOST_CODES, FailedRequests


@pytest.fixture
def page() -> Any:  # noqa: ANN401 - stands in for Playwright's, which has no faults to order
    page: Any = EventEmitter()
    page.main_frame = object()
    return page


def request(page: Any, *, failure: str | None = None, main: bool = False) -> Any:  # noqa: ANN401
    return SimpleNamespace(
        url="http://site.test/x",
        failure=failure,
        frame=page.main_frame,
        is_navigation_request=lambda: main,
    )


def answer(page: Any, status: int, *, main: bool = False) -> Any:  # noqa: ANN401
    return SimpleNamespace(status=status, request=request(page, main=main))


def test_failures_and_refusals_are_counted_by_code_most_first(page: Any) -> None:  # noqa: ANN401
    failed = FailedRequests(page, lambda url: None)
    page.emit("requestfailed", request(page, failure="NS_ERROR_UNKNOWN_HOST"))
    for status in (200, 304, 404, 404, 503):
        page.emit("response", answer(page, status))
    assert list(failed.counts.items()) == [("http_404", 2), ("dns_error", 1), ("http_503", 1)]


def test_what_the_guard_knows_counts_for_more_than_what_the_browser_says(
    page: Any,  # noqa: ANN401
) -> None:
    failed = FailedRequests(page, lambda url: TaskError("blocked_address", "It is private."))
    page.emit("requestfailed", request(page, failure="NS_ERROR_PROXY_FORBIDDEN"))
    assert failed.counts == {"blocked_address": 1}


def test_pages_own_documents_and_what_was_given_up_have_not_failed(
    page: Any,  # noqa: ANN401
) -> None:
    failed = FailedRequests(page, lambda url: None)
    page.emit("response", answer(page, 403, main=True))
    page.emit("requestfailed", request(page, failure="NS_ERROR_UNKNOWN_HOST", main=True))
    page.emit("requestfailed", request(page, failure="NS_BINDING_ABORTED"))
    assert failed.counts == {}


def test_codes_are_bounded_and_none_is_counted_once_it_is_closed(page: Any) -> None:  # noqa: ANN401
    failed = FailedRequests(page, lambda url: None)
    for status in range(400, 600):
        page.emit("response", answer(page, status))
    assert len(failed.counts) == MOST_CODES + 1
    assert failed.counts["other"] == 200 - MOST_CODES
    failed.close()
    page.emit("response", answer(page, 404))
    assert sum(failed.counts.values()) == 200
