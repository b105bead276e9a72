"""How the middleware is switched on and off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import captcha_bypass_scrapy
from captcha_bypass_scrapy import CaptchaBypassMiddleware
from tests.captcha_bypass_scrapy.crawling import Crawler
from tests.captcha_bypass_scrapy.fakes import FakeService, FakeSite

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


def test_importing_it_loads_no_browser_and_no_service() -> None:
    heavy = ("playwright", "camoufox", "pydantic", "pydantic_settings", "captcha_bypass.app")
    code = (
        "import sys, captcha_bypass_scrapy\n"
        f"print([name for name in {heavy} if name in sys.modules],"
        " [name for name in sys.modules if name.startswith('captcha_bypass.')"
        " and not name.startswith('captcha_bypass.challenges')],"
        " 'twisted.internet.reactor' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[] [] False", done


def test_public_names_are_few() -> None:
    assert captcha_bypass_scrapy.__all__ == [
        "Addon",
        "CachePolicy",
        "CaptchaBypassMiddleware",
        "ChallengeNotSolved",
    ]
    assert CaptchaBypassMiddleware.__module__ == "captcha_bypass_scrapy.middleware"
