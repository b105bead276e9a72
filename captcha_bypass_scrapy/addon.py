"""The add-on: `ADDONS = {"captcha_bypass_scrapy.Addon": 500}`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captcha_bypass_scrapy.bans import SHIELD_ORDER, BanShield
from captcha_bypass_scrapy.middleware import CaptchaBypassMiddleware

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

#: After Retry (550) and MetaRefresh (580) would lose or spend challenged responses, and before
#: HttpCompression (590), whose body is still compressed.
ORDER = 585


class Addon:
    """Puts the middleware and its shield in their places; keeps challenges out of the HTTP cache.

    What the project sets itself wins.
    """

    def update_settings(self, settings: BaseSettings) -> None:
        """Called by Scrapy before the crawler's components are built."""
        settings.setdefault_in_component_priority_dict(
            "DOWNLOADER_MIDDLEWARES", CaptchaBypassMiddleware, ORDER
        )
        settings.setdefault_in_component_priority_dict(
            "DOWNLOADER_MIDDLEWARES", BanShield, SHIELD_ORDER
        )
        settings.set("HTTPCACHE_POLICY", "captcha_bypass_scrapy.CachePolicy", priority="addon")
