"""`HTTPCACHE_POLICY = "captcha_bypass_scrapy.CachePolicy"`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.extensions.httpcache import DummyPolicy

from captcha_bypass_scrapy.compat import HOOK_ARGUMENTS
from captcha_bypass_scrapy.detection import Detector

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.http import Response
    from scrapy.settings import BaseSettings


class CachePolicy(DummyPolicy):
    """Scrapy's default policy, without challenges and blocks: they say nothing about the page."""

    def __init__(self, settings: BaseSettings) -> None:
        super().__init__(settings)
        self._detect = Detector(settings.get("CAPTCHA_BYPASS_DETECTOR") or None, None)
        self._compression = HttpCompressionMiddleware()

    def should_cache_response(self, response: Response, request: Request) -> bool:
        """Say whether the response may be stored."""
        if not super().should_cache_response(response, request):
            return False
        try:
            readable = self._decompressed(response, request)
        except Exception:  # noqa: BLE001 - each decoder has its own errors
            return False  # what cannot be read is no use in a cache
        return self._detect(readable) is None

    def _decompressed(self, response: Response, request: Request) -> Response:
        """Return what the middleware would see: the cache is closer to the wire than gzip is."""
        found = self._compression.process_response(
            request=request, response=response.copy(), **HOOK_ARGUMENTS
        )
        return cast("Response", found)
