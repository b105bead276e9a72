"""How the middleware is switched on and off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.captcha_bypass_scrapy.crawling import Crawler
from tests.captcha_bypass_scrapy.fake_service import FakeService
from tests.captcha_bypass_scrapy.fake_site import FakeSite

DISABLED = "Disabled captcha_bypass_scrapy.CaptchaBypassMiddleware: "


async def test_addon_installs_it_in_one_line(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    settings: dict[str, Any] = {"ADDONS": {"captcha_bypass_scrapy.Addon": 500}}

    crawled = await fake_crawl([f"{guarded.url}/page/1"], DOWNLOADER_MIDDLEWARES={}, **settings)

    assert len(crawled.items) == 1
    assert len(fake.tasks) == 1


async def test_missing_url_disables_it_with_one_clear_line(
    tmp_path: Path, guarded: FakeSite
) -> None:
    crawled = await Crawler(tmp_path, None)([f"{guarded.url}/open/1"])

    (line,) = crawled.lines(DISABLED)
    assert "WARNING" in line
    assert "set CAPTCHA_BYPASS_URL" in line
    assert len(crawled.items) == 1


async def test_spider_can_switch_it_off(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    crawled = await fake_crawl([f"{guarded.url}/page/1"], spider="Disabled")

    assert fake.tasks == []
    assert crawled.lines("captcha", "Disabled") == []  # it was asked for: no warning


async def test_other_reactors_are_refused_with_one_clear_line(
    fake_crawl: Crawler, guarded: FakeSite
) -> None:
    crawled = await fake_crawl(
        [f"{guarded.url}/open/1"],
        TWISTED_REACTOR="twisted.internet.selectreactor.SelectReactor",
    )

    (line,) = crawled.lines(DISABLED)
    assert "needs asyncio" in line
    assert len(crawled.items) == 1
