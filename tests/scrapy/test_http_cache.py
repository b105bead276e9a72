"""Scrapy's HTTP cache beside the middleware."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.scrapy.crawling import Crawler
from tests.scrapy.fakes import FakeService, FakeSite
from tests.scrapy.test_solving import urls


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
