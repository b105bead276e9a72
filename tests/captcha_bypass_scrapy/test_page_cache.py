"""Browsers' pages in Scrapy's HTTP cache, by the rules of the policy in use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.httpcache import HttpCacheMiddleware
from scrapy.http import HtmlResponse, Response

from captcha_bypass_scrapy.page_cache import PageCache
from tests.captcha_bypass_scrapy.engines import opened

OURS = "captcha_bypass_scrapy.CachePolicy"
DUMMY = "scrapy.extensions.httpcache.DummyPolicy"
URL = "http://site.example/page"
PAGE = HtmlResponse(URL, headers={"Content-Type": "text/html"}, body=b"<p>by browser")
CHALLENGE = HtmlResponse(
    URL,
    headers={"Content-Type": "text/html"},
    body=b'<script id="anubis_challenge" type="application/json">{}</script>',
)


@asynccontextmanager
async def caching(
    folder: Path, policy: str = OURS, **settings: object
) -> AsyncIterator[tuple[PageCache, Crawler]]:
    given: dict[str, Any] = {
        "HTTPCACHE_ENABLED": True,
        "HTTPCACHE_DIR": str(folder),
        "HTTPCACHE_POLICY": policy,
        **settings,
    }
    async with opened(**given) as crawler:
        yield PageCache(crawler), crawler


def kept(crawler: Crawler, request: Request) -> Response | None:
    """What the next crawl would get."""
    cache = crawler.get_downloader_middleware(HttpCacheMiddleware)
    assert cache is not None
    found: Response | None = cache.storage.retrieve_response(crawler.spider, request)
    return found


async def test_browsers_page_is_kept_as_the_page_that_was_asked_for(tmp_path: Path) -> None:
    moved = PAGE.replace(url="http://site.example/moved")
    async with caching(tmp_path) as (pages, crawler):
        pages.store(Request(URL), moved)

        found = kept(crawler, Request(URL))
        assert found is not None
        assert (found.body, found.url) == (b"<p>by browser", "http://site.example/moved")
        assert kept(crawler, Request("http://site.example/moved")) is None
        assert crawler.stats.get_value("httpcache/store") == 1


@pytest.mark.parametrize("policy", [OURS, DUMMY])
async def test_policy_in_use_says_what_is_kept(tmp_path: Path, policy: str) -> None:
    settings = {"HTTPCACHE_IGNORE_HTTP_CODES": [500], "HTTPCACHE_IGNORE_SCHEMES": ["https"]}
    async with caching(tmp_path, policy, **settings) as (pages, crawler):
        pages.store(Request(URL), PAGE.replace(status=500))
        pages.store(Request("https://site.example/page"), PAGE)

        assert crawler.stats.get_value("httpcache/store") is None


async def test_page_that_is_still_a_challenge_is_not_kept_by_our_policy(tmp_path: Path) -> None:
    async with caching(tmp_path) as (pages, crawler):
        pages.store(Request(URL), CHALLENGE)

        assert kept(crawler, Request(URL)) is None


async def test_request_that_must_not_be_cached_is_not(tmp_path: Path) -> None:
    request = Request(URL, meta={"dont_cache": True})
    async with caching(tmp_path) as (pages, crawler):
        pages.store(request, PAGE)
        pages.replace(request, PAGE)

        assert kept(crawler, Request(URL)) is None


async def test_page_takes_the_place_of_a_challenge_that_was_stored(tmp_path: Path) -> None:
    async with caching(tmp_path, DUMMY) as (pages, crawler):
        pages.store(Request(URL), CHALLENGE)
    async with caching(tmp_path) as (pages, crawler):
        pages.replace(Request(URL), PAGE)

        found = kept(crawler, Request(URL))
        assert found is not None
        assert found.body == b"<p>by browser"


async def test_other_policies_would_not_have_asked_again(tmp_path: Path) -> None:
    """Theirs is the last word on when a page is stale."""
    async with caching(tmp_path, DUMMY) as (pages, crawler):
        pages.replace(Request(URL), PAGE)

        assert kept(crawler, Request(URL)) is None


@pytest.mark.parametrize("ignore_missing", [False, True])
async def test_crawl_may_have_nothing_but_its_cache(
    tmp_path: Path, *, ignore_missing: bool
) -> None:
    async with caching(tmp_path, HTTPCACHE_IGNORE_MISSING=ignore_missing) as (pages, _):
        assert pages.is_all_there_is() is ignore_missing


async def test_crawl_without_a_cache_has_nothing_to_keep(tmp_path: Path) -> None:
    async with caching(tmp_path, HTTPCACHE_ENABLED=False, HTTPCACHE_IGNORE_MISSING=True) as (
        pages,
        crawler,
    ):
        pages.store(Request(URL), PAGE)
        pages.replace(Request(URL), PAGE)

        assert not pages.is_all_there_is()
        assert crawler.stats.get_value("httpcache/store") is None
