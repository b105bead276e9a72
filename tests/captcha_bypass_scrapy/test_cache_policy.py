"""What Scrapy's HTTP cache may keep."""

from __future__ import annotations

import gzip

import pytest
from scrapy import Request
from scrapy.http import HtmlResponse, Response, TextResponse
from scrapy.settings import Settings

from captcha_bypass_scrapy import CachePolicy
from captcha_bypass_scrapy.detection import Detector
from tests.captcha_bypass_scrapy.engines import crawler_with

URL = "http://site.example/"
REQUEST = Request(URL)
CHALLENGE = b'<script id="anubis_challenge" type="application/json">{}</script>'


def page(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    given = {"Content-Type": "text/html", **(headers or {})}
    return HtmlResponse(URL, status=status, headers=given, body=body)


def policy(**settings: object) -> CachePolicy:
    return CachePolicy(Settings(settings))


@pytest.mark.parametrize(
    "response",
    [
        page(b"<p>welcome"),
        page(gzip.compress(b"<p>welcome"), headers={"Content-Encoding": "gzip"}),
        page(b"<p>not here", status=404),
        TextResponse(URL, headers={"Content-Type": "application/json"}, body=b"{}"),
        Response(URL, headers={"Content-Type": "image/png"}, body=b"\x89PNG"),
        page(b"", status=301, headers={"Location": "/a"}),
    ],
    ids=["page", "compressed", "404", "json", "image", "redirect"],
)
def test_pages_are_kept_as_scrapy_keeps_them(response: Response) -> None:
    assert policy().should_cache_response(response, REQUEST)
    assert policy().should_cache_request(REQUEST)


@pytest.mark.parametrize(
    "response",
    [
        page(CHALLENGE),
        page(gzip.compress(CHALLENGE), headers={"Content-Encoding": "gzip"}),
        page(b"<title>Just a moment...</title>", status=503),
        page(b"", status=403, headers={"cf-mitigated": "challenge"}),
        page(
            b"<title>Attention Required! | Cloudflare</title>",
            status=403,
            headers={"Server": "cloudflare"},
        ),
        page(b"no gzip", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["challenge", "compressed", "by its title", "by its header", "block", "broken"],
)
def test_what_says_nothing_about_the_page_is_not_kept(response: Response) -> None:
    assert not policy().should_cache_response(response, REQUEST)


@pytest.mark.parametrize("body", [b"<p>welcome", CHALLENGE])
def test_scrapys_own_rules_still_hold(body: bytes) -> None:
    strict = policy(HTTPCACHE_IGNORE_HTTP_CODES=[200], HTTPCACHE_IGNORE_SCHEMES=["http"])

    assert not strict.should_cache_response(page(body), REQUEST)
    assert not strict.should_cache_request(REQUEST)


def test_crawls_own_detector_says_what_a_challenge_is() -> None:
    def homemade(response: Response) -> object:
        return {b"prove it": "shop", CHALLENGE: False}.get(response.body)

    crawler = crawler_with()
    detector = Detector(homemade, crawler)
    own = CachePolicy(crawler.settings)

    assert not own.should_cache_response(page(b"prove it"), REQUEST)
    assert own.should_cache_response(page(CHALLENGE), REQUEST)
    assert detector.own == [homemade]
