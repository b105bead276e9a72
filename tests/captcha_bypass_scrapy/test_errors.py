"""What an errback gets, and how errors of the service are told apart."""

from __future__ import annotations

import pytest
from scrapy.exceptions import IgnoreRequest
from scrapy.http import HtmlResponse

from captcha_bypass_scrapy.errors import (
    ChallengeNotSolved,
    CrawlEnding,
    Evidence,
    FetchFailed,
    NotFetched,
    NotHandedOver,
    SolveError,
    SolverUnavailable,
)


def test_errback_gets_vendor_reason_and_the_challenge_page() -> None:
    page = HtmlResponse("http://a/", status=403, body=b"Just a moment...")

    error = ChallengeNotSolved("cloudflare", "the browser did not get through in 60 s", page)

    assert str(error) == (
        "cloudflare challenge not solved: the browser did not get through in 60 s"
    )
    assert (error.vendor, error.reason) == (
        "cloudflare",
        "the browser did not get through in 60 s",
    )
    assert error.response is page


def test_errback_gets_what_the_browser_had_at_the_end() -> None:
    hint = {"code": "text_hidden", "message": "Nobody can see it."}
    evidence = Evidence(("success_text",), (hint,), b"picture")

    error = ChallengeNotSolved("cloudflare", "no", None, evidence)

    assert (error.unmet, error.hints, error.screenshot) == (["success_text"], [hint], b"picture")
    bare = ChallengeNotSolved("cloudflare", "no")
    assert (bare.unmet, bare.hints, bare.screenshot) == ([], [], None)


def test_request_that_was_not_sent_again_has_no_page() -> None:
    assert ChallengeNotSolved("datadome", "no").response is None


def test_unsolved_challenge_is_an_ignored_request_to_scrapy() -> None:
    """So that it is no error with a traceback in the log, as HTTP errors are none."""
    assert issubclass(ChallengeNotSolved, IgnoreRequest)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SolveError("no"), "unsolved"),
        (SolveError("no", "budget"), "budget"),
        (NotHandedOver("a file"), "unsolved"),
        (SolverUnavailable("down", 10.0), "solver"),
        (SolverUnavailable("full", 2.0, "busy"), "solver"),
    ],
)
def test_stat_of_a_lost_request_is_named_by_its_errors_kind(error: SolveError, kind: str) -> None:
    assert error.kind == kind
    assert str(error) in {"no", "a file", "down", "full"}  # and nothing of the kind


def test_service_without_an_answer_counts_as_away() -> None:
    assert (SolverUnavailable("down", 10.0).state, SolverUnavailable("down", 10.0).pause) == (
        "away",
        10.0,
    )


@pytest.mark.parametrize(
    "error", [SolveError("stuck"), SolverUnavailable("down", 1.0), CrawlEnding()]
)
def test_download_that_is_ours_to_see_to_is_no_ban_to_plugins(
    error: SolveError | CrawlEnding,
) -> None:
    """scrapy-rotating-proxies takes any exception but this for one."""
    found = NotFetched(error)
    assert isinstance(found, IgnoreRequest)
    assert found.error is error
    assert str(found)


def test_failure_on_the_way_to_a_site_begins_with_the_services_code() -> None:
    error = FetchFailed("dns_error", "no such host")
    assert (error.code, str(error)) == ("dns_error", "dns_error: no such host")


def test_end_of_the_crawl_is_no_failure_of_a_solve() -> None:
    """Whoever catches failures must not take a request for lost that goes to the scheduler."""
    assert not issubclass(CrawlEnding, SolveError)
