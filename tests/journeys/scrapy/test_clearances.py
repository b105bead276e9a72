"""Whose clearance goes where, and what becomes of it."""

from __future__ import annotations

from collections import Counter
from urllib.parse import urljoin

import pytest
from aiohttp import web

from tests.captcha_bypass_scrapy.crawling import Crawler
from tests.captcha_bypass_scrapy.fake_service import FakeService, Json, page_of
from tests.captcha_bypass_scrapy.fake_site import FakeSite, serving
from tests.journeys.scrapy.test_one_solve import all_pages, urls
from tests.support.proxies import running_proxies


async def test_requests_in_a_slots_queue_get_the_clearance_that_comes_meanwhile(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    """With DOWNLOAD_DELAY they are there long before they leave."""
    guarded.uses, fake.seconds = 4, 0.1

    crawled = await fake_crawl(urls(guarded, 20), DOWNLOAD_DELAY=0.1, DOWNLOAD_DELAY_JITTER=0)

    all_pages(crawled, 20)
    assert len(fake.tasks) == 5
    # With what they got on the way in, whole queues of up to 16 would be challenged four times.
    assert guarded.challenges.total() <= 16


async def test_no_jar_carries_a_renewed_clearance_to_another_exit(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    guarded.rotates = True
    async with running_proxies(2) as proxies:
        addresses = {proxy.username: proxy.address for proxy in proxies}

        async def solve(task: Json) -> Json:
            token = guarded.grant(addresses[task["proxy"]["username"]])
            found = fake.cookie(task, value=token)
            return {"status": "completed", "error": None, "data": page_of(task, cookies=[found])}

        fake.answer = solve
        first = [{"url": u, "meta": {"proxy": proxies[0].url}} for u in urls(guarded, 3)]
        then = {"url": f"{guarded.url}/last", "meta": {"proxy": proxies[1].url}, "priority": -1}

        crawled = await fake_crawl([*first, then], CONCURRENT_REQUESTS=1)

    assert len(crawled.items) == 4
    (before, *_) = [cookies for path, _, cookies in guarded.seen if path == "/last"]
    assert before == {}
    assert all("cf_clearance" in item["set_cookie"][0] for item in crawled.items)  # spiders see it


async def test_challenge_of_files_alone_is_met_at_a_file(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    """The site's root, where a browser looks first, is open."""

    async def answer(task: Json) -> Json:
        if task["url"].endswith("/page/0"):
            return await fake.solved(task)
        return {"status": "completed", "error": None, "data": page_of(task)}

    fake.answer = answer
    start = {
        "url": f"{guarded.url}/open/1",
        "cb_kwargs": {"pages": urls(guarded, 2), "media": True},
    }

    crawled = await fake_crawl([start], spider="Inline")

    assert [item["status"] for item in crawled.items] == [200, 200]
    assert [task["url"] for task in fake.tasks] == [f"{guarded.url}/", f"{guarded.url}/page/0"]
    assert "html/count" not in crawled.own_stats()  # Scrapy got them, with the clearance


async def test_challenge_behind_a_login_is_met_with_the_login(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    async def answer(task: Json) -> Json:
        own = [c for c in task.get("cookies", ()) if c["name"] == "session"]
        cookies = [fake.cookie(task), fake.cookie(task, "session")] if own else []
        return {"status": "completed", "error": None, "data": page_of(task, cookies=cookies)}

    fake.answer = answer
    requests = [
        {"url": url, "cookies": {"session": f"of-{n % 2}"}, "meta": {"cookiejar": n % 2}}
        for n, url in enumerate(urls(guarded, 6))
    ]

    crawled = await fake_crawl(requests, CAPTCHA_BYPASS_COOKIES="all")

    all_pages(crawled, 6)
    assert len(fake.tasks) == 1
    sessions = Counter(cookies["session"] for _, _, cookies in guarded.seen)
    assert set(sessions) == {"of-0", "of-1"}  # the browser's went to nobody


@pytest.mark.parametrize("way", ["to a challenge", "to another site"])
async def test_redirect_out_of_allowed_domains_is_followed_to_a_challenge_only(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, way: str
) -> None:
    reached: list[str] = []

    async def check(request: web.Request) -> web.Response:
        reached.append(request.path_qs)
        if way == "to a challenge":
            status, headers, body = guarded.challenge
            return web.Response(status=status, headers=headers, text=body)
        return web.Response(text="elsewhere")

    away = web.Application()
    away.router.add_get("/{path:.*}", check)
    async with serving(away, "127.0.0.2") as guarded.check:
        crawled = await fake_crawl(
            [f"{guarded.url}/to-check/{n}" for n in range(6)],
            spider="Bound",
            CONCURRENT_REQUESTS=1,
        )

    if way == "to a challenge":
        all_pages(crawled, 6)
        assert len(fake.tasks) == 1
    else:
        assert len(reached) == 1  # to see what it is, and not again
        assert crawled.items == []
        assert crawled.stats["offsite/filtered"] == 6


@pytest.mark.parametrize("where", ["http://evil.example/", "/secret"])
async def test_browsers_page_that_a_link_could_not_lead_to_does_not_reach_the_spider(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, where: str
) -> None:
    """Out of allowed_domains, or forbidden by robots.txt."""

    async def left(task: Json) -> Json:
        robots = task["url"].endswith("/robots.txt")
        url = task["url"] if robots else urljoin(task["url"], where)
        cookies = [fake.cookie(task)] if robots else []
        return {
            "status": "completed",
            "error": None,
            "data": page_of(task, url=url, cookies=cookies),
        }

    fake.answer = left
    requests = [{"url": url, "meta": {"captcha_bypass": "html"}} for url in urls(guarded, 3)]

    crawled = await fake_crawl(requests, spider="Bound", ROBOTSTXT_OBEY=where == "/secret")

    assert crawled.items == []
    assert [error["error"] for error in crawled.errors] == ["ChallengeNotSolved"] * 3
    assert crawled.own_stats()["gave_up/reason/offsite"] == 3


async def test_browsers_open_no_more_pages_of_a_host_than_its_slot_takes(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    crawled = await fake_crawl(
        urls(guarded, 6),
        CAPTCHA_BYPASS_MODE="html",
        DOWNLOAD_SLOTS={"127.0.0.1": {"concurrency": 1, "delay": 0}},
    )

    assert len(crawled.items) == 6
    assert fake.most == 1
