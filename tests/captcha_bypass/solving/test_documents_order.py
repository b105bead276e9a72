"""Which answer belongs to the document that is shown, in whatever order both are told."""

from __future__ import annotations

from typing import Any

import pytest

from captcha_bypass.solving.documents import DocumentTracker
from tests.support.tracked_page import TrackedPage


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


async def test_empty_page_that_is_told_of_late_is_none_that_the_task_has_asked_for(
    page: TrackedPage, tracker: DocumentTracker
) -> None:
    asked = page.request()
    page.respond(asked)
    page.show(url="about:blank")
    assert tracker.document is None
    page.show(asked)
    assert tracker.document is not None
    assert tracker.document.status == 200
    assert tracker.first is tracker.document


async def test_document_of_a_script_leaves_the_next_one_its_answer(
    page: TrackedPage, tracker: DocumentTracker
) -> None:
    first, second = page.request(), page.request()
    page.respond(first)
    page.show(first)
    page.respond(second, 403)
    page.show(url="about:blank")
    assert tracker.document is not None
    assert tracker.document.status is None
    page.show(second)
    assert tracker.document.status == 403


async def test_answers_that_never_become_a_document_are_not_kept(
    page: TrackedPage, tracker: DocumentTracker
) -> None:
    for _ in range(1000):
        page.respond(page.request(), 204)
        page.show(url="blob:x")
    assert len(tracker._answers) < 100
    last = page.request()
    page.respond(last)
    page.show(last)
    assert not tracker._answers
