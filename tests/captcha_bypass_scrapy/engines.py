"""Scrapy's own engine inside the test's process and event loop, for tests of single hooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import scrapy
from scrapy import signals
from scrapy.crawler import AsyncCrawlerRunner, Crawler
from scrapy.utils.test import get_crawler

from tests.captcha_bypass_scrapy.spiders import Crawl
from tests.support.service import eventually

#: Neither reactor nor console: tests run in the event loop that pytest has made.
QUIET: dict[str, Any] = {"TWISTED_REACTOR_ENABLED": False, "TELNETCONSOLE_ENABLED": False}


class Idle(scrapy.Spider):
    """Asks for nothing by itself."""

    name = "idle"


def crawler_with(spider: type[scrapy.Spider] = Idle, **settings: object) -> Crawler:
    """Return a crawler with its settings, signals and stats, and without an engine."""
    crawler = get_crawler(spider, {**QUIET, **settings})
    crawler.spider = spider.from_crawler(crawler)
    return crawler


@asynccontextmanager
async def opened(spider: type[scrapy.Spider] = Idle, **settings: object) -> AsyncIterator[Crawler]:
    """Yield a crawler whose engine runs and waits for requests, as the one of `scrapy shell`."""
    crawler = crawler_with(spider, **settings)
    engine = crawler.engine = crawler._create_engine()
    await engine.open_spider_async(close_if_idle=False)
    running = asyncio.create_task(engine.start_async(_start_request_processing=False))
    await eventually(lambda: engine.running, 5)
    try:
        yield crawler
    finally:
        await engine.close_async()
        await running


async def crawled(
    urls: list[str], spider: type[scrapy.Spider] = Crawl, **settings: object
) -> tuple[Crawler, list[dict[str, Any]]]:
    """Crawl to the end in this process; returns the crawler and the rows that came of it."""
    runner = AsyncCrawlerRunner({**QUIET, **settings})
    crawler = runner.create_crawler(spider)
    rows: list[dict[str, Any]] = []

    def scraped(item: dict[str, Any]) -> None:
        rows.append(item)

    crawler.signals.connect(scraped, signal=signals.item_scraped)
    await runner.crawl(crawler, requests=[{"url": url} for url in urls])
    return crawler, rows
