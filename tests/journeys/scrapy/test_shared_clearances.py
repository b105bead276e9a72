"""Crawls of one site, each in a process of its own, that share what a browser has got for one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler

from demo.challenge_site import STATS, SiteOptions, create_site
from tests.captcha_bypass_scrapy.crawling import Crawled, Crawler
from tests.captcha_bypass_scrapy.fake_site import FakeSite
from tests.captcha_bypass_scrapy.granting import Granting, granting_service
from tests.journeys.scrapy.test_one_solve import all_pages, urls

CRAWLS = 10


@pytest.fixture
async def granting(guarded: FakeSite) -> AsyncIterator[Granting]:
    async with granting_service(guarded) as service:
        yield service


@pytest.fixture
def shared_crawl(tmp_path: Path, granting: Granting) -> Crawler:
    """Crawls with the service's own API and queue, without a browser."""
    return Crawler(tmp_path, granting.url)


async def crawled(
    crawler: Crawler, start: list[str], delay: float = 0.0, *, go: asyncio.Event
) -> list[Crawled]:
    """Crawl the same pages in ten processes that are started together.

    What the first of them gets must not be older than the last: `go` is set once all have begun.
    """
    go.clear()
    running = [await crawler.start(start, DOWNLOAD_DELAY=delay) for _ in range(CRAWLS)]
    go.set()
    return await asyncio.gather(*(one.finished(120) for one in running))


async def test_ten_crawls_that_start_together_make_one_solve(
    shared_crawl: Crawler, granting: Granting, guarded: FakeSite
) -> None:
    for crawl in await crawled(shared_crawl, urls(guarded, 10), go=granting.go):
        all_pages(crawl, 10)
    assert len(granting.solved) == 1
    assert "refused" not in granting.events
    assert granting.events.count("hit") + granting.events.count("joined") == CRAWLS - 1


async def test_clearance_that_expires_once_costs_ten_crawls_one_more_solve(
    shared_crawl: Crawler, granting: Granting, guarded: FakeSite
) -> None:
    guarded.uses = CRAWLS * 30 * 2 / 3
    for crawl in await crawled(shared_crawl, urls(guarded, 30), 0.05, go=granting.go):
        all_pages(crawl, 30)
    assert len(granting.solved) == 2
    assert granting.events.count("refused") == 1


async def test_crawl_that_begins_later_gets_a_clearance_of_its_own(
    shared_crawl: Crawler, granting: Granting, guarded: FakeSite
) -> None:
    for _ in range(2):
        all_pages(await shared_crawl(urls(guarded, 3)), 3)
    assert len(granting.solved) == 2


async def test_crawl_takes_an_older_one_if_it_says_so(
    shared_crawl: Crawler, granting: Granting, guarded: FakeSite
) -> None:
    all_pages(await shared_crawl(urls(guarded, 3)), 3)
    later = await shared_crawl(urls(guarded, 3), CAPTCHA_BYPASS_REUSE=600)
    all_pages(later, 3)
    assert len(granting.solved) == 1
    assert later.own_stats()["solve/reused"] == 1
    assert later.lines("by another crawl or task")


async def test_old_clearance_that_is_over_is_refused_for_all_and_solved_anew(
    shared_crawl: Crawler, granting: Granting, guarded: FakeSite
) -> None:
    """It is not taken for a site that refuses the cookies, though this crawl never saw it work."""
    guarded.uses = 3
    all_pages(await shared_crawl(urls(guarded, 3)), 3)
    guarded.uses = 100
    later = await shared_crawl(urls(guarded, 3), CAPTCHA_BYPASS_REUSE=600)
    all_pages(later, 3)
    assert len(granting.solved) == 2
    assert granting.events.count("refused") == 1
    assert "clearance/refused" not in later.own_stats()
    assert "fetch/sites" not in later.own_stats()


async def test_crawls_that_do_not_share_solve_each_for_themselves(
    shared_crawl: Crawler, granting: Granting, guarded: FakeSite
) -> None:
    running = [
        await shared_crawl.start(urls(guarded, 3), CAPTCHA_BYPASS_REUSE=False) for _ in range(2)
    ]
    for one in running:
        all_pages(await one.finished(), 3)
    assert len(granting.solved) == 2
    assert not {"hit", "joined", "refused"} & set(granting.events)


async def test_solve_that_fails_fails_for_all_crawls_once_and_the_next_gets_through(
    shared_crawl: Crawler, granting: Granting, guarded: FakeSite
) -> None:
    granting.fails, granting.seconds = 1, 3.0
    granting.go.clear()
    running = [await shared_crawl.start(urls(guarded, 3)) for _ in range(3)]
    granting.go.set()
    for one in running:
        all_pages(await one.finished(), 3)
    assert len(granting.solved) == 2


async def test_logins_of_spiders_stay_their_own(
    shared_crawl: Crawler, granting: Granting, guarded: FakeSite
) -> None:
    """A site's own session, which a spider brings along, is sent for it alone."""
    granting.go.clear()
    running = [
        await shared_crawl.start(
            [{"url": url, "cookies": {"login": name}} for url in urls(guarded, 3)]
        )
        for name in ("one", "two")
    ]
    granting.go.set()
    for name, one in zip(("one", "two"), running, strict=True):
        crawl = await one.finished()
        all_pages(crawl, 3)
        assert all(f'"login": "{name}"' in item["body"] for item in crawl.items)
    assert len(granting.solved) == 1


@pytest.mark.browser
@pytest.mark.timeout(240)  # ten crawls, and a browser that is solving meanwhile
async def test_ten_crawls_make_one_solve_with_a_real_browser_and_two_when_it_expires(
    crawl: Crawler,
) -> None:
    go = asyncio.Event()

    @web.middleware
    async def hold_back(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/clearance":
            await go.wait()
        return await handler(request)

    app = create_site(SiteOptions(work=0.05))
    app.middlewares.append(hold_back)
    async with TestServer(app) as site:
        pages = [str(site.make_url(f"/uses/{n}?uses=40")) for n in range(6)]
        for one in await crawled(crawl, pages, go=go):
            all_pages(one, 6)
    assert app[STATS].passes.total() == 2
