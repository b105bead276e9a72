"""What Scrapy 2.13 to 2.19 name differently, or do not say in public."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import scrapy
import scrapy.exceptions
from scrapy.utils.defer import deferred_from_coro
from scrapy.utils.reactor import is_asyncio_reactor_installed
from twisted.internet import error
from twisted.internet.defer import CancelledError

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler

try:
    from scrapy.utils.asyncio import is_asyncio_available as asyncio_available
except ImportError:  # Scrapy 2.13, which always has a Twisted reactor
    asyncio_available = is_asyncio_reactor_installed


def _error(name: str, before: type[Exception]) -> type[Exception]:
    """Return an exception that has a name of Scrapy's own since 2.15; before, it was Twisted's."""
    found: type[Exception] = getattr(scrapy.exceptions, name, before)
    return found


CannotResolveHostError = _error("CannotResolveHostError", error.DNSLookupError)
DownloadCancelledError = _error("DownloadCancelledError", CancelledError)
DownloadConnectionRefusedError = _error(
    "DownloadConnectionRefusedError", error.ConnectionRefusedError
)
DownloadFailedError = _error("DownloadFailedError", error.ConnectionLost)
DownloadTimeoutError = _error("DownloadTimeoutError", error.TimeoutError)

#: For calling other middlewares' hooks: up to 2.13 they want the spider, later ones warn about it.
HOOK_ARGUMENTS: dict[str, Any] = {} if scrapy.version_info >= (2, 14) else {"spider": None}

__all__ = [
    "HOOK_ARGUMENTS",
    "CannotResolveHostError",
    "DownloadCancelledError",
    "DownloadConnectionRefusedError",
    "DownloadFailedError",
    "DownloadTimeoutError",
    "asyncio_available",
    "close_spider",
    "is_closing",
    "scheduler_of",
    "slot_of",
    "wake_engine",
]


def is_closing(crawler: Crawler) -> bool:
    """Whether the spider has begun to close.

    No signal says so before all requests in progress are done, ours among them. `engine.running`
    tells of a stop by signal; that a spider closes for another reason only the slot knows.
    """
    engine = crawler.engine  # there since the spider was opened, and no request is older
    if not engine.running and engine.start_time is not None:
        return True  # where it has never run, this is a shell, which downloads without that
    slot = getattr(engine, "_slot", getattr(engine, "slot", None))
    return slot is not None and getattr(slot, "closing", None) is not None


def scheduler_of(crawler: Crawler) -> Any:  # noqa: ANN401 - any scheduler of the user's
    """Return the scheduler in use, which has a public name since 2.19."""
    engine = crawler.engine
    return getattr(getattr(engine, "_slot", getattr(engine, "slot", None)), "scheduler", None)


def wake_engine(crawler: Crawler) -> None:
    """Have the engine look for a request to start: a place has become free unseen by it."""
    slot = getattr(crawler.engine, "_slot", getattr(crawler.engine, "slot", None))
    if slot is not None:
        slot.nextcall.schedule()


def close_spider(crawler: Crawler, reason: str) -> None:
    """Begin to close the spider in good order; the engine ends it by itself."""
    engine: Any = crawler.engine
    if hasattr(engine, "close_spider_async"):
        deferred_from_coro(engine.close_spider_async(reason=reason))
    else:  # Scrapy 2.13
        engine.close_spider(crawler.spider, reason)


def slot_of(crawler: Crawler, request: Request) -> tuple[str, int]:
    """Return the name of a request's download slot, and how many requests it takes at once."""
    downloader = crawler.engine.downloader
    limit = crawler.settings.getint("CONCURRENT_REQUESTS_PER_DOMAIN")
    try:
        name = downloader.get_slot_key(request)
        slot = downloader.slots.get(name)
        own = downloader.per_slot_settings.get(name, {}).get("concurrency", limit)
    except AttributeError:  # another DOWNLOADER
        return urlsplit(request.url).hostname or "", limit
    return name, slot.concurrency if slot is not None else own
