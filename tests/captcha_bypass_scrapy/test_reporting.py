"""What people see of it: log lines with the spider attached, and stats."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy import Request
from scrapy.crawler import Crawler

import captcha_bypass_scrapy.reporting as reporting_module
from captcha_bypass.challenges import Challenge
from captcha_bypass_scrapy.clearance import Clearance
from captcha_bypass_scrapy.cookies import Cookie
from captcha_bypass_scrapy.errors import SolveError, SolverUnavailable
from captcha_bypass_scrapy.keys import Proxy, SiteKey
from captcha_bypass_scrapy.reporting import Reporter, printable
from captcha_bypass_scrapy.settings import Config
from tests.captcha_bypass_scrapy.engines import crawler_with

HOST = "http://site.example"
KEY = SiteKey(HOST, None)
REQUEST = Request(f"{HOST}/page")
CHALLENGE = Challenge("cloudflare", "automatic")


@pytest.fixture
def crawler() -> Crawler:
    return crawler_with()


@pytest.fixture
def reporter(crawler: Crawler, caplog: pytest.LogCaptureFixture) -> Reporter:
    caplog.clear()
    caplog.set_level(logging.DEBUG, "captcha_bypass_scrapy")
    return Reporter(crawler)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and message of our lines."""
    ours = [record for record in caplog.records if record.name == "captcha_bypass_scrapy"]
    return [(record.levelname, record.getMessage()) for record in ours]


def stats(crawler: Crawler) -> dict[str, Any]:
    prefix = "captcha_bypass/"
    return {
        name.removeprefix(prefix): value
        for name, value in crawler.stats.get_stats().items()
        if name.startswith(prefix)
    }


def clearance(*names: str) -> Clearance:
    return Clearance(1, "cloudflare", tuple(Cookie(n, "s3cret", "a") for n in names), "Firefox")


def lose(reporter: Reporter, origin: str = HOST, kind: Any = "unsolved") -> None:  # noqa: ANN401
    request = Request(f"{origin}/page")
    reporter.gave_up(request, "cloudflare", SolveError("no way through", kind))


# A solve


def test_challenges_are_counted_by_vendor_and_kind(reporter: Reporter, crawler: Crawler) -> None:
    reporter.challenged(CHALLENGE)
    reporter.challenged(Challenge("datadome", "human"))
    reporter.challenged(CHALLENGE)

    assert stats(crawler) == {
        "challenge/count": 3,
        "challenge/vendor/cloudflare": 2,
        "challenge/vendor/datadome": 1,
        "challenge/kind/automatic": 2,
        "challenge/kind/human": 1,
    }


def test_refusal_is_no_challenge_and_no_news(
    reporter: Reporter, crawler: Crawler, caplog: pytest.LogCaptureFixture
) -> None:
    reporter.blocked(Challenge("cloudflare", "block"), REQUEST)

    assert stats(crawler) == {"block/count": 1}
    ((level, line),) = lines(caplog)
    assert level == "DEBUG"
    assert "which no browser changes: <GET http://site.example/page>" in line


def test_solve_is_a_story_at_info(
    reporter: Reporter, crawler: Crawler, caplog: pytest.LogCaptureFixture
) -> None:
    key = SiteKey(HOST, Proxy("http://p:1", "user", "s3cret"))
    reporter.solving(key, CHALLENGE, REQUEST, f"{HOST}/")
    reporter.slow(key, "a free browser")
    reporter.solved(key, clearance("cf_clearance", "__cf_bm"), 2.25)
    reporter.retrying(1, key)
    reporter.retrying(7, key)

    where = "http://site.example through http://p:1"
    assert lines(caplog) == [
        ("INFO", "Challenged by cloudflare (automatic): <GET http://site.example/page>"),
        ("INFO", f"Solving {where}: a browser opens http://site.example/"),
        ("INFO", f"Still solving {where}: waiting for a free browser"),
        ("INFO", f"Solved {where} in 2.2 s (cookies: cf_clearance, __cf_bm)"),
        ("INFO", f"Retrying 1 request of {where} with the clearance"),
        ("INFO", f"Retrying 7 requests of {where} with the clearance"),
    ]
    assert "s3cret" not in caplog.text
    assert (stats(crawler)["solve/count"], stats(crawler)["retry/count"]) == (1, 8)


def test_time_that_solves_took_is_summed_and_the_longest_is_kept(
    reporter: Reporter, crawler: Crawler
) -> None:
    for seconds in (2.0, 5.0, 1.0):
        reporter.solved(KEY, clearance("a"), seconds)

    assert stats(crawler) == {
        "solve/success": 3,
        "solve/seconds": 8.0,
        "solve/seconds_max": 5.0,
    }


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([], "none"),
        (["x" * 100], "x" * 64),
        ([f"c{n}" for n in range(30)], ", ".join(f"c{n}" for n in range(20))),
    ],
)
def test_line_about_cookies_is_short_whatever_the_site_sets(
    reporter: Reporter, caplog: pytest.LogCaptureFixture, names: list[str], shown: str
) -> None:
    reporter.solved(KEY, clearance(*names), 1.0)

    assert lines(caplog)[0][1].endswith(f"(cookies: {shown})")


def test_failed_solve_is_a_warning_with_its_reason(
    reporter: Reporter, crawler: Crawler, caplog: pytest.LogCaptureFixture
) -> None:
    reporter.failed(KEY, "dns_error: no such host", 3.0)

    assert stats(crawler) == {"solve/failed": 1}
    assert lines(caplog) == [
        ("WARNING", f"Could not solve {HOST} in 3.0 s: dns_error: no such host")
    ]


def test_where_a_person_is_needed_is_a_warning_with_the_link(
    reporter: Reporter, crawler: Crawler, caplog: pytest.LogCaptureFixture
) -> None:
    link = "http://service.test/dashboard#/task/t1"
    reporter.needs_person(KEY, link)

    assert stats(crawler) == {"solve/human": 1}
    assert lines(caplog) == [("WARNING", f"A person is needed for {HOST}: {link}")]


def test_retries_are_counted_as_scrapys_own(reporter: Reporter, crawler: Crawler) -> None:
    reporter.unsolved(SolveError("no"), again=True)
    reporter.unsolved(SolveError("no", "rejected"), again=True)
    reporter.unsolved(SolveError("no"), again=False)

    assert stats(crawler) == {
        "solve/retry/count": 2,
        "solve/retry/reason_count/unsolved": 1,
        "solve/retry/reason_count/rejected": 1,
        "solve/retry/max_reached": 1,
    }


def test_waiting_requests_are_counted_and_those_apart_that_were_never_sent(
    reporter: Reporter, crawler: Crawler
) -> None:
    reporter.waits(unsent=True)
    reporter.waits(unsent=False)

    assert stats(crawler) == {"parked/count": 2, "held/count": 1}


def test_browsers_page_is_counted_and_told_at_debug(
    reporter: Reporter, crawler: Crawler, caplog: pytest.LogCaptureFixture
) -> None:
    reporter.browser_page(REQUEST, f"{HOST}/moved")

    assert stats(crawler) == {"html/count": 1}
    assert lines(caplog)[0][0] == "DEBUG"
    assert lines(caplog)[0][1].endswith(f"is the browser's page {HOST}/moved")


def test_page_dropped_for_its_place_is_counted_where_scrapy_counts_them(
    reporter: Reporter, crawler: Crawler
) -> None:
    reporter.offsite()

    assert crawler.stats.get_value("offsite/filtered") == 1
    assert stats(crawler) == {}


# The service


@pytest.mark.parametrize(
    ("on_unavailable", "state", "then"),
    [
        ("wait", "away", "wait for it, for 600 s at most; others go on"),
        ("wait", "busy", "wait for it, for 600 s at most; others go on"),
        ("wait", "refusing", "fail, others go on; the service is asked again in 10 s"),
        ("fail", "away", "fail, others go on; the service is asked again in 10 s"),
        ("fail", "refusing", "fail, others go on; the service is asked again in 10 s"),
        ("close", "away", "stay in the scheduler; the spider is closed"),
        ("close", "refusing", "stay in the scheduler; the spider is closed"),
    ],
)
def test_trouble_with_the_service_says_what_becomes_of_requests(
    reporter: Reporter,
    crawler: Crawler,
    caplog: pytest.LogCaptureFixture,
    on_unavailable: Any,  # noqa: ANN401 - one of the setting's words
    state: Any,  # noqa: ANN401 - one of the error's words
    then: str,
) -> None:
    config = Config("http://service", on_unavailable=on_unavailable)

    reporter.unavailable(SolverUnavailable("it is down", 10.0, state), config)

    assert lines(caplog) == [
        ("ERROR", f"Challenges cannot be solved: it is down. Challenged requests {then}")
    ]
    assert stats(crawler) == {"solver/unavailable": 1}


def test_service_that_is_back_is_told(reporter: Reporter, caplog: pytest.LogCaptureFixture) -> None:
    reporter.available()

    assert lines(caplog) == [("INFO", "The captcha-bypass service can be used again")]


# Lost requests


def test_first_lost_request_of_each_host_is_a_warning(
    reporter: Reporter, crawler: Crawler, caplog: pytest.LogCaptureFixture
) -> None:
    lose(reporter)
    lose(reporter, kind="cooldown")
    lose(reporter, "http://other.example")

    assert [level for level, _ in lines(caplog)] == ["WARNING", "INFO", "WARNING"]
    assert lines(caplog)[0][1] == (
        "Gave up on <GET http://site.example/page>: cloudflare challenge not solved, no way through"
    )
    assert stats(crawler) == {
        "gave_up/count": 3,
        "gave_up/reason/unsolved": 2,
        "gave_up/reason/cooldown": 1,
    }


def test_warnings_end_where_a_crawl_has_too_many_hosts(
    reporter: Reporter, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting_module, "_WARNINGS", 2)
    for n in range(4):
        lose(reporter, f"http://{n}.example")

    assert [level for level, _ in lines(caplog)] == ["WARNING", "WARNING", "INFO", "INFO"]


def test_end_of_the_crawl_says_how_many_were_lost_and_why(
    reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in ("cooldown", "solver", "cooldown"):
        lose(reporter, kind=kind)
    caplog.clear()

    reporter.summary()

    ((level, line),) = lines(caplog)
    assert level == "WARNING"
    assert line.startswith("3 requests did not get their page because of challenges (")
    assert "(cooldown: 2, solver: 1); their errbacks were called with ChallengeNotSolved" in line


def test_crawl_that_lost_nothing_ends_without_a_word(
    reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    reporter.summary()

    assert lines(caplog) == []


# Lines that sites have a hand in


def test_lines_belong_to_the_spider(
    reporter: Reporter, crawler: Crawler, caplog: pytest.LogCaptureFixture
) -> None:
    """So that log formatters and LogCounter know whose they are."""
    lose(reporter)

    (record,) = [r for r in caplog.records if r.name == "captcha_bypass_scrapy"]
    assert getattr(record, "spider", None) is crawler.spider


EVIL = "a\n2026 INFO: all is well\x1b[2J\u202e"


def test_site_writes_no_lines_of_its_own_into_the_log(
    reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    evil = SiteKey(EVIL, None)
    reporter.solved(evil, clearance(EVIL), 1.0)
    reporter.failed(evil, EVIL, 1.0)
    reporter.slow(evil, EVIL)
    reporter.browser_page(REQUEST, EVIL)
    reporter.gave_up(REQUEST, EVIL, SolveError(EVIL))
    reporter.blocked(Challenge(EVIL, "block"), REQUEST)
    reporter.unavailable(SolverUnavailable(EVIL, 1.0), Config("http://service"))

    assert len(lines(caplog)) == 7
    assert all(line.isprintable() for _, line in lines(caplog))


@given(st.text())
def test_whatever_is_shown_can_be_shown(text: str) -> None:
    shown = printable(text)

    assert shown.isprintable()
    assert shown == text or not text.isprintable()


def test_text_in_any_script_stays_as_it_is() -> None:
    assert printable("gr\u00fc\u00df \u4e2d \U0001f600") == "gr\u00fc\u00df \u4e2d \U0001f600"
    assert printable("a\tb\u200bc") == "a\\tb\\u200bc"
