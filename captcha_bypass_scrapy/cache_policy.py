"""The cache's policy: `HTTPCACHE_POLICY = "captcha_bypass_scrapy.CachePolicy"`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.extensions.httpcache import DummyPolicy

from captcha_bypass_scrapy.detection import detector_of
from captcha_bypass_scrapy.wire import readable

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.http import Response
    from scrapy.settings import BaseSettings


class CachePolicy(DummyPolicy):
    """Scrapy's default policy, without challenges and blocks: they say nothing about the page."""

    def __init__(self, settings: BaseSettings) -> None:
        super().__init__(settings)
        self._settings = settings

    def should_cache_response(self, response: Response, request: Request) -> bool:
        """Say whether the response may be stored."""
        if not super().should_cache_response(response, request):
            return False
        # What cannot be read is no use in a cache.
        found = readable(response, request, self._settings)
        return found is not None and detector_of(self._settings)(found) is None
