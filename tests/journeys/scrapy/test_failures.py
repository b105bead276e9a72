"""What a crawl does when the service or the challenge does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.captcha_bypass_scrapy.crawling import Crawled, Crawler
from tests.captcha_bypass_scrapy.fake_service import FakeService, Json, failed, page_of
from tests.captcha_bypass_scrapy.fake_site import FakeSite
from tests.journeys.scrapy.test_one_solve import urls

UNAUTHORIZED = {"error": {"code": "unauthorized", "message": "The API key is wrong."}}
NOT_ALLOWED = {"error": {"code": "host_not_allowed", "message": "Use http://127.0.0.1:PORT."}}
FULL = {"error": {"code": "queue_full", "message": "1000 tasks are pending."}}


def not_solved(crawled: Crawled, count: int) -> None:
    """Every challenged request failed with vendor and reason, and none reached a callback."""
    assert len(crawled.errors) == count, crawled.log[-2000:]
    assert {error["error"] for error in crawled.errors} == {"ChallengeNotSolved"}
    assert {error["vendor"] for error in crawled.errors} == {"cloudflare"}
    assert all(error["reason"] for error in crawled.errors)
    assert crawled.own_stats()["gave_up/count"] == count


async def test_service_down_fails_challenged_requests_and_spares_open_pages(
    tmp_path: Path, guarded: FakeSite, unused_tcp_port: int
) -> None:
    crawl = Crawler(tmp_path, f"http://127.0.0.1:{unused_tcp_port}")

    crawled = await crawl(
        [*urls(guarded, 40), *urls(guarded, 40, "open")], CAPTCHA_BYPASS_ON_UNAVAILABLE="fail"
    )

    not_solved(crawled, 40)
    assert len(crawled.items) == 40
    assert "is it running?" in crawled.errors[0]["reason"]
    assert len(crawled.lines("ERROR: Challenges cannot be solved")) == 1
    stats = crawled.own_stats()
    assert stats["solve/count"] == stats["solver/unavailable"] == 1
    assert stats["gave_up/reason/solver"] == 40


async def test_wrong_key_is_told_once_and_not_tried_again(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    fake.refusals = [(401, {}, UNAUTHORIZED)] * 50

    crawled = await fake_crawl(urls(guarded, 40))

    not_solved(crawled, 40)
    assert "CAPTCHA_BYPASS_API_KEY" in crawled.lines("ERROR: Challenges cannot be solved")[0]
    assert len(fake.calls) == 1


async def test_url_that_the_service_does_not_answer_to_is_told_in_the_services_words(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    fake.refusals = [(403, {}, NOT_ALLOWED)] * 50

    crawled = await fake_crawl(urls(guarded, 40))

    not_solved(crawled, 40)
    (line,) = crawled.lines("ERROR: Challenges cannot be solved")
    assert "Use http://127.0.0.1:PORT." in line
    assert "CAPTCHA_BYPASS_API_KEY" not in line
    assert len(fake.calls) == 1


async def test_service_full_for_longer_than_the_timeout_fails(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    fake.refusals = [(503, {"Retry-After": "30"}, FULL)] * 50

    crawled = await fake_crawl(
        [*urls(guarded, 20), *urls(guarded, 5, "open")],
        CAPTCHA_BYPASS_TIMEOUT=5,
        CAPTCHA_BYPASS_ON_UNAVAILABLE="fail",
    )

    not_solved(crawled, 20)
    assert len(crawled.items) == 5
    assert "1000 tasks are pending" in crawled.errors[0]["reason"]
    assert len(fake.calls) == 1


async def test_errback_gets_what_the_browser_had_at_the_end(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    hint = {"code": "text_hidden", "message": "The text is there, but nobody can see it."}

    async def late(task: Json) -> Json:
        shown: Json = {"unmet": ["success_text"], "hints": [hint], "screenshot": "cGljdHVyZQ=="}
        data = page_of(task, timeout_reached=True, **shown)
        return {"status": "completed", "error": None, "data": data}

    fake.answer = late

    crawled = await fake_crawl(
        urls(guarded, 3), CAPTCHA_BYPASS_RETRY_TIMES=0, CAPTCHA_BYPASS_SCREENSHOT=True
    )

    not_solved(crawled, 3)
    assert all(task["screenshot"] is True for task in fake.tasks)
    for error in crawled.errors:  # also of those that only waited for the solve
        assert (error["unmet"], error["hints"]) == (["success_text"], ["text_hidden"])
        assert error["screenshot"] == "picture"
        assert error["reason"].endswith(". The text is there, but nobody can see it")


@pytest.mark.parametrize(
    ("view", "told"),
    [
        ({"data": {"timeout_reached": True}}, "did not get through in 60 s"),
        ({"data": {"challenge": "cloudflare"}}, "still a cloudflare challenge"),
        ({"status": "error", "error": {"code": "proxy_error", "message": "no"}}, "proxy_error: no"),
    ],
    ids=["timeout", "still a challenge", "task error"],
)
async def test_task_that_did_not_get_through_fails_with_its_reason(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, view: Json, told: str
) -> None:
    async def ending(task: Json) -> Json:
        data = page_of(task, cookies=[fake.cookie(task)], **view.get("data", {}))
        ended = {"status": "completed", "error": None, "data": data}
        return ended if "data" in view else {**ended, **view, "data": None}

    fake.answer = ending
    guarded.together = 16  # all are asked for before the first is challenged

    crawled = await fake_crawl(
        urls(guarded, 16),
        CONCURRENT_REQUESTS_PER_DOMAIN=16,
        CAPTCHA_BYPASS_RETRY_TIMES=0,
        CAPTCHA_BYPASS_COOLDOWN=1,
    )

    not_solved(crawled, 16)
    assert told in crawled.errors[0]["reason"]
    assert len(fake.tasks) <= 2
    assert crawled.own_stats()["solve/failed"] == len(fake.tasks)
    assert set(guarded.challenges.values()) == {1}  # nobody asked again in vain


async def test_backlog_of_a_host_that_fails_waits_in_the_scheduler(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    """Five failures in a row cost the requests that were challenged, and none of the others."""
    failures = 5

    async def answer(task: Json) -> Json:
        return await (failed(task) if len(fake.tasks) <= failures else fake.solved(task))

    fake.answer, fake.seconds = answer, 0.05

    crawled = await fake_crawl(urls(guarded, 100), CAPTCHA_BYPASS_COOLDOWN=0.3)

    assert len(fake.tasks) == failures + 1
    assert len(crawled.items) + len(crawled.errors) == 100
    assert len(crawled.errors) <= 16  # CONCURRENT_REQUESTS
    assert guarded.challenges.total() <= 16 + failures  # and one that looked after each


async def test_host_that_always_fails_is_given_up_in_the_end(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    fake.answer, fake.seconds = failed, 0.05

    # A rest in which a busy machine gets through all that come for the first time.
    crawled = await fake_crawl(urls(guarded, 60), CAPTCHA_BYPASS_COOLDOWN=1)

    not_solved(crawled, 60)
    assert len(fake.tasks) <= 10
    assert crawled.own_stats()["gave_up/reason/cooldown"] >= 20


async def test_one_bad_page_does_not_cost_the_others(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    async def answer(task: Json) -> Json:
        if task["url"].endswith("/page/0"):
            return {"status": "error", "error": {"code": "not_a_page", "message": ""}, "data": None}
        return await fake.solved(task)

    fake.answer = answer

    crawled = await fake_crawl(
        urls(guarded, 100), CONCURRENT_REQUESTS=1, CAPTCHA_BYPASS_RETRY_TIMES=0
    )

    assert len(crawled.items) == 99
    assert [error["url"] for error in crawled.errors] == [f"{guarded.url}/page/0"]


async def test_refused_task_says_which_field(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    fields = [{"field": "proxy", "message": "the browser cannot log in to a SOCKS5 proxy"}]
    error = {"code": "invalid_request", "message": "The request is invalid.", "fields": fields}
    fake.refusals = [(400, {}, {"error": error})]

    crawled = await fake_crawl([f"{guarded.url}/page/1"])

    not_solved(crawled, 1)
    assert "proxy: the browser cannot log in to a SOCKS5 proxy" in crawled.errors[0]["reason"]
    assert crawled.own_stats()["gave_up/reason/rejected"] == 1


async def test_restarted_service_is_given_the_task_again_once(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    async def forgetful(task: Json) -> Json:
        fake.answer = fake.solved
        fake.restart()
        return {}

    fake.answer = forgetful

    crawled = await fake_crawl(urls(guarded, 20))

    assert len(crawled.items) == 20
    assert len(fake.tasks) == 2
    assert crawled.own_stats()["solve/count"] == 1


async def test_service_that_always_forgets_is_not_asked_for_ever(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    async def forgetful(task: Json) -> Json:
        fake.restart()
        return {}

    fake.answer = forgetful

    crawled = await fake_crawl([f"{guarded.url}/page/1"], CAPTCHA_BYPASS_RETRY_TIMES=0)

    not_solved(crawled, 1)
    assert len(fake.tasks) == 2


@pytest.mark.parametrize("answer", [{}, {"status": "completed"}, [1], "text"])
async def test_something_else_at_the_services_address_is_told(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, answer: object
) -> None:
    fake.refusals = [(200, {}, answer)] * 5

    crawled = await fake_crawl([f"{guarded.url}/page/1"])

    not_solved(crawled, 1)
    assert "is CAPTCHA_BYPASS_URL right?" in crawled.errors[0]["reason"]


async def test_result_without_the_contracts_fields_is_told(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    async def odd(task: Json) -> Json:
        return {"status": "completed", "error": None, "data": {"html": "x"}}

    fake.answer = odd

    crawled = await fake_crawl(urls(guarded, 3))

    not_solved(crawled, 3)
    assert "is CAPTCHA_BYPASS_URL right?" in crawled.errors[0]["reason"]


async def test_key_goes_to_the_service_and_nowhere_else(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    crawled = await fake_crawl(urls(guarded, 3), CAPTCHA_BYPASS_API_KEY="the-secret-key")

    assert len(crawled.items) == 3
    assert {h.get("Authorization") for _, _, h in fake.calls} == {"Bearer the-secret-key"}
    assert not any("the-secret-key" in str(seen) for seen in guarded.seen)
    shown = [
        line for line in crawled.lines("the-secret-key") if "CAPTCHA_BYPASS_API_KEY" not in line
    ]
    assert shown == []  # Scrapy itself lists overridden settings at start


async def test_clearance_that_is_never_attached_ends_in_an_error(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    """As with a DOWNLOADER that does not send the signals."""
    crawled = await fake_crawl(
        [f"{guarded.url}/page/1"], DOWNLOADER="tests.captcha_bypass_scrapy.spiders.QuietDownloader"
    )

    not_solved(crawled, 1)
    assert "never attached" in crawled.errors[0]["reason"]


async def test_page_that_cannot_be_solved_does_not_hold_up_its_host(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    """Its solve ends only when all other pages are there."""
    guarded.closed = "/page/20"
    served: list[int] = []

    async def answer(task: Json) -> Json:
        if not task["url"].endswith("/page/20"):
            return await fake.solved(task)
        await guarded.served(99)
        served.append(guarded.pages.total())
        return {"status": "error", "error": {"code": "not_a_page", "message": ""}, "data": None}

    fake.answer = answer

    crawled = await fake_crawl(
        urls(guarded, 100), CONCURRENT_REQUESTS=4, CAPTCHA_BYPASS_RETRY_TIMES=0
    )

    assert served == [99]
    assert len(crawled.items) == 99, crawled.own_stats()
    assert [error["url"] for error in crawled.errors] == [f"{guarded.url}/page/20"]
