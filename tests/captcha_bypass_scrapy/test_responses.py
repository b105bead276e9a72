"""From a request to a task, and from the task's result to the response."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy import Request
from scrapy.http import HtmlResponse, JsonResponse, Response, TextResponse, XmlResponse

from captcha_bypass_scrapy.answers import Solution
from captcha_bypass_scrapy.errors import NotHandedOver
from captcha_bypass_scrapy.responses import response_from
from tests.captcha_bypass_scrapy.fake_service import page_of

SITE = "http://site.example"


def solution(html: str, kind: str | None = "text/html", **changes: object) -> Solution:
    """What the service says of a page; None: that it had no type."""
    headers = {"content-encoding": "gzip", "set-cookie": "a=b", "x-a": "1"}
    if kind is not None:
        headers["content-type"] = kind
    found = page_of({"url": f"{SITE}/b"}, html=html, headers=headers, **changes)
    return cast("Solution", found)


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
