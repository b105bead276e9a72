"""A shield before plugins that look for bans: `captcha_bypass_scrapy.bans.BanShield`, order 845.

scrapy-rotating-proxies and its kin take any status but 200 and redirects for a ban, at order 620,
and throw the proxy and the response away before a challenge can be solved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from captcha_bypass_scrapy.detection import detector_of
from captcha_bypass_scrapy.middleware import CaptchaBypassMiddleware
from captcha_bypass_scrapy.options import wanted
from captcha_bypass_scrapy.wire import hide_status, readable

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from scrapy.http import Response

#: Before these plugins, and after statistics (850) and cache (900), which want the true status.
SHIELD_ORDER = 845


class BanShield:
    """Shows challenges with status 200 to the middlewares between it and `CaptchaBypassMiddleware`.

    It does nothing where `CaptchaBypassMiddleware` is not there to restore the status.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build it."""
        return cls(crawler)

    def process_response(
        self, request: Request, response: Response, spider: Spider | None = None
    ) -> Response:
        """Hide the status of a challenge."""
        if response.status < 400 or not wanted(request) or not self._is_restored():
            return response
        found = readable(response, request, self._crawler.settings)
        challenge = None if found is None else detector_of(self._crawler.settings)(found)
        if challenge is None or not challenge.solvable:
            return response
        return hide_status(response)

    def _is_restored(self) -> bool:
        return self._crawler.get_downloader_middleware(CaptchaBypassMiddleware) is not None
