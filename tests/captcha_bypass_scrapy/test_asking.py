"""From a request to the body of POST /fetch; what comes out is what the service's own model takes."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy import FormRequest, Request
from scrapy.http import JsonRequest
from scrapy.settings.default_settings import DEFAULT_REQUEST_HEADERS

from captcha_bypass.fetching.headers import refusals
from captcha_bypass.fetching.messages import Request as Asked
from captcha_bypass.wire.fetch import FetchRequest
from captcha_bypass_scrapy.asking import fetch_body, fetch_headers
from captcha_bypass_scrapy.keys import Proxy
from captcha_bypass_scrapy.options import Options
from captcha_bypass_scrapy.site_cookies import SplitCookies

PAGE = "http://site.example/page"
OPTIONS = Options("fetch", 60.0, None, None)
NONE = SplitCookies([], [])


def body(
    request: Request,
    options: Options = OPTIONS,
    cookies: SplitCookies = NONE,
    proxy: Proxy | None = None,
) -> dict[str, Any]:
    """The body, which the service must take."""
    found = fetch_body(request, options, cookies, timeout=9.0, proxy=proxy, crawl="crawl")
    taken = FetchRequest.model_validate(found)
    headers = tuple(taken.headers.items())
    assert refusals(Asked(taken.url, taken.method, headers, taken.content)) == []
    return found


def test_plain_request() -> None:
    assert body(Request(f"{PAGE}?a=1#top")) == {
        "url": f"{PAGE}?a=1",
        "method": "GET",
        "headers": {},
        "timeout": 9.0,
        "jar": "crawl:",
        "no_challenge": True,
    }


def test_a_person_is_waited_for_only_where_that_is_said() -> None:
    found = fetch_body(
        Request(PAGE), OPTIONS, NONE, timeout=9.0, proxy=None, crawl="crawl", on_challenge="wait"
    )
    assert FetchRequest.model_validate(found).waits_for_human
    assert "on_challenge" not in body(Request(PAGE))


@pytest.mark.parametrize(
    ("request_", "content", "kind"),
    [
        (Request(PAGE, method="POST", body=b"\x00\xff\r\n"), b"\x00\xff\r\n", None),
        (
            FormRequest(PAGE, formdata={"a": "b c"}),
            b"a=b+c",
            "application/x-www-form-urlencoded",
        ),
        (JsonRequest(PAGE, data={"a": "ü"}), b'{"a": "\\u00fc"}', "application/json"),
        (Request(PAGE, method="PUT", body="Zoë"), "Zoë".encode(), None),
    ],
    ids=repr,
)
def test_bodies_of_any_bytes_and_their_types(
    request_: Request, content: bytes, kind: str | None
) -> None:
    found = body(request_)
    assert base64.b64decode(found["body_base64"]) == content
    assert found["headers"].get("Content-Type") == kind
    assert found["method"] == request_.method


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_without_a_body_have_none(method: str) -> None:
    found = body(Request(PAGE, method=method))
    assert found["method"] == method
    assert "body_base64" not in found


def test_jars_of_a_crawl_are_apart_and_named_for_the_service() -> None:
    names = {
        body(Request(PAGE, meta={"cookiejar": jar}))["jar"]
        for jar in (None, 0, "0", "x" * 500, "x" * 501, "line\nbreak", "Zoë\udc80")
    }
    assert len(names) == 7
    assert all(name.startswith("crawl:") for name in names)
    assert "crawl:" in names


def test_conditions_of_a_solve_go_along_and_what_only_a_page_has_does_not() -> None:
    options = Options("fetch", 60.0, "Welcome", "#top", no_challenge=False, block=("image",))
    found = body(Request(PAGE), options)
    assert (found["success_text"], found["success_selector"]) == ("Welcome", "#top")
    assert "block" not in found


def test_cookies_and_proxy_have_fields_of_their_own() -> None:
    cookies = SplitCookies([{"name": "a", "value": "1"}], [{"name": "b", "value": "2"}])
    found = body(Request(PAGE), cookies=cookies, proxy=Proxy("http://proxy:81", "user", "word"))
    assert found["cookies"] == [{"name": "a", "value": "1"}]
    assert found["first_cookies"] == [{"name": "b", "value": "2"}]
    assert found["proxy"] == {
        "server": "http://proxy:81",
        "username": "user",
        "password": "word",
    }


def test_headers_go_along_as_they_are() -> None:
    headers = {
        "Accept": "application/json",
        "Authorization": "Bearer x",
        "If-None-Match": '"tag"',
        "Range": "bytes=0-9",
        "X-Own": ["one", "two"],
        "X-Latin": "Zo\xeb".encode("latin-1"),
        "Accept-Language": "de",
    }
    assert body(Request(PAGE, headers=headers))["headers"] == {
        "Accept": "application/json",
        "Authorization": "Bearer x",
        "If-None-Match": '"tag"',
        "Range": "bytes=0-9",
        "X-Own": "one, two",
        "X-Latin": "Zo\xeb",
        "Accept-Language": "de",
    }


def test_scrapys_default_language_is_not_asked_for() -> None:
    headers = fetch_headers(Request(PAGE, headers=DEFAULT_REQUEST_HEADERS))
    assert headers == {"Accept": DEFAULT_REQUEST_HEADERS["Accept"]}


@pytest.mark.parametrize(
    "name",
    [
        *("User-Agent", "Accept-Encoding", "Connection", "Host", "Cookie", "Content-Length", "DNT"),
        *("Proxy-Authorization", "Sec-Fetch-Mode", "Sec-Ch-Ua", "Origin", "TE", "Date", "Expect"),
        *("Transfer-Encoding", "Accept-Charset", "Keep-Alive", "Upgrade", "Trailer", "Via"),
    ],
)
def test_what_browsers_set_by_themselves_is_left_out(name: str) -> None:
    assert body(Request(PAGE, headers={name: "x", "X-Own": "y"}))["headers"] == {"X-Own": "y"}


@pytest.mark.parametrize(
    ("referer", "kept"),
    [
        ("http://site.example/", True),
        ("http://SITE.example:80/list?page=2#there", True),
        ("https://site.example/", False),
        ("http://www.site.example/", False),
        ("http://site.example:81/", False),
        ("http://site.example:port/", False),
        ("nothing", False),
    ],
)
def test_referer_of_another_site_is_left_out(referer: str, kept: bool) -> None:
    headers = body(Request(PAGE, headers={"Referer": referer}))["headers"]
    assert headers == ({"Referer": referer} if kept else {})


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True).filter(
            lambda name: not name.lower().startswith("x-")  # methods may not be overridden
        ),
        st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40),
        max_size=20,
    ),
    st.binary(max_size=200),
)
def test_service_takes_whatever_a_spider_may_say(headers: dict[str, str], content: bytes) -> None:
    found = body(Request(PAGE, method="POST", headers=headers, body=content))
    assert base64.b64decode(found.get("body_base64", "")) == content
