"""One line in the settings that puts everything in its place."""

from __future__ import annotations

from typing import Any

import pytest
from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.downloadermiddlewares.redirect import MetaRefreshMiddleware
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.settings import Settings
from scrapy.utils.misc import load_object

from captcha_bypass_scrapy import Addon, CachePolicy, CaptchaBypassMiddleware
from captcha_bypass_scrapy.bans import BanShield
from tests.captcha_bypass_scrapy.crawling import MIDDLEWARE
from tests.captcha_bypass_scrapy.engines import crawler_with, opened

ADDON: dict[str, Any] = {"ADDONS": {"captcha_bypass_scrapy.Addon": 500}}


def updated(**given: object) -> Settings:
    settings = Settings(given)
    Addon().update_settings(settings)
    return settings


def test_addon_puts_each_where_it_sees_what_it_must() -> None:
    settings = updated()

    orders = {
        load_object(cls): order
        for cls, order in settings.get_component_priority_dict_with_base(
            "DOWNLOADER_MIDDLEWARES"
        ).items()
    }
    assert orders[RetryMiddleware] < orders[MetaRefreshMiddleware] < 585
    assert orders[CaptchaBypassMiddleware] == 585 < orders[HttpCompressionMiddleware]
    assert orders[BanShield] == 845
    assert load_object(settings["HTTPCACHE_POLICY"]) is CachePolicy


def test_addon_leaves_the_projects_own_choices() -> None:
    settings = updated(DOWNLOADER_MIDDLEWARES={MIDDLEWARE: 586}, HTTPCACHE_POLICY="mine.Policy")

    assert settings["DOWNLOADER_MIDDLEWARES"][MIDDLEWARE] == 586
    assert settings["DOWNLOADER_MIDDLEWARES"][BanShield] == 845
    assert settings["HTTPCACHE_POLICY"] == "mine.Policy"


@pytest.mark.parametrize(
    "name", [MIDDLEWARE, "captcha_bypass_scrapy.middleware.CaptchaBypassMiddleware"]
)
def test_middleware_that_the_project_has_switched_off_stays_off(name: str) -> None:
    settings = updated(DOWNLOADER_MIDDLEWARES={name: None})

    assert settings["DOWNLOADER_MIDDLEWARES"][name] is None
    assert CaptchaBypassMiddleware not in dict(settings["DOWNLOADER_MIDDLEWARES"])


def test_addon_is_found_by_the_name_that_the_readme_gives() -> None:
    settings = crawler_with(CAPTCHA_BYPASS_URL="http://service", **ADDON).settings

    assert settings["HTTPCACHE_POLICY"] == "captcha_bypass_scrapy.CachePolicy"


async def test_crawl_has_both_in_place_while_it_is_on() -> None:
    async with opened(CAPTCHA_BYPASS_URL="http://service", **ADDON) as crawler:
        assert crawler.get_downloader_middleware(CaptchaBypassMiddleware) is not None
        assert crawler.get_downloader_middleware(BanShield) is not None


async def test_crawl_without_a_url_goes_on_without_it() -> None:
    async with opened(**ADDON) as crawler:
        assert crawler.get_downloader_middleware(CaptchaBypassMiddleware) is None
