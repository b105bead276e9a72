"""Crawls with plugins that look for bans, such as scrapy-rotating-proxies, at their orders."""

from __future__ import annotations

from typing import Any

import pytest

from tests.captcha_bypass_scrapy.crawling import Crawler
from tests.captcha_bypass_scrapy.fake_service import FakeService
from tests.captcha_bypass_scrapy.fake_site import FakeSite
from tests.journeys.scrapy.test_one_solve import urls

ADDON: dict[str, Any] = {
    "ADDONS": {"captcha_bypass_scrapy.Addon": 500},
    "DOWNLOADER_MIDDLEWARES": {"tests.captcha_bypass_scrapy.spiders.BanDetection": 620},
}


@pytest.mark.parametrize("compressed", [False, True])
async def test_challenge_is_no_ban(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, compressed: bool
) -> None:
    body = "<title>Just a moment...</title>"
    guarded.challenge, guarded.gzip = (503, {"Content-Type": "text/html"}, body), compressed

    crawled = await fake_crawl(urls(guarded, 5), **ADDON)

    assert len(crawled.items) == 5
    assert "bans" not in crawled.stats
    assert len(fake.tasks) == 1
    # Statistics know the true status.
    assert crawled.stats["downloader/response_status_count/503"] >= 1


async def test_refusal_is_a_ban(fake_crawl: Crawler, guarded: FakeSite) -> None:
    crawled = await fake_crawl([f"{guarded.url}/denied/1"], **ADDON)

    assert crawled.stats["bans"] == 1
    assert crawled.items == []


async def test_challenge_that_stays_has_its_status_in_the_errback(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    fake.refusals = [(400, {}, {"error": {"code": "invalid_request", "message": "no"}})] * 9

    crawled = await fake_crawl([f"{guarded.url}/page/1"], **ADDON)

    assert crawled.errors[0]["status"] == 403
