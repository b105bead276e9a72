"""The browser among the download handlers of an engine of Scrapy's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request
from scrapy.http import Response, TextResponse

from captcha_bypass_scrapy.downloads import Downloads, can_install, install
from tests.captcha_bypass_scrapy.engines import opened

TAKEN = "http://taken.example/"


class Browser:
    def __init__(self) -> None:
        self.sent: list[str] = []

    def takes(self, request: Request) -> bool:
        return request.url == TAKEN

    async def fetch(self, request: Request) -> Response:
        self.sent.append(request.url)
        if request.method == "POST":
            raise OSError("no")
        return Response(request.url, flags=["by-browser"])


async def test_requests_that_it_takes_go_to_the_browser_and_others_where_they_went() -> None:
    browser = Browser()
    async with opened() as crawler:
        assert can_install(crawler)
        install(crawler, browser.takes, browser.fetch)

        taken = await crawler.engine.download_async(Request(TAKEN))
        other = await crawler.engine.download_async(Request("data:,other"))

        assert taken.flags == ["by-browser"]
        assert isinstance(other, TextResponse)
        assert other.text == "other"
        assert browser.sent == [TAKEN]


async def test_browser_is_put_there_once() -> None:
    browser = Browser()
    async with opened() as crawler:
        install(crawler, browser.takes, browser.fetch)
        first: Any = crawler.engine.downloader.handlers
        install(crawler, browser.takes, browser.fetch)
        assert crawler.engine.downloader.handlers is first
        assert isinstance(first, Downloads)
        assert can_install(crawler)


async def test_download_has_its_place_in_a_slot_and_its_signals() -> None:
    browser = Browser()
    seen: list[str] = []
    async with opened() as crawler:
        install(crawler, browser.takes, browser.fetch)

        def note(response: Response, request: Request, spider: object) -> None:
            seen.append(request.meta["download_slot"])

        from scrapy import signals

        crawler.signals.connect(note, signals.response_downloaded)
        await crawler.engine.download_async(Request(TAKEN))
        assert seen == ["taken.example"]
        assert crawler.stats.get_value("downloader/response_count") == 1


async def test_exceptions_are_those_of_a_download() -> None:
    browser = Browser()
    async with opened(RETRY_TIMES=2) as crawler:
        install(crawler, browser.takes, browser.fetch)
        with pytest.raises(OSError, match="no"):
            await crawler.engine.download_async(Request(TAKEN, method="POST"))
        assert len(browser.sent) == 3
        assert crawler.stats.get_value("retry/count") == 2


async def test_whatever_else_the_handlers_have_is_there() -> None:
    browser = Browser()
    async with opened() as crawler:
        before: Any = crawler.engine.downloader.handlers
        install(crawler, browser.takes, browser.fetch)
        after: Any = crawler.engine.downloader.handlers
        assert after._schemes is before._schemes
        with pytest.raises(AttributeError):
            _ = after.nothing_of_that_name


def test_downloader_without_handlers_has_no_place_for_it() -> None:
    crawler: Any = SimpleNamespace(engine=SimpleNamespace(downloader=object()))
    assert not can_install(crawler)


class OldHandlers:
    """Those of Scrapy 2.13, which take the spider and return what is awaited."""

    def download_request(self, request: Request, spider: object) -> str:
        return f"old {request.url} {spider}"


async def test_handlers_of_scrapy_213_are_asked_in_their_way() -> None:
    browser = Browser()
    handlers: Any = OldHandlers()
    both = Downloads(handlers, browser.takes, browser.fetch)
    spider: Any = "spider"

    assert both.download_request(Request("data:,"), spider) == "old data:, spider"
    found = both.download_request(Request(TAKEN), spider)

    from scrapy.utils.defer import maybe_deferred_to_future

    assert (await maybe_deferred_to_future(found)).flags == ["by-browser"]
