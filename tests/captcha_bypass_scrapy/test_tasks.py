"""From a request to a task for the service."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scrapy import Request
from scrapy.http.request import NO_CALLBACK

from captcha_bypass.challenges import Challenge
from captcha_bypass.wire.models import SolveRequest
from captcha_bypass_scrapy.challenged import Challenged
from captcha_bypass_scrapy.cookies import Cookie
from captcha_bypass_scrapy.keys import Proxy, target_of
from captcha_bypass_scrapy.options import Options
from captcha_bypass_scrapy.tasks import (
    opens_own_page,
    own_cookies,
    task_cookies,
    task_for,
    task_headers,
)

SITE = "http://site.example"
OPTIONS = Options("auto", 60.0, None, None)


# The task


def test_task_asks_for_the_page_with_all_that_was_said() -> None:
    options = Options("html", 7.5, "Welcome", "#x", block=("image",), on_challenge="wait")
    cookies = [Cookie("a", "b", "site.example").as_task()]

    task = task_for(f"{SITE}/a?b#c", options, Proxy("http://p:1", "u", "v"), cookies, {"X-A": "1"})

    assert task == {
        "url": f"{SITE}/a?b",
        "timeout": 7.5,
        "no_challenge": True,
        "success_text": "Welcome",
        "success_selector": "#x",
        "block": ["image"],
        "proxy": {"server": "http://p:1", "username": "u", "password": "v"},
        "cookies": cookies,
        "headers": {"X-A": "1"},
        "on_challenge": "wait",
    }
    SolveRequest.model_validate_json(json.dumps(task))


def test_task_says_nothing_that_was_not_asked_for() -> None:
    assert task_for(f"{SITE}/a", OPTIONS, None) == {
        "url": f"{SITE}/a",
        "timeout": 60.0,
        "no_challenge": True,
    }


HEADERS = st.dictionaries(
    st.text(string.printable + "\u00e9\x00\x7f", max_size=12) | st.sampled_from(["Cookie", "X-A"]),
    st.binary(max_size=20) | st.text(max_size=20) | st.just("x" * 9000),
    max_size=4,
)


@settings(max_examples=150)
@given(
    HEADERS,
    st.lists(st.text(string.printable + "\u00e9\x00\x7f;= ", max_size=30), max_size=3)
    | st.just(["big=" + "x" * 5000]),
    st.booleans(),
)
def test_service_takes_whatever_a_request_brings_along(
    headers: dict[str, bytes | str], cookies: list[str], page: bool
) -> None:
    """A header that no browser sends must not cost a request its solve."""
    jar = "; ".join(cookies).encode()
    given: Any = {**headers, "Cookie": jar} if cookies else headers
    request = Request(f"{SITE}/a", headers=given)

    task = task_for(
        request.url,
        OPTIONS,
        None,
        task_cookies(request, own_cookies(request, "cloudflare"), ()),
        task_headers(request, request.url if page else None),
    )

    SolveRequest.model_validate_json(json.dumps(task))


# Cookies of a request


@pytest.mark.parametrize(
    ("header", "own"),
    [
        (None, {}),
        (b"session=1; cf_clearance=x; __cf_bm=y", {"session": "1"}),
        (b"a=b=c", {"a": "b=c"}),
        (b" a = b ; c", {"a": "b", "c": ""}),
        ("who=gr\u00fc\u00df".encode(), {"who": "gr\u00fc\u00df"}),
        ("who=gr\u00fc\u00df".encode("latin-1"), {"who": "gr\u00fc\u00df"}),
        # No browser would keep these.
        (b"=nameless; a=1", {"a": "1"}),
        (b"a\x01b=1; c=\x00; d=2", {"d": "2"}),
        (b"long=" + b"x" * 4097 + b"; a=1", {"a": "1"}),
    ],
)
def test_browser_gets_the_requests_own_cookies(header: bytes | None, own: dict[str, str]) -> None:
    request = Request(SITE, headers={} if header is None else {"Cookie": header})

    assert own_cookies(request, "cloudflare") == own


def test_cookies_of_a_vendor_that_did_not_challenge_are_the_requests_own() -> None:
    request = Request(SITE, headers={"Cookie": "cf_clearance=x; datadome=y"})

    assert own_cookies(request, "datadome") == {"cf_clearance": "x"}


def test_clearance_goes_to_the_browser_beside_the_requests_own_and_wins() -> None:
    clearance = [
        Cookie("cf_clearance", "new", ".site.example", secure=True),
        Cookie("both", "ours", "site.example"),
        Cookie("gone", "x", "site.example", expires=1.0),
    ]

    found = task_cookies(
        Request(f"{SITE}/a"), {"session": "1", "both": "theirs", "gone": "mine"}, clearance
    )

    assert found == [
        {"name": "session", "value": "1", "url": f"{SITE}/a"},
        {"name": "gone", "value": "mine", "url": f"{SITE}/a"},
        *(cookie.as_task() for cookie in clearance[:2]),
    ]


# Headers of a request


@pytest.mark.parametrize(
    ("headers", "for_page", "for_clearance"),
    [
        ({"Accept-Language": "en"}, {}, {}),  # Scrapy's own default
        ({"Accept-Language": "de"}, {"Accept-Language": "de"}, {"Accept-Language": "de"}),
        ({"Accept": "application/json"}, {"Accept": "application/json"}, {}),
        ({"X-Requested-With": "XMLHttpRequest"}, {"X-Requested-With": "XMLHttpRequest"}, {}),
        ({"Referer": f"{SITE}/list"}, {"Referer": f"{SITE}/list"}, {"Referer": f"{SITE}/list"}),
        ({"Cookie": "a=b", "Host": "x", "User-Agent": "y", "Accept-Encoding": "br"}, {}, {}),
        ({"Proxy-Authorization": "Basic x", "Content-Type": "a/b", "Range": "bytes=0-1"}, {}, {}),
        ({"If-None-Match": "x", "If-Modified-Since": "y", "Expect": "100-continue"}, {}, {}),
        ({"X-Many": ["a", "b"]}, {"X-Many": "a, b"}, {"X-Many": "a, b"}),
        ({"X-Odd": "a\nb"}, {}, {}),
        ({"X Odd": "a", "": "b", "X-\u00e9": "c"}, {}, {}),
        ({"X-Long": "a" * 8193}, {}, {}),
    ],
)
def test_headers_that_belong_to_the_browser_stay_its_own(
    headers: dict[str, Any], for_page: dict[str, str], for_clearance: dict[str, str]
) -> None:
    request = Request(f"{SITE}/a", headers=headers)

    assert task_headers(request) == for_page
    assert task_headers(request, f"{SITE}/a") == for_clearance


def test_headers_stay_with_their_host_and_page() -> None:
    request = Request(f"{SITE}/a.png", headers={"X-Key": "k", "Referer": f"{SITE}/a"})

    assert task_headers(request, f"{SITE}/a") == {"X-Key": "k"}
    assert task_headers(request, "http://other.example/login") == {}
    assert task_headers(request, "https://site.example/a") == {"X-Key": "k"}


def test_headers_are_no_more_than_the_service_takes() -> None:
    many = {f"X-{n}": "a" for n in range(60)}

    assert len(task_headers(Request(SITE, headers=many))) == 50


PAGE = f"{SITE}/page"
CHALLENGE = Challenge("cloudflare", "automatic")


# Which page is opened


MEDIA = Request(f"{SITE}/i.png", callback=NO_CALLBACK, headers={"Referer": f"{SITE}/list"})


@pytest.mark.parametrize(
    ("request_", "chosen", "answers"),
    [
        (Request(PAGE), {}, True),
        (Request(PAGE), {"mode": "auto"}, False),
        (Request(PAGE, method="POST"), {}, False),
        (Request(PAGE), {"url": f"{SITE}/login"}, False),
        (Request(PAGE, headers={"X-Key": "k"}), {}, False),
        (Request(PAGE, headers={"User-Agent": "x", "Cookie": "a=b"}), {}, True),
        (MEDIA, {}, False),
        (Request(f"{SITE}/", callback=NO_CALLBACK), {}, True),
        (Request("http://check.vendor/", meta={"redirect_urls": [PAGE]}), {}, True),
        (Request(f"{SITE}/b", meta={"redirect_urls": [PAGE]}), {}, False),
    ],
)
def test_page_of_a_solve_is_the_response_where_it_is_the_requests_own(
    request_: Request, chosen: dict[str, Any], *, answers: bool
) -> None:
    options = Options(**{"mode": "html", "timeout_seconds": 9, **NOTHING, **chosen})

    challenged = Challenged(request_, CHALLENGE, target_of(request_, options.url), options, None)

    assert opens_own_page(challenged) is answers


NOTHING: dict[str, Any] = {"success_text": None, "success_selector": None}
