"""The small parts: exits, cookies, URLs to open, responses from pages."""

from __future__ import annotations

from typing import cast

import pytest
from scrapy import Request
from scrapy.http import HtmlResponse, JsonResponse

from captcha_bypass_scrapy.client import Solution
from captcha_bypass_scrapy.errors import SolveError
from captcha_bypass_scrapy.responses import response_from
from tests.captcha_bypass_scrapy.fakes import page_of

SITE = "http://site.example"


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
