"""Scrapy's HTTP cache beside the middleware."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.captcha_bypass_scrapy.crawling import Crawler
from tests.captcha_bypass_scrapy.fake_service import FakeService
from tests.captcha_bypass_scrapy.fake_site import FakeSite
from tests.journeys.scrapy.test_one_solve import urls


def cache(tmp_path: Path, **settings: object) -> dict[str, Any]:
    return {"HTTPCACHE_ENABLED": True, "HTTPCACHE_DIR": str(tmp_path / "cache"), **settings}


@pytest.mark.parametrize("compressed", [False, True])
async def test_cache_policy_stores_pages_and_no_challenges(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, tmp_path: Path, compressed: bool
) -> None:
    # Answered with 200 and told by the body alone, so that only reading it helps.
    body = '<script id="anubis_challenge" type="application/json">{}</script>'
    guarded.challenge, guarded.gzip = (200, {"Content-Type": "text/html"}, body), compressed
    settings = cache(tmp_path, HTTPCACHE_POLICY="captcha_bypass_scrapy.CachePolicy")

    first = await fake_crawl(urls(guarded, 5), **settings)
    second = await fake_crawl(urls(guarded, 5), **settings)

    assert len(first.items) == len(second.items) == 5
    assert first.stats["httpcache/store"] == 5
    assert second.stats["httpcache/hit"] == 5
    assert second.own_stats() == {}
    assert len(fake.tasks) == 1
    assert guarded.pages.total() == 5


async def test_cached_challenge_is_no_evidence_against_a_clearance(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, tmp_path: Path
) -> None:
    settings = cache(tmp_path)  # Scrapy's own policy stores anything

    first = await fake_crawl(urls(guarded, 5), **settings)
    second = await fake_crawl(urls(guarded, 5), **settings)

    for crawled in (first, second):
        assert len(crawled.items) == 5
        assert crawled.errors == []
        assert crawled.own_stats()["solve/count"] == 1
        assert "clearance/refused" not in crawled.own_stats()
        assert all(not item["dont_cache"] for item in crawled.items)
    assert first.own_stats()["challenge/cached"] >= 1
    assert second.own_stats()["challenge/cached"] >= 1


async def test_addon_keeps_challenges_out_of_the_cache(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "ADDONS": {"captcha_bypass_scrapy.Addon": 500},
        "DOWNLOADER_MIDDLEWARES": {},
    }

    await fake_crawl(urls(guarded, 5), **cache(tmp_path), **settings)
    second = await fake_crawl(urls(guarded, 5), **cache(tmp_path), **settings)

    assert second.stats["httpcache/hit"] == 5
    assert second.own_stats() == {}


async def test_browsers_pages_come_from_the_cache_the_next_time(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, tmp_path: Path
) -> None:
    settings = cache(tmp_path, CAPTCHA_BYPASS_MODE="html")
    settings["HTTPCACHE_POLICY"] = "captcha_bypass_scrapy.CachePolicy"

    first = await fake_crawl(urls(guarded, 4), **settings)
    asked = len(guarded.seen), len(fake.tasks)
    second = await fake_crawl(urls(guarded, 4), **settings)

    assert [item["body"] for item in second.items] == ["<p>page by browser</p>"] * 4
    assert first.stats["httpcache/store"] == second.stats["httpcache/hit"] == 4
    assert (len(guarded.seen), len(fake.tasks)) == asked


async def test_browsers_page_is_not_stored_against_the_requests_wish(
    fake_crawl: Crawler, guarded: FakeSite, tmp_path: Path
) -> None:
    meta = {"captcha_bypass": "html", "dont_cache": True}

    crawled = await fake_crawl([{"url": f"{guarded.url}/page/1", "meta": meta}], **cache(tmp_path))

    assert len(crawled.items) == 1
    assert "httpcache/store" not in crawled.stats


async def test_crawl_from_the_cache_alone_stays_offline(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, tmp_path: Path
) -> None:
    meta = {"captcha_bypass": False, "handle_httpstatus_all": True}
    await fake_crawl([{"url": url, "meta": meta} for url in urls(guarded, 3)], **cache(tmp_path))
    asked = len(guarded.seen)

    crawled = await fake_crawl(urls(guarded, 3), **cache(tmp_path, HTTPCACHE_IGNORE_MISSING=True))

    assert {error["error"] for error in crawled.errors} == {"ChallengeNotSolved"}
    assert "HTTPCACHE_IGNORE_MISSING" in crawled.errors[0]["reason"]
    assert len(guarded.seen) == asked
    assert fake.tasks == []


async def test_stored_challenge_is_replaced_by_its_page(
    fake_crawl: Crawler, guarded: FakeSite, tmp_path: Path
) -> None:
    meta = {"captcha_bypass": False, "handle_httpstatus_all": True}
    await fake_crawl([{"url": url, "meta": meta} for url in urls(guarded, 3)], **cache(tmp_path))
    settings = cache(tmp_path, HTTPCACHE_POLICY="captcha_bypass_scrapy.CachePolicy")

    first = await fake_crawl(urls(guarded, 3), **settings)
    asked = len(guarded.seen)
    second = await fake_crawl(urls(guarded, 3), **settings)

    assert first.own_stats()["challenge/cached"] == 3
    assert second.stats["httpcache/hit"] == len(second.items) == 3
    assert second.own_stats() == {}
    assert len(guarded.seen) == asked


async def test_cache_policy_asks_the_spiders_detector(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, tmp_path: Path
) -> None:
    settings = cache(tmp_path, HTTPCACHE_POLICY="captcha_bypass_scrapy.CachePolicy")
    pages = [f"{guarded.url}/homemade/{n}" for n in range(3)]

    await fake_crawl(pages, spider="Detecting", **settings)
    asked = guarded.challenges.total(), guarded.pages.total()
    second = await fake_crawl(pages, spider="Detecting", **settings)

    assert len(second.items) == second.stats["httpcache/hit"] == 3
    assert second.own_stats() == {}
    assert (guarded.challenges.total(), guarded.pages.total()) == asked
