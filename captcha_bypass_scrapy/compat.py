"""What Scrapy 2.13 to 2.19 name differently, or do not say in public."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import scrapy
from scrapy.utils.reactor import is_asyncio_reactor_installed

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

try:
    from scrapy.utils.asyncio import is_asyncio_available as asyncio_available
except ImportError:  # Scrapy 2.13, which always has a Twisted reactor
    asyncio_available = is_asyncio_reactor_installed

#: For calling other middlewares' hooks: up to 2.13 they want the spider, later ones warn about it.
HOOK_ARGUMENTS: dict[str, Any] = {} if scrapy.version_info >= (2, 14) else {"spider": None}

__all__ = ["HOOK_ARGUMENTS", "asyncio_available", "is_closing"]


def is_closing(crawler: Crawler) -> bool:
    """Whether the spider has begun to close.

    No signal says so before all requests in progress are done, ours among them. `engine.running`
    tells of a stop by signal; that a spider closes for another reason only the slot knows.
    """
    engine = crawler.engine  # there since the spider was opened, and no request is older
    if not engine.running and engine.start_time is not None:
        return True  # where it has never run, this is a shell, which downloads without that
    slot = getattr(engine, "_slot", None)
    return slot is not None and getattr(slot, "closing", None) is not None
