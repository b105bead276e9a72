"""Which headers and methods a page may send: by the standard's list, and as a real browser sees it."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.async_api import BrowserContext

from captcha_bypass.fetching.fetcher import Fetcher
from captcha_bypass.fetching.headers import FORBIDDEN, as_page_sends, refusals
from captcha_bypass.fetching.messages import Request, origin_of
from tests.support.raw_site import RawSite, answer

URL = "http://site.test/page"
TOKEN = "!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters
#: https://fetch.spec.whatwg.org/#forbidden-request-header, as of November 2026.
STANDARD = [
    *("Accept-Charset", "Accept-Encoding", "Access-Control-Request-Headers"),
    *("Access-Control-Request-Method", "Connection", "Content-Length", "Cookie", "Cookie2", "Date"),
    *("DNT", "Expect", "Host", "Keep-Alive", "Origin", "Set-Cookie", "TE", "Trailer"),
    *("Transfer-Encoding", "Upgrade", "Via", "Proxy-X", "Sec-X"),
]
ORDINARY = [
    *("Accept", "Accept-Language", "Authorization", "Content-Type", "If-None-Match", "Range"),
    *("X-Requested-With", "X-CSRF-Token", "Pragma", "Cache-Control", "Content-Language", "Prefer"),
    *("X-HTTP-Method-Override", "Security", "Proxying", "Cookies", "Hosts", "Sec", "Proxy"),
]

names = st.one_of(
    st.text(TOKEN, min_size=1, max_size=20),
    st.sampled_from([*STANDARD, *ORDINARY, "User-Agent", "Referer"]),
    st.text(TOKEN, max_size=5).map("Sec-".__add__),
    st.text(TOKEN, max_size=5).map("pRoXy-".__add__),
)
values = st.text(st.characters(max_codepoint=255, exclude_characters="\0\r\n"), max_size=30)


def fields(**request: Any) -> list[str]:  # noqa: ANN401 - of Request
    return [item.field for item in refusals(Request(**{"url": URL, **request}))]


@pytest.mark.parametrize("name", [*STANDARD, "User-Agent"])
def test_headers_that_are_the_browsers_are_refused_by_the_name_they_were_given(name: str) -> None:
    for spelled in (name, name.lower(), name.upper()):
        assert fields(headers=(("X-Ok", "1"), (spelled, "1"))) == [f"headers.{spelled}"]


@pytest.mark.parametrize("name", ORDINARY)
def test_other_headers_are_taken(name: str) -> None:
    assert fields(headers=((name, "value"),)) == []


@pytest.mark.parametrize("name", ["X-HTTP-Method", "x-http-method-override", "X-Method-Override"])
@pytest.mark.parametrize("value", ["TRACE", " connect ", "GET, Track"])
def test_header_that_stands_for_a_forbidden_method_is_refused(name: str, value: str) -> None:
    assert fields(headers=((name, value),)) == [f"headers.{name}"]


@pytest.mark.parametrize("value", ["a\0b", "a\r\nX: 1", "a\nb", "\x7f", "snow \u2603"])
def test_value_that_is_no_latin_1_text_is_refused(value: str) -> None:
    assert fields(headers=(("X-Ok", value),)) == ["headers.X-Ok"]


@pytest.mark.parametrize("name", ["", "a b", "a:b", "caf\xe9", "a\r\nb"])
def test_name_that_is_none_is_refused_by_its_place(name: str) -> None:
    assert fields(headers=(("X-Ok", "1"), (name, "1"))) == ["headers.1"]


@pytest.mark.parametrize("method", ["CONNECT", "trace", "Track", "", "GE T", "G\r\nET"])
def test_method_that_no_page_sends_is_refused(method: str) -> None:
    assert fields(method=method) == ["method"]


@pytest.mark.parametrize("method", ["GET", "get", "HEAD"])
def test_body_with_a_method_that_has_none_is_refused(method: str) -> None:
    assert fields(method=method, body=b"") == ["body"]
    assert fields(method=method) == []
    assert fields(method="DELETE", body=b"") == []


@pytest.mark.parametrize(
    ("referer", "referrer"),
    [
        ("http://site.test/from?a=1#b", "http://site.test/from?a=1"),
        ("HTTP://SITE.test:80", "http://SITE.test:80/"),
        ("http://user:secret@site.test/", "http://site.test/"),
    ],
)
def test_referer_of_the_same_site_becomes_the_referrer(referer: str, referrer: str) -> None:
    headers = (("Accept", "*/*"), ("rEFERER", referer))
    assert fields(headers=headers) == []
    assert as_page_sends(headers) == ((("Accept", "*/*"),), referrer)


@pytest.mark.parametrize(
    "referer",
    [
        *("https://site.test/", "http://other.test/", "http://site.test:81/", "/page", ""),
        *("http://site.test:99999/", "http://site.test.other.test/", "about:client", "http://["),
    ],
)
def test_referer_of_another_site_is_refused(referer: str) -> None:
    assert fields(headers=(("Referer", referer),)) == ["headers.Referer"]


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://Site.Test/a?b", "http://site.test"),
        ("https://site.test:443", "https://site.test"),
        ("http://site.test:443/", "http://site.test:443"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
    ],
)
def test_origin_is_written_as_browsers_write_it(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@given(names, st.text(max_size=30))
def test_no_refusal_repeats_a_value(name: str, value: str) -> None:
    secret = f"canary{value}"
    request = Request(URL, headers=((name, secret), (f"{name}\0", secret)))
    found = refusals(request)
    assert found
    assert not any("canary" in item.message + item.field for item in found)
    assert "canary" not in repr(request)


@given(names, values)
def test_a_names_case_decides_nothing(name: str, value: str) -> None:
    decided = {bool(refusals(Request(URL, headers=((n, value),)))) for n in _spellings(name)}
    assert len(decided) == 1


@given(st.lists(st.tuples(names, values), max_size=5))
def test_each_header_is_judged_by_itself(headers: list[tuple[str, str]]) -> None:
    alone = [any(refusals(Request(URL, headers=(header,)))) for header in headers]
    refused = refusals(Request(URL, headers=tuple(headers)))
    assert len(refused) == sum(alone)


def _spellings(name: str) -> list[str]:
    return [name, name.lower(), name.upper(), name.swapcase()]


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="package")
async def test_browser_forbids_the_same_headers(site: RawSite, context: BrowserContext) -> None:
    page = await context.new_page()
    await page.goto(site.origin)
    tried = [*STANDARD, *ORDINARY, *FORBIDDEN, "sec-", "proxy-", "Sec", "Proxy", "Referer"]
    pairs = [[name, value] for name in tried for value in ("1", "trace")]
    kept = await page.evaluate(
        """(pairs) => pairs.filter(([name, value]) =>
            new Request("/", {headers: [[name, value]]}).headers.has(name))""",
        pairs,
    )
    sendable = {(name, value) for name, value in kept}
    ours = {
        (name, value)
        for name, value in pairs
        if not refusals(Request(site.origin, headers=((name, value),)))
    }
    assert ours == sendable


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="package")
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(headers=st.lists(st.tuples(names, values), min_size=20, max_size=20))
async def test_whatever_is_taken_arrives(
    site: RawSite, fetcher: Fetcher, headers: list[tuple[str, str]]
) -> None:
    taken: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        if not refusals(Request(site.origin, headers=((name, value),))):
            taken.setdefault(name.lower(), (name, value.strip(" \t")))
    site.answers["/taken"] = answer()
    request = Request(site.url("/taken"), headers=tuple(taken.values()))
    await fetcher.fetch(request, timeout=20, max_bytes=99)
    assert set(taken.values()) <= set(site.last("/taken").headers)
