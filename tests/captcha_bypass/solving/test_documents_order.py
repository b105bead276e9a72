"""Which answer belongs to the document that is shown, whatever is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from captcha_bypass.solving.documents import DocumentTracker
from tests.support.tracked_page import URL, TrackedPage


@pytest.fixture
def page() -> TrackedPage:
    return TrackedPage()


@pytest.fixture
def tracker(page: TrackedPage) -> DocumentTracker:
    stand_in: Any = page
    return DocumentTracker(stand_in, lambda url: None)


async def test_document_has_the_answer_that_has_brought_it(
    page: TrackedPage, tracker: DocumentTracker
) -> None:
    asked = page.request()
    page.respond(asked, 404)
    page.show(asked)
    assert tracker.document is not None
    assert tracker.document.status == 404
    assert tracker.first is tracker.document


async def test_document_that_is_told_of_without_its_request_has_the_answer_of_its_url(
    page: TrackedPage, tracker: DocumentTracker
) -> None:
    page.respond(page.request(f"{URL}?other"))
    page.respond(page.request(), 403)
    page.show(url=f"{URL}#part")
    assert tracker.document is not None
    assert tracker.document.status == 403


@pytest.mark.parametrize("url", ["about:blank", "blob:x", f"{URL}/other"])
async def test_document_of_a_script_has_no_answer(
    page: TrackedPage, tracker: DocumentTracker, url: str
) -> None:
    asked = page.request()
    page.respond(asked)
    page.show(url=url)
    assert tracker.document is not None
    assert tracker.document.status is None
    page.show(url=URL)
    assert tracker.document.status is None, "what was asked for before is over"
