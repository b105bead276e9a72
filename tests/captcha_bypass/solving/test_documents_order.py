"""Which answer belongs to the document that is shown, whatever is told of it."""

from __future__ import annotations

import pytest

from tests.support.tracked_page import URL, TrackedPage


@pytest.fixture
def page() -> TrackedPage:
    return TrackedPage()


async def test_document_has_the_answer_that_has_brought_it(page: TrackedPage) -> None:
    asked = page.request()
    page.respond(asked, 404)
    page.show(asked)
    assert page.tracker.document is not None
    assert page.tracker.document.status == 404
    assert page.tracker.first is page.tracker.document


async def test_document_that_is_told_of_without_its_request_has_the_answer_of_its_url(
    page: TrackedPage,
) -> None:
    page.respond(page.request(f"{URL}?other"))
    page.respond(page.request(), 403)
    page.show(url=f"{URL}#part")
    assert page.tracker.document is not None
    assert page.tracker.document.status == 403


@pytest.mark.parametrize("url", ["about:blank", "blob:x", f"{URL}/other"])
async def test_document_of_a_script_has_no_answer(page: TrackedPage, url: str) -> None:
    asked = page.request()
    page.respond(asked)
    page.show(url=url)
    assert page.tracker.document is not None
    assert page.tracker.document.status is None
    page.show(url=URL)
    assert page.tracker.document.status is None, "what was asked for before is over"
