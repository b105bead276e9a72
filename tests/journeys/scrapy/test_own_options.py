"""What the user's own detector and the request's own headers make of a solve."""

from __future__ import annotations

import pytest

from captcha_bypass_scrapy.confirmation import NEVER
from tests.captcha_bypass_scrapy.crawling import Crawler
from tests.captcha_bypass_scrapy.fake_service import FakeService, Json, page_of
from tests.captcha_bypass_scrapy.fake_site import FakeSite

SITE = "http://site.example"
CHALLENGE = "<p>prove you are human</p>"


async def test_solve_goes_on_until_the_own_detector_is_content(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    async def slow(task: Json) -> Json:
        """The page takes three seconds, and the service sees no challenge in it."""
        left = task.get("success_selector") == NEVER
        through = left and task["timeout"] >= 3
        cookies = [fake.cookie(task)] if through else []
        html = "<p>welcome</p>" if through else CHALLENGE
        data = page_of(task, html=html, cookies=cookies, timeout_reached=left)
        return {"status": "completed", "error": None, "data": data}

    fake.answer = slow
    pages = [f"{guarded.url}/homemade/{n}" for n in range(3)]

    crawled = await fake_crawl(pages, spider="Detecting")

    assert len(crawled.items) == 3
    assert [task.get("success_selector") for task in fake.tasks] == [None, NEVER, NEVER]
    assert [task["timeout"] for task in fake.tasks] == [60.0, 2.0, 4.0]


async def test_own_detector_that_is_never_content_ends_with_the_timeout(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    async def never(task: Json) -> Json:
        data = page_of(task, html=CHALLENGE, timeout_reached="success_selector" in task)
        return {"status": "completed", "error": None, "data": data}

    fake.answer = never
    page = f"{guarded.url}/homemade/1"

    crawled = await fake_crawl(
        [page], spider="Detecting", CAPTCHA_BYPASS_TIMEOUT=5, CAPTCHA_BYPASS_COOLDOWN=1
    )

    assert "CAPTCHA_BYPASS_SUCCESS_TEXT" in crawled.errors[0]["reason"]
    assert {task["timeout"] for task in fake.tasks} == {5.0, 2.0, 3.0}


async def test_success_text_is_believed_without_asking_the_detector(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    crawled = await fake_crawl(
        [f"{guarded.url}/homemade/1"], spider="Detecting", CAPTCHA_BYPASS_SUCCESS_TEXT="page"
    )

    assert len(crawled.items) == len(fake.tasks) == 1


@pytest.mark.parametrize("mode", ["auto", "html"])
async def test_file_behind_a_challenge_comes_by_cookies(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, mode: str
) -> None:
    async def download(task: Json) -> Json:
        """The browser passed the challenge, and the address is a download then."""
        error = {"code": "not_a_page", "message": "a download"}
        data = page_of(task, html="", cookies=[fake.cookie(task)])
        return {"status": "error", "error": error, "data": data}

    fake.answer = download

    crawled = await fake_crawl(
        [f"{guarded.url}/page/{n}" for n in range(3)], CAPTCHA_BYPASS_MODE=mode
    )

    assert len(crawled.items) == 3
    assert all("by_cookies" not in str(item["meta"]) for item in crawled.items)
    assert crawled.own_stats()["solve/count"] == 1

    guarded.wants_browser = True
    refused = await fake_crawl([f"{guarded.url}/page/1"], CAPTCHA_BYPASS_MODE=mode)

    if mode == "auto":  # the browser has it from the site as it is
        assert [item["flags"] for item in refused.rows] == [["captcha-bypass"]]
        return
    (error,) = refused.errors
    assert "file" in error["reason"]


async def test_browser_sends_the_requests_own_headers(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    headers = {"Accept-Language": "de", "X-Shop": "7", "Authorization": "Basic dTpw"}
    meta = {"captcha_bypass": "html"}

    await fake_crawl([{"url": f"{guarded.url}/page/1", "headers": headers, "meta": meta}])

    # The page itself is opened after the clearance: a challenge reloads without them.
    assert [task["headers"] for task in fake.tasks] == [headers, headers]


async def test_wrong_wish_does_not_wait_for_a_challenge(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    crawled = await fake_crawl(
        [{"url": f"{guarded.url}/open/1", "meta": {"captcha_bypass": {"block": "image"}}}]
    )

    (error,) = crawled.errors
    assert error["error"] == "ValueError"
    assert "block" in error["reason"]
    assert crawled.items == []
