"""A site whose clearance fits no client but the browser that got it, with the real service and Firefox."""

from __future__ import annotations

import pytest

from demo.challenge_site import SiteOptions
from demo.fingerprint_site import STATS, serving
from tests.captcha_bypass_scrapy.crawling import Crawler

pytestmark = pytest.mark.browser
WELCOME = "Welcome, you are through"


async def test_cookies_are_refused_and_the_browsers_requests_are_not(crawl: Crawler) -> None:
    async with serving(SiteOptions(work=0.05)) as (url, app):
        pages = [f"{url}/page/{n}" for n in range(30)]

        refused = await crawl(pages[:3], CAPTCHA_BYPASS_MODE="cookies")

        assert {error["error"] for error in refused.errors} == {"ChallengeNotSolved"}
        assert refused.items == []
        assert app[STATS].rejected.total() == 3
        app[STATS].rejected.clear()

        auto = await crawl(pages)

        assert sorted(item["url"] for item in auto.items) == sorted(pages)
        assert all(WELCOME in item["body"] for item in auto.items)
        assert app[STATS].rejected.total() == 1  # the one that tried the cookies
        app[STATS].rejected.clear()

        posts = [
            {"url": f"{url}/post/{n}", "cls": "form", "formdata": {"a": "1"}} for n in range(3)
        ]
        fetch = await crawl([*pages, *posts], CAPTCHA_BYPASS_MODE="fetch")

        assert len(fetch.items) == 33
        assert all(item["flags"] == ["captcha-bypass"] for item in fetch.items)
        assert app[STATS].rejected.total() == 0
        assert "solve/count" not in fetch.own_stats()
        assert any('[["a", "1"]]' in item["body"] for item in fetch.items)
