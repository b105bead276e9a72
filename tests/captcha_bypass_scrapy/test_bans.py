"""The shield before plugins that look for bans, such as scrapy-rotating-proxies."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import HtmlResponse, Response

from captcha_bypass_scrapy.bans import BanShield
from captcha_bypass_scrapy.wire import restore_status
from tests.captcha_bypass_scrapy.engines import opened

ADDON: dict[str, Any] = {
    "ADDONS": {"captcha_bypass_scrapy.Addon": 500},
    "CAPTCHA_BYPASS_URL": "http://service",
}
URL = "http://a/"
CHALLENGE = b"<title>Just a moment...</title>"


@pytest.fixture
async def crawler() -> AsyncIterator[Crawler]:
    async with opened(**ADDON) as crawler:
        yield crawler


@pytest.fixture
async def shield(crawler: Crawler) -> BanShield:
    found = crawler.get_downloader_middleware(BanShield)
    assert found is not None
    return found


def challenge(status: int = 403) -> Response:
    headers = {"Content-Type": "text/html", "cf-mitigated": "challenge"}
    return HtmlResponse(URL, status=status, headers=headers, body=CHALLENGE, flags=["mine"])


@pytest.mark.parametrize("status", [403, 429, 503])
async def test_challenge_passes_as_a_page_and_has_its_status_back_afterwards(
    shield: BanShield, status: int
) -> None:
    came = challenge(status)

    shown = shield.process_response(Request(URL), came)

    assert (shown.status, shown.body, shown.url) == (200, CHALLENGE, URL)
    back = restore_status(shown)
    assert (back.status, back.flags, back.headers) == (status, ["mine"], came.headers)
    assert isinstance(back, HtmlResponse)


async def test_compressed_challenge_is_read_and_stays_compressed(shield: BanShield) -> None:
    packed = gzip.compress(CHALLENGE)
    came = Response(
        URL,
        status=503,
        headers={"Content-Type": "text/html", "Content-Encoding": "gzip"},
        body=packed,
    )

    shown = shield.process_response(Request(URL), came)

    assert (shown.status, shown.body) == (200, packed)


async def test_compressed_response_that_is_broken_is_left_as_it_is(shield: BanShield) -> None:
    came = challenge().replace(headers={"Content-Encoding": "gzip"}, body=b"no gzip")

    assert shield.process_response(Request(URL), came) is came


@pytest.mark.parametrize(
    "came",
    [
        HtmlResponse(URL, status=403, body=b"<h1>Access denied</h1>"),
        HtmlResponse(URL, status=404, body=b"<h1>Not found</h1>"),
        HtmlResponse(URL, status=200, headers={"cf-mitigated": "challenge"}),
        HtmlResponse(URL, status=302, headers={"cf-mitigated": "challenge"}),
    ],
    ids=["refusal", "not found", "no ban by its status", "redirect"],
)
async def test_everything_else_shows_its_status(shield: BanShield, came: Response) -> None:
    assert shield.process_response(Request(URL), came) is came


async def test_request_that_wants_no_help_is_not_shielded(shield: BanShield) -> None:
    came = challenge()

    assert shield.process_response(Request(URL, meta={"captcha_bypass": False}), came) is came


async def test_status_is_not_hidden_where_nobody_restores_it() -> None:
    async with opened(**ADDON, CAPTCHA_BYPASS_ENABLED=False) as crawler:
        shield = crawler.get_downloader_middleware(BanShield)
        assert shield is not None
        came = challenge()

        assert shield.process_response(Request(URL), came) is came


async def test_own_detector_says_what_a_challenge_is() -> None:
    async with opened(**ADDON, CAPTCHA_BYPASS_DETECTOR=f"{__name__}.homemade") as crawler:
        shield = crawler.get_downloader_middleware(BanShield)
        assert shield is not None
        own = HtmlResponse(URL, status=418, body=b"prove it")

        assert shield.process_response(Request(URL), own).status == 200


def homemade(response: Response) -> str | None:
    return "shop" if b"prove it" in response.body else None


def test_response_that_was_not_shielded_is_itself() -> None:
    came = HtmlResponse(URL, flags=["cached", "captcha-bypass"])

    assert restore_status(came) is came


def test_restored_response_is_what_came() -> None:
    response = HtmlResponse("http://a/", status=200, flags=["mine", "captcha-bypass-status-429"])

    assert (restore_status(response).status, restore_status(response).flags) == (429, ["mine"])
    assert restore_status(restore_status(response)).status == 429
