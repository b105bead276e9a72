"""Requests that wait: where they are meanwhile, who else goes on, and what they come back as."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.captcha_bypass_scrapy.crawling import Crawler
from tests.captcha_bypass_scrapy.fake_service import FakeService, Json, failed
from tests.captcha_bypass_scrapy.fake_site import FakeSite, serving
from tests.journeys.scrapy.test_one_solve import all_pages, urls
from tests.support.service import eventually

#: What is in no queue while requests wait: Scrapy's own CONCURRENT_REQUESTS.
IN_HAND = 16


async def test_killed_crawl_loses_no_more_than_scrapy_itself(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, tmp_path: Path
) -> None:
    queue = tmp_path / "queue"
    queue.mkdir()
    settings: dict[str, Any] = {
        "spider": "Shared",
        "SCHEDULER": "tests.captcha_bypass_scrapy.spiders.FolderScheduler",
        "TEST_QUEUE": str(queue),
    }
    fake.seconds = 60
    running = await fake_crawl.start(urls(guarded, 200), **settings)
    await running.until_logged("Solving ")
    assert await eventually(lambda: len(list(queue.iterdir())) >= 200 - IN_HAND, 30)
    await asyncio.sleep(1.5)  # the whole queue could be taken out by now

    running.kill()
    await running.finished()

    assert len(list(queue.iterdir())) >= 200 - IN_HAND
    fake.seconds = 0.2
    second = await fake_crawl(urls(guarded, 200), **settings)
    assert second.errors == []
    assert len({item["url"] for item in second.items}) >= 200 - IN_HAND
    assert {item["priority"] for item in second.items} == {0}
    assert all(item["meta"] == [] for item in second.items)


@pytest.mark.parametrize(
    "queue", ["scrapy.pqueues.DownloaderAwarePriorityQueue", "scrapy.pqueues.ScrapyPriorityQueue"]
)
async def test_other_hosts_go_on_while_many_hosts_are_solved(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, queue: str
) -> None:
    """More hosts than places, and a backlog of the first that comes before the open pages."""
    second = FakeSite(slow=0.02)
    went_on = solves_once(fake, lambda: len(second.seen) == 100)
    async with (
        serving(second.app(), "127.0.0.9") as other,
        TestServer(guarded.app(), host="0.0.0.0") as everywhere,
    ):
        blocked = [f"http://127.0.1.{n}:{everywhere.port}/page/1" for n in range(1, 21)]
        requests = [*blocked, *urls(guarded, 60), *(f"{other}/open/{n}" for n in range(100))]

        crawled = await fake_crawl(requests, SCHEDULER_PRIORITY_QUEUE=queue)

    all_pages(crawled, 180)
    assert len(went_on) == 21
    assert all(went_on)


async def test_inline_downloads_leave_their_places_to_others(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    second = FakeSite()
    went_on = solves_once(fake, lambda: len(second.seen) == 61)
    async with serving(second.app(), "127.0.0.9") as other:
        first = {"url": f"{other}/open/0", "cb_kwargs": {"pages": urls(guarded, 1)}, "priority": 1}
        others = [{"url": f"{other}/open/{n}", "cb_kwargs": {"pages": []}} for n in range(1, 61)]

        crawled = await fake_crawl([first, *others], spider="Inline", CONCURRENT_REQUESTS=1)

    assert [item["url"] for item in crawled.items] == urls(guarded, 1)
    assert crawled.stats["response_received_count"] == 62
    assert went_on == [True]


async def test_places_of_those_that_wait_for_a_robots_txt_are_lent_to_other_hosts(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    seen: list[str] = []

    async def anything(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(text="User-agent: *")

    went_on = solves_once(fake, lambda: len(seen) == 61)
    plain = web.Application()
    plain.router.add_get("/{path:.*}", anything)
    async with serving(plain, "127.0.0.9") as other:
        crawled = await fake_crawl(
            [*urls(guarded, 20), *(f"{other}/open/{n}" for n in range(60))],
            ROBOTSTXT_OBEY=True,
            CONCURRENT_REQUESTS=4,
        )

    all_pages(crawled, 80)
    assert went_on == [True]
    assert [task["url"] for task in fake.tasks] == [f"{guarded.url}/robots.txt"]


async def test_requests_come_back_as_they_were(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    """Above all `dont_filter`: with it, redirects to other sites would be followed."""
    requests = [{"url": url, "priority": n} for n, url in enumerate(urls(guarded, 30))]

    crawled = await fake_crawl([*requests, {"url": f"{guarded.url}/again", "dont_filter": True}])

    all_pages(crawled, 31)
    kept = {item["url"]: item["dont_filter"] for item in crawled.items}
    assert {url for url, dont_filter in kept.items() if dont_filter} == {f"{guarded.url}/again"}
    assert sorted(item["priority"] for item in crawled.items) == sorted([*range(30), 0])


async def test_pending_tasks_are_waited_for(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    fake.pending = 1.5

    crawled = await fake_crawl(urls(guarded, 20), CAPTCHA_BYPASS_TIMEOUT=1)

    all_pages(crawled, 20)
    assert len(fake.tasks) == 1
    assert "solver/unavailable" not in crawled.own_stats()


async def test_queue_that_does_not_move_is_given_up_in_the_end(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    fake.pending = 60

    crawled = await fake_crawl(urls(guarded, 3), CAPTCHA_BYPASS_UNAVAILABLE_TIMEOUT=1)

    assert [error["error"] for error in crawled.errors] == ["ChallengeNotSolved"] * 3
    assert "1 s were spent waiting for a free browser" in crawled.errors[0]["reason"]


async def test_full_service_is_asked_again_when_it_says_and_beyond_the_timeout(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    full = {"error": {"code": "queue_full", "message": "1000 tasks are pending."}}
    fake.refusals = [(503, {"Retry-After": "1"}, full)] * 2

    crawled = await fake_crawl(urls(guarded, 20), CAPTCHA_BYPASS_TIMEOUT=1)

    all_pages(crawled, 20)
    assert [path for _, path, _ in fake.calls if path == "/solve"] == ["/solve"] * 3
    assert crawled.lines("ERROR") == []


async def test_service_that_is_away_is_waited_for(
    tmp_path: Path, guarded: FakeSite, unused_tcp_port: int
) -> None:
    crawl = Crawler(tmp_path, f"http://127.0.0.1:{unused_tcp_port}")
    running = await crawl.start([*urls(guarded, 40), *urls(guarded, 5, "open")])
    await running.until_logged("Challenges cannot be solved")
    await asyncio.sleep(1.5)  # everything challenged would be lost by now
    service = FakeService(guarded)

    async with TestServer(service.app(), host="127.0.0.1", port=unused_tcp_port):
        crawled = await running.finished()

    all_pages(crawled, 45)
    assert len(crawled.lines("Challenges cannot be solved")) == 1
    assert len(crawled.lines("can be used again")) == 1


async def test_spider_can_be_closed_while_the_service_is_away(
    tmp_path: Path, fake: FakeService, guarded: FakeSite, unused_tcp_port: int
) -> None:
    crawl = Crawler(tmp_path, f"http://127.0.0.1:{unused_tcp_port}")
    job: dict[str, Any] = {"JOBDIR": str(tmp_path / "job")}

    first = await crawl(urls(guarded, 40), CAPTCHA_BYPASS_ON_UNAVAILABLE="close", **job)
    crawl.service = fake.url
    second = await crawl(urls(guarded, 40), **job)

    assert first.stats["finish_reason"] == "captcha_bypass_unavailable"
    assert first.rows == []
    all_pages(second, 40)


async def test_solve_that_fails_once_is_tried_again(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    fake.answer = first_fails(fake)

    crawled = await fake_crawl(urls(guarded, 40))

    all_pages(crawled, 40)
    assert len(fake.tasks) == 2
    retried = crawled.stats["captcha_bypass/solve/retry/count"]
    assert crawled.stats["captcha_bypass/solve/retry/reason_count/unsolved"] == retried
    # Nobody asked the site again in vain; one may have looked whether it is open.
    assert guarded.challenges.total() <= IN_HAND + 1


@pytest.mark.parametrize(
    "meta", [{"dont_retry": True}, {"captcha_bypass": {"retry_times": 0}}, {"max_retry_times": 0}]
)
async def test_request_may_do_without_retries(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, meta: Json
) -> None:
    fake.answer = first_fails(fake)

    crawled = await fake_crawl([{"url": f"{guarded.url}/page/1", "meta": meta}])

    assert [error["error"] for error in crawled.errors] == ["ChallengeNotSolved"]
    assert len(fake.tasks) == crawled.own_stats()["solve/retry/max_reached"] == 1


async def test_one_requests_own_condition_does_not_condemn_its_neighbours(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    async def answer(task: Json) -> Json:
        if "success_selector" not in task:
            return await fake.solved(task)
        assert await eventually(lambda: guarded.challenges.total() > 1, 30)
        return await failed(task)

    fake.answer = answer
    # Whose is challenged first leads a solve; the others' would do for it, too.
    guarded.late, guarded.late_seconds = frozenset(f"/page/{n}" for n in range(30)), 0.3
    own = {"captcha_bypass": {"success_selector": "#only-here", "retry_times": 0}}
    odd = {"url": f"{guarded.url}/odd", "meta": own}

    crawled = await fake_crawl([odd, *urls(guarded, 30)], CONCURRENT_REQUESTS_PER_DOMAIN=16)

    assert [error["url"] for error in crawled.errors] == [odd["url"]]
    assert len(crawled.items) == 30


async def test_lost_requests_are_told_at_warning(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    fake.answer, fake.seconds = failed, 0.05

    crawled = await fake_crawl(
        urls(guarded, 10),
        CAPTCHA_BYPASS_RETRY_TIMES=0,
        CAPTCHA_BYPASS_COOLDOWN=0.1,
        LOG_LEVEL="WARNING",
    )

    assert len(crawled.lines("WARNING: Gave up on")) == 1
    (line,) = crawled.lines("WARNING", "did not get their page")
    assert "10 requests" in line


async def test_waiting_requests_of_an_open_host_hold_nobody(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    """Some pages of it are challenged and never solved; each solve takes until more were served."""
    went_on: list[bool] = []

    def served() -> int:
        return sum(path.startswith("/open/") for path, _, _ in guarded.seen)

    async def answer(task: Json) -> Json:
        enough = min(200, 60 * len(fake.tasks))
        went_on.append(await eventually(lambda: served() >= enough, 30))
        return await failed(task)

    fake.answer, fake.seconds = answer, 0.05
    closed = urls(guarded, 6)
    opened = urls(guarded, 200, "open")
    mixed = [*opened[:50], *closed, *opened[50:]]

    crawled = await fake_crawl(mixed, CONCURRENT_REQUESTS=4, CAPTCHA_BYPASS_COOLDOWN=0.3)

    assert len(crawled.errors) == 6
    assert all(went_on)
    assert all("/open/" in row["url"] for row in crawled.rows[:200])


def solves_once(fake: FakeService, done: Callable[[], bool]) -> list[bool]:
    """Have tasks end only when something else is done; returns whether it was, for each task."""
    was: list[bool] = []

    async def answer(task: Json) -> Json:
        was.append(await eventually(done, 30))
        return await fake.solved(task)

    fake.answer, fake.seconds = answer, 0.05
    return was


def first_fails(fake: FakeService) -> Any:  # noqa: ANN401 - what a fake answers
    async def answer(task: Json) -> Json:
        return await (failed(task) if len(fake.tasks) == 1 else fake.solved(task))

    return answer
