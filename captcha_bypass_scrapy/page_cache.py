"""Stores browsers' pages in Scrapy's HTTP cache, which has only seen the challenges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.downloadermiddlewares.httpcache import HttpCacheMiddleware

from captcha_bypass_scrapy.cache_policy import CachePolicy

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response


class PageCache:
    """Stores pages that HttpCacheMiddleware does not see, by the rules of the policy in use."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @property
    def _cache(self) -> HttpCacheMiddleware | None:
        return self._crawler.get_downloader_middleware(HttpCacheMiddleware)

    def is_all_there_is(self) -> bool:
        """Whether the crawl may use nothing but its cache (HTTPCACHE_IGNORE_MISSING)."""
        cache = self._cache
        return cache is not None and cache.ignore_missing

    def replace(self, request: Request, response: Response) -> None:
        """Store a page in place of a challenge that was stored; with `CachePolicy` alone.

        Otherwise each later crawl would meet that challenge, and ask the site again.
        """
        cache = self._cache
        if cache is not None and isinstance(cache.policy, CachePolicy):
            self.store(request, response)

    def store(self, request: Request, response: Response) -> None:
        """Store a page under the request that asked for it."""
        cache = self._cache
        if cache is None or request.meta.get("dont_cache"):
            return
        policy = cache.policy
        if policy.should_cache_request(request) and policy.should_cache_response(response, request):
            cache.stats.inc_value("httpcache/store")
            cache.storage.store_response(self._crawler.spider, request, response)
