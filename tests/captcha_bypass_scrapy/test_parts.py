"""The small parts: exits, cookies, URLs to open, responses from pages."""

from __future__ import annotations

from typing import cast

import pytest
from scrapy import Request
from scrapy.http import HtmlResponse, JsonResponse
from scrapy.http.request import NO_CALLBACK

from captcha_bypass_scrapy.client import Solution
from captcha_bypass_scrapy.errors import SolveError
from captcha_bypass_scrapy.responses import pages_to_solve, response_from
from captcha_bypass_scrapy.settings import Options
from tests.captcha_bypass_scrapy.fakes import page_of

SITE = "http://site.example"
OPTIONS = Options("auto", 60.0, None, None)


@pytest.mark.parametrize(
    ("request_", "url"),
    [
        (Request(f"{SITE}/a"), f"{SITE}/a"),
        (Request(f"{SITE}/check", meta={"redirect_urls": [f"{SITE}/a"]}), f"{SITE}/a"),
        (Request(f"{SITE}/robots.txt", callback=NO_CALLBACK), f"{SITE}/robots.txt"),
        (Request(f"{SITE}/i.png?x", callback=NO_CALLBACK), f"{SITE}/"),
        (
            Request(f"{SITE}/i.png", callback=NO_CALLBACK, headers={"Referer": f"{SITE}/a"}),
            f"{SITE}/a",
        ),
        (
            Request(f"{SITE}/i.png", callback=NO_CALLBACK, headers={"Referer": "http://else.wh/"}),
            f"{SITE}/",
        ),
    ],
)
def test_browser_opens_a_page_and_only_then_what_pages_load(request_: Request, url: str) -> None:
    first, *then = pages_to_open(request_, None)

    assert first == url
    assert then == ([request_.url] if "i.png" in request_.url else [])


def solution(html: str, kind: str) -> Solution:
    headers = {"content-type": kind, "content-encoding": "gzip", "set-cookie": "a=b", "x-a": "1"}
    return cast("Solution", page_of({"url": f"{SITE}/b"}, html=html, headers=headers))


def test_browsers_page_becomes_a_response() -> None:
    request = Request(f"{SITE}/a", flags=["mine"])

    response = response_from(solution("<p>gr\u00fc\u00df", "text/html; charset=latin-1"), request)

    assert isinstance(response, HtmlResponse)
    assert response.css("p::text").get() == "gr\u00fc\u00df"
    assert (response.url, response.request) == (f"{SITE}/b", request)
    assert response.flags == ["mine", "captcha-bypass"]
    assert {name.lower() for name in response.headers} == {b"content-type", b"x-a"}


def test_json_that_the_browser_shows_becomes_json_again() -> None:
    html = '<html><body><pre>{"a": "&lt;1&gt;"}</pre></body></html>'

    response = response_from(solution(html, "application/json"), Request(SITE))

    assert isinstance(response, JsonResponse)
    assert response.json() == {"a": "<1>"}


def test_image_that_the_browser_shows_is_no_response() -> None:
    with pytest.raises(SolveError, match="image/png"):
        response_from(solution("<img>", "image/png"), Request(SITE))
