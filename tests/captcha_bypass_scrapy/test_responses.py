"""From a request to a task, and from the task's result to the response."""

from __future__ import annotations

import json
import string
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scrapy import Request
from scrapy.http import HtmlResponse, JsonResponse, Response, TextResponse, XmlResponse

from captcha_bypass.models import SolveRequest
from captcha_bypass_scrapy.answers import Solution
from captcha_bypass_scrapy.cookies import Cookie
from captcha_bypass_scrapy.errors import NotHandedOver, SolveError
from captcha_bypass_scrapy.keys import Proxy
from captcha_bypass_scrapy.options import Options
from captcha_bypass_scrapy.responses import checked, response_from
from captcha_bypass_scrapy.tasks import own_cookies, task_cookies, task_for, task_headers
from tests.captcha_bypass_scrapy.fakes import page_of

SITE = "http://site.example"
OPTIONS = Options("auto", 60.0, None, None)


def solution(html: str, kind: str | None = "text/html", **changes: object) -> Solution:
    """What the service says of a page; None: that it had no type."""
    headers = {"content-encoding": "gzip", "set-cookie": "a=b", "x-a": "1"}
    if kind is not None:
        headers["content-type"] = kind
    found = page_of({"url": f"{SITE}/b"}, html=html, headers=headers, **changes)
    return cast("Solution", found)


# The task


def test_task_asks_for_the_page_with_all_that_was_said() -> None:
    options = Options("html", 7.5, "Welcome", "#x", block=("image",))
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


# Whether it is a solution


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"timeout_reached": True}, "did not get through in 7.5 s; it shows http://site.example/b"),
        (
            {"timeout_reached": True, "challenge": "cloudflare"},
            "did not get through in 7.5 s; it still shows a cloudflare challenge",
        ),
        ({"challenge": "datadome"}, "the page is still a datadome challenge"),
    ],
)
def test_page_that_is_not_through_says_what_it_is(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SolveError) as raised:
        checked(solution("", **changes), 7.5)

    assert str(raised.value).endswith(told)
    assert raised.value.kind == "unsolved"


def test_page_that_is_through_is_the_solution() -> None:
    found = solution("<p>welcome")

    assert checked(found, 60) is found


# The response


def test_browsers_page_becomes_a_response() -> None:
    request = Request(f"{SITE}/a", flags=["mine"])

    response = response_from(solution("<p>gr\u00fc\u00df", "text/html; charset=latin-1"), request)

    assert isinstance(response, HtmlResponse)
    assert response.css("p::text").get() == "gr\u00fc\u00df"
    assert (response.url, response.request) == (f"{SITE}/b", request)
    assert response.flags == ["mine", "captcha-bypass"]
    assert request.flags == ["mine"]
    assert {name.lower() for name in response.headers} == {b"content-type", b"x-a"}


def test_headers_about_the_transfer_do_not_describe_the_browsers_page() -> None:
    """HttpCompressionMiddleware would unpack it, and a jar would keep the browser's cookies."""
    headers = {
        "content-type": "text/html",
        "content-encoding": "br",
        "content-length": "5",
        "transfer-encoding": "chunked",
        "connection": "close",
        "set-cookie": "session=browsers",
        "x-many": "a\nb",
        "etag": '"1"',
    }

    response = response_from(
        cast("Solution", page_of({"url": SITE}, headers=headers)), Request(SITE)
    )

    assert response.headers.to_unicode_dict() == {
        "Content-Type": "text/html; charset=utf-8",
        "X-Many": "a,b",
        "Etag": '"1"',
    }
    assert response.headers.getlist("X-Many") == [b"a", b"b"]


@pytest.mark.parametrize(("status", "shown"), [(200, 200), (404, 404), (503, 503), (None, 200)])
def test_status_is_the_sites(status: int | None, shown: int) -> None:
    """None: the browser had the page from its cache, or by a script."""
    assert response_from(solution("", status_code=status), Request(SITE)).status == shown


@pytest.mark.parametrize(
    ("kind", "html", "cls", "body"),
    [
        ("text/html", "<p>\u20ac", HtmlResponse, "<p>\u20ac".encode()),
        (None, "<p>\u20ac", HtmlResponse, "<p>\u20ac".encode()),
        ("", "<p>", HtmlResponse, b"<p>"),
        ("application/xhtml+xml", "<p/>", HtmlResponse, b"<p/>"),
        (
            "text/html; charset=windows-1251",
            "\u044f\u20ac\u4e2d",
            HtmlResponse,
            b"\xff\x88&#20013;",
        ),
        ("application/json; charset=utf-8", "<body><pre>{}</pre>", JsonResponse, b"{}"),
        ("text/plain", "<body><pre>\u20ac</pre>", TextResponse, "\u20ac".encode()),
        ("text/xml", "<a>\u20ac</a>", XmlResponse, "<a>\u20ac</a>".encode()),
        ("application/rss+xml", "<rss/>", XmlResponse, b"<rss/>"),
        ("application/x-unheard-of", "<body><pre>x</pre>", TextResponse, b"x"),
        ("text/html", "\ud83d", HtmlResponse, b"\xed\xa0\xbd"),  # half a sign, as scripts make them
    ],
)
def test_body_is_the_document_byte_by_byte(
    kind: str | None, html: str, cls: type[Response], body: bytes
) -> None:
    response = response_from(solution(html, kind), Request(SITE))

    assert type(response) is cls
    assert response.body == body


@given(st.text(max_size=60), st.sampled_from(["text/html", "text/html; charset=shift_jis"]))
def test_any_page_can_be_read_back_from_its_response(html: str, kind: str) -> None:
    response = response_from(solution(html, kind), Request(SITE))

    assert isinstance(response, HtmlResponse)
    if kind == "text/html" and "\x00" not in html and not html.startswith("\ufeff"):
        # As any component sees it that has only headers and body, such as the HTTP cache.
        again = HtmlResponse(response.url, headers=response.headers, body=response.body)
        assert again.text == response.text == html


@pytest.mark.parametrize("kind", ["image/png", "application/pdf", "video/mp4"])
def test_what_the_browser_shows_in_its_own_way_is_no_response(kind: str) -> None:
    with pytest.raises(NotHandedOver, match=kind):
        response_from(solution("<html><body><img></body></html>", kind), Request(SITE))


def test_file_is_no_response() -> None:
    found = cast("Solution", {**solution(""), "file": True})

    with pytest.raises(NotHandedOver, match="leads to a file"):
        response_from(found, Request(SITE))
