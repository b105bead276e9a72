"""Firefox's own error pages are told from a site's, whatever address they stand under."""

from __future__ import annotations

import pytest

from captcha_bypass.browsers.failures import translate_page
from captcha_bypass.errors import TaskError
from tests.support.tracked_page import URL, TrackedPage


@pytest.fixture
def page() -> TrackedPage:
    return TrackedPage()


def test_error_page_under_the_url_that_was_attempted_is_known_by_what_it_says(
    page: TrackedPage,
) -> None:
    page.respond(page.request())
    page.fail(page.request(failure="NS_ERROR_NET_RESET"))
    with pytest.raises(TaskError) as caught:
        page.tracker.raise_if_failed(f"about:neterror?e=netReset&u={URL}")
    assert caught.value.code == "connection_reset"


def test_error_page_that_says_nothing_is_known_by_the_request_that_failed_last(
    page: TrackedPage,
) -> None:
    page.respond(page.request())
    page.fail(page.request(failure="NS_ERROR_CONNECTION_REFUSED"))
    page.tracker.raise_if_failed()
    with pytest.raises(TaskError) as caught:
        page.tracker.raise_if_failed(answered=False)
    assert caught.value.code == "connection_refused"


def test_document_that_came_after_a_failure_is_none(page: TrackedPage) -> None:
    page.fail(page.request(failure="NS_ERROR_NET_RESET"))
    page.respond(page.request())
    page.tracker.raise_if_failed(answered=False)


def test_document_whose_own_rest_is_missing_is_none(page: TrackedPage) -> None:
    request = page.request()
    page.respond(request)
    request.failure = "NS_ERROR_NET_PARTIAL_TRANSFER"
    page.fail(request)
    page.tracker.raise_if_failed(answered=False)


@pytest.mark.parametrize("failure", ["NS_BINDING_ABORTED", "NS_ERROR_ABORT"])
def test_navigation_that_was_given_up_leaves_the_page(page: TrackedPage, failure: str) -> None:
    page.respond(page.request())
    page.fail(page.request(failure=failure))
    page.tracker.raise_if_failed(answered=False)


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("about:neterror?e=dnsNotFound&u=x", "dns_error"),
        ("about:neterror?e=connectionFailure&u=x", "connection_refused"),
        ("about:neterror?u=x&e=netReset", "connection_reset"),
        ("about:neterror?e=proxyConnectFailure", "proxy_error"),
        ("about:neterror?e=redirectLoop", "redirect_loop"),
        ("about:neterror?e=deniedPortAccess", "blocked_address"),
        ("about:neterror?e=nssFailure2", "tls_error"),
        ("about:certerror?e=nssBadCert", "tls_error"),
        ("about:neterror?e=serverError&u=x", "not_a_page"),
        ("about:neterror?e=contentEncodingError", "navigation_error"),
        ("about:neterror", "navigation_error"),
    ],
)
def test_error_page_gives_the_code_that_its_request_would(uri: str, code: str) -> None:
    assert translate_page(uri).code == code
