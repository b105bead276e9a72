"""Ctrl+C during a solve, and the run after it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.captcha_bypass_scrapy.crawling import Crawler
from tests.captcha_bypass_scrapy.fake_service import FakeService
from tests.captcha_bypass_scrapy.fake_site import FakeSite, serving
from tests.journeys.scrapy.test_one_solve import urls
from tests.support.service import eventually


async def test_interrupt_during_a_solve_loses_nothing(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, tmp_path: Path
) -> None:
    job: dict[str, Any] = {"JOBDIR": str(tmp_path / "job")}
    fake.seconds = 60
    running = await fake_crawl.start(urls(guarded, 200), **job)
    await fake.until_known()
    await asyncio.sleep(1)  # requests are being parked

    running.interrupt()
    first = await running.finished(seconds=30)  # and not the 60 of the solve

    assert first.exit_code == 0
    assert first.rows == []
    assert "Traceback" not in first.log
    assert fake.deleted == ["task-1"]
    fake.seconds = 0.2
    second = await fake_crawl(urls(guarded, 200), **job)
    assert second.errors == []
    assert len({item["url"] for item in second.items}) == 200
    assert all(item["meta"] == [] for item in second.items)
    assert len(fake.tasks) == 2


async def test_interrupt_between_solve_and_end_loses_nothing(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, tmp_path: Path
) -> None:
    job: dict[str, Any] = {"JOBDIR": str(tmp_path / "job")}
    guarded.slow = 0.3  # all pages take 8 seconds
    running = await fake_crawl.start(urls(guarded, 200), **job)
    await running.until_logged("Solved ")

    running.interrupt()
    first = await running.finished(seconds=30)
    guarded.slow = 0.0
    second = await fake_crawl(urls(guarded, 200), **job)

    assert first.errors == second.errors == []
    assert len(first.items) < 200
    assert len({item["url"] for item in [*first.items, *second.items]}) == 200


async def test_interrupt_while_robots_txt_is_solved_ends_at_once(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, tmp_path: Path
) -> None:
    job: dict[str, Any] = {"JOBDIR": str(tmp_path / "job"), "ROBOTSTXT_OBEY": True}
    fake.seconds = 60
    running = await fake_crawl.start(urls(guarded, 20), **job)
    await running.until_logged("Solving ")

    running.interrupt()
    await running.finished(seconds=30)
    fake.seconds = 0.2
    second = await fake_crawl(urls(guarded, 20), **job)

    assert len({item["url"] for item in second.items}) == 20


async def test_closing_spider_for_another_reason_is_as_quick(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    """After its first page, which another site gives once the solve is under way."""
    fake.seconds = 60

    async def page(request: web.Request) -> web.Response:
        await fake.until_known()
        return web.Response(text="page")

    app = web.Application()
    app.router.add_get("/", page)
    async with serving(app, "127.0.0.2") as other:
        running = await fake_crawl.start([*urls(guarded, 5), other], CLOSESPIDER_PAGECOUNT=1)
        crawled = await running.finished(seconds=30)

    assert crawled.stats["finish_reason"] == "closespider_pagecount"
    assert [row["url"] for row in crawled.rows] == [other]
    assert fake.deleted == ["task-1"]


@pytest.mark.browser
async def test_interrupt_during_a_real_solve_ends_the_real_task(
    crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    """The site's challenge cannot be passed, so the browser would work on for a minute."""
    guarded.wants_browser = True
    running = await crawl.start([f"{guarded.url}/page/1"])
    await running.until_logged("Solving ")
    # The crawl's own request, and the browser's.
    assert await eventually(lambda: guarded.challenges.total() >= 2, 30)

    running.interrupt()
    crawled = await running.finished(seconds=30)

    assert crawled.exit_code == 0
    assert crawled.rows == []
