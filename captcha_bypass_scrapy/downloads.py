"""Puts the browser among the crawl's download handlers.

A request that the browser sends is a download like others: it has its place in a download slot, with
its delay and its limits, and all downloader middlewares, signals and statistics see it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.core.downloader.handlers import DownloadHandlers
from scrapy.utils.defer import deferred_from_coro

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    Takes = Callable[[Request], bool]
    Fetch = Callable[[Request], Awaitable[Response]]


class Downloads:
    """Stands for the downloader's handlers, and passes on all but the browser's requests.

    Args:
        takes: Whether the browser sends a request.
        fetch: Has it send one.
    """

    def __init__(self, handlers: DownloadHandlers, takes: Takes, fetch: Fetch) -> None:
        self._handlers = handlers
        self._takes = takes
        self._fetch = fetch

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the handlers have
        return getattr(self._handlers, name)

    async def download_request_async(self, request: Request) -> Response:
        """Download a request; Scrapy calls this one since 2.14."""
        if self._takes(request):
            return await self._fetch(request)
        return await self._handlers.download_request_async(request)

    def download_request(self, request: Request, *spider: Spider) -> Any:  # noqa: ANN401 - a Deferred
        """Download a request; Scrapy 2.13 calls this one."""
        if self._takes(request):
            return deferred_from_coro(self._fetch(request))
        return self._handlers.download_request(request, *spider)


def can_install(crawler: Crawler) -> bool:
    """Whether the crawl's downloader is one that has handlers."""
    handlers = getattr(getattr(crawler.engine, "downloader", None), "handlers", None)
    return isinstance(handlers, DownloadHandlers | Downloads)


def install(crawler: Crawler, takes: Takes, fetch: Fetch) -> None:
    """Put the browser among the handlers, once."""
    downloader: Any = crawler.engine.downloader
    if not isinstance(downloader.handlers, Downloads):
        downloader.handlers = Downloads(downloader.handlers, takes, fetch)
