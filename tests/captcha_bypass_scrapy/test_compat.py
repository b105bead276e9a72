"""The seams to Scrapy: each against Scrapy's own engine, and against what older ones look like."""

from __future__ import annotations

import asyncio
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request
from scrapy.core.downloader import Downloader
from scrapy.core.scheduler import Scheduler
from scrapy.downloadermiddlewares.httpproxy import HttpProxyMiddleware
from scrapy.http import Response

from captcha_bypass_scrapy.compat import (
    HOOK_ARGUMENTS,
    asyncio_available,
    close_spider,
    is_closing,
    scheduler_of,
    slot_of,
    wake_engine,
)
from tests.captcha_bypass_scrapy.engines import crawled, opened
from tests.captcha_bypass_scrapy.fake_site import FakeSite
from tests.captcha_bypass_scrapy.spiders import Crawl
from tests.support.service import eventually

#: The engine of 2.13 has its slot under this name.
OLD_SLOT = "slot"


@pytest.mark.parametrize(
    ("engine", "closing"),
    [
        ({"running": True, "start_time": 1.0}, False),
        ({"running": False, "start_time": 1.0}, True),
        # After 2.19 the shell opens a spider on an engine that it never starts (scrapy#8179).
        ({"running": False, "start_time": None}, False),
        ({"running": True, "start_time": 1.0, "_slot": SimpleNamespace(closing=object())}, True),
        ({"running": True, "start_time": 1.0, "_slot": SimpleNamespace(closing=None)}, False),
        ({"running": True, "start_time": 1.0, OLD_SLOT: SimpleNamespace(closing=object())}, True),
        ({"running": True, "start_time": 1.0, "_slot": None}, False),
    ],
)
def test_spider_closes_when_its_engine_stops_or_its_slot_is_closed(
    engine: dict[str, Any], *, closing: bool
) -> None:
    crawler: Any = SimpleNamespace(engine=SimpleNamespace(**engine))

    assert is_closing(crawler) is closing


async def test_closing_is_seen_before_requests_in_progress_are_done() -> None:
    async with opened() as crawler:
        before = is_closing(crawler)
        late = Request("http://late.example/")
        crawler.engine._slot.add_request(late)  # type: ignore[union-attr]
        closing = asyncio.create_task(crawler.engine.close_spider_async(reason="finished"))
        await asyncio.sleep(0)

        assert (before, is_closing(crawler), closing.done()) == (False, True, False)

        crawler.engine._slot.remove_request(late)  # type: ignore[union-attr]
        await closing


class Closing(Crawl):
    """Closes itself through our helper at its first page."""

    name = "closing"

    def parse(self, response: Response, **kwargs: object) -> dict[str, Any]:
        close_spider(self.crawler, "captcha_bypass_unavailable")
        return super().parse(response, **kwargs)


async def test_spider_is_closed_in_good_order_and_with_its_reason(guarded: FakeSite) -> None:
    crawler, rows = await crawled([f"{guarded.url}/open/1"], Closing)

    assert crawler.stats.get_value("finish_reason") == "captcha_bypass_unavailable"
    assert [row["status"] for row in rows] == [200]  # what was under way is not thrown away


def test_spider_of_an_older_engine_is_closed_by_its_own_method() -> None:
    calls: list[tuple[object, str]] = []
    engine = SimpleNamespace(close_spider=lambda spider, reason: calls.append((spider, reason)))
    crawler: Any = SimpleNamespace(engine=engine, spider="the spider")

    close_spider(crawler, "captcha_bypass_unavailable")

    assert calls == [("the spider", "captcha_bypass_unavailable")]


async def test_scheduler_is_the_one_that_takes_requests() -> None:
    async with opened() as crawler:
        scheduler = scheduler_of(crawler)
        crawler.engine.pause()
        crawler.engine.crawl(Request("http://a.example/"))

        assert isinstance(scheduler, Scheduler)
        assert len(scheduler) == 1
        scheduler.next_request()


@pytest.mark.parametrize("engine", [{}, {"_slot": None}, {OLD_SLOT: SimpleNamespace()}])
def test_scheduler_that_is_not_there_yet_is_none(engine: dict[str, Any]) -> None:
    crawler: Any = SimpleNamespace(engine=SimpleNamespace(**engine))

    assert scheduler_of(crawler) is None


async def test_woken_engine_takes_a_request_that_came_unseen(guarded: FakeSite) -> None:
    """Straight into the scheduler, as what others put into a shared queue."""
    async with opened() as crawler:
        scheduler_of(crawler).enqueue_request(Request(f"{guarded.url}/open/1"))
        await asyncio.sleep(0.05)
        before = len(guarded.seen)

        wake_engine(crawler)

        assert await eventually(lambda: len(guarded.seen) == 1, 60)
        assert before == 0


@pytest.mark.parametrize("engine", [{}, {"_slot": None}])
def test_engine_without_a_slot_is_left_asleep(engine: dict[str, Any]) -> None:
    crawler: Any = SimpleNamespace(engine=SimpleNamespace(**engine))

    wake_engine(crawler)


@pytest.mark.parametrize(
    ("meta", "slot"),
    [
        ({}, ("a.example", 3)),
        ({"download_slot": "api"}, ("api", 2)),
        ({"download_slot": "new"}, ("new", 3)),
        ({"download_slot": "slow"}, ("slow", 3)),  # it says nothing about its concurrency
    ],
)
async def test_slot_takes_as_many_requests_as_the_settings_say(
    meta: dict[str, Any], slot: tuple[str, int]
) -> None:
    settings = {"api": {"concurrency": 2}, "slow": {"delay": 1}}
    async with opened(CONCURRENT_REQUESTS_PER_DOMAIN=3, DOWNLOAD_SLOTS=settings) as crawler:
        assert slot_of(crawler, Request("http://a.example/b", meta=meta)) == slot


async def test_slot_that_was_throttled_takes_what_it_takes_now() -> None:
    """AutoThrottle and others change slots while the crawl runs."""
    async with opened(CONCURRENT_REQUESTS_PER_DOMAIN=3) as crawler:
        request = Request("http://a.example/")
        downloader = crawler.engine.downloader
        assert isinstance(downloader, Downloader)
        downloader._get_slot(request)[1].concurrency = 1

        assert slot_of(crawler, request) == ("a.example", 1)


async def test_other_downloader_has_a_slot_for_each_host() -> None:
    async with opened(CONCURRENT_REQUESTS_PER_DOMAIN=3) as crawler:
        own: Any = SimpleNamespace()
        found: Any = SimpleNamespace(
            engine=SimpleNamespace(downloader=own), settings=crawler.settings
        )

        assert slot_of(found, Request("http://a.example:81/b")) == ("a.example", 3)


async def test_there_is_asyncio_inside_a_loop() -> None:
    assert asyncio_available()


def test_hooks_of_scrapys_own_middlewares_are_called_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        HttpProxyMiddleware().process_request(
            Request("http://a/", meta={"proxy": "http://u:p@p:1"}), **HOOK_ARGUMENTS
        )
