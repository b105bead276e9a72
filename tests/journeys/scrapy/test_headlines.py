"""The promises on the label, through the real service and a real Firefox."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from aiohttp.typedefs import Handler

from demo.challenge_site import STATS, SiteOptions, create_site
from tests.captcha_bypass_scrapy.crawling import Crawler
from tests.support.proxies import running_proxies
from tests.support.service import eventually

pytestmark = pytest.mark.browser
WELCOME = "Welcome, you are through"


def pages(site: BaseTestServer, kind: str, count: int, query: str = "") -> list[str]:
    return [f"{site.make_url(f'/{kind}/{n}')}{query}" for n in range(count)]


async def test_two_hundred_challenged_pages_need_one_solve(
    crawl: Crawler, site: TestServer
) -> None:
    crawled = await crawl(pages(site, "page", 200))

    assert {item["url"] for item in crawled.items} == set(pages(site, "page", 200))
    assert all(WELCOME in item["body"] for item in crawled.items)
    assert crawled.errors == []
    challenged = crawled.stats["downloader/response_status_count/403"]
    assert challenged <= 16
    stats = crawled.own_stats()
    # Others wait in the scheduler, and are not even taken out of it before the solve is over.
    held = stats.pop("held/count", 0)
    assert stats.pop("parked/count") == challenged + held <= 200
    assert stats == {
        "challenge/count": challenged,
        "challenge/vendor/cloudflare": challenged,
        "challenge/kind/automatic": challenged,
        "solve/count": 1,
        "solve/success": 1,
        "retry/count": challenged,
        # 0 at the number of challenges that came while one was being solved
        **({"solve/joined": challenged - 1} if challenged > 1 else {}),
    }
    assert crawled.stats["response_received_count"] == 200
    assert crawled.stats["downloader/request_count"] == 200 + challenged
    assert site.app[STATS].passes.total() == 1


async def test_log_tells_the_story_at_info(crawl: Crawler, site: TestServer) -> None:
    url = str(site.make_url("/page/1"))

    crawled = await crawl([url], LOG_LEVEL="INFO")

    story = [line.split("INFO: ")[1] for line in crawled.lines("[captcha_bypass_scrapy] INFO")]
    # Told beside the crawl, whenever the service has answered.
    (usable,) = (line for line in story if "captcha-bypass service" in line)
    assert usable.endswith("can be used")
    story.remove(usable)
    origin = str(site.make_url("")).rstrip("/")
    assert story[0] == f"Challenged by cloudflare (automatic): <GET {url}>"
    assert story[1] == f"Solving {origin}: a browser opens {url}"
    assert story[-2].startswith(f"Solved {origin} in ")
    assert story[-2].endswith(" s (cookies: clearance)")
    assert story[-1] == f"Retrying 1 request of {origin} with the clearance"


async def test_fifty_open_pages_need_no_solve(crawl: Crawler, site: TestServer) -> None:
    crawled = await crawl(pages(site, "open", 50))

    assert len(crawled.items) == 50
    assert crawled.own_stats() == {}


async def test_access_denied_is_not_sent_to_the_solver(crawl: Crawler, site: TestServer) -> None:
    urls = pages(site, "denied", 3)

    crawled = await crawl({"url": url, "meta": {"handle_httpstatus_list": [403]}} for url in urls)

    assert [item["status"] for item in crawled.items] == [403] * 3
    assert set(crawled.own_stats()) <= {"block/count"}


async def test_clearance_good_for_fifty_pages_is_solved_four_times_for_two_hundred(
    crawl: Crawler, site: TestServer
) -> None:
    # The site counts the browser's own visit too, so 51 leave 50 to the crawl.
    crawled = await crawl(pages(site, "uses", 200, "?uses=51"))

    assert len(crawled.items) == 200
    assert crawled.errors == []
    assert crawled.stats["captcha_bypass/solve/count"] == 4
    assert crawled.stats["captcha_bypass/solve/success"] == 4


async def test_site_that_never_passes_ends_in_challenge_not_solved(
    crawl: Crawler, site: TestServer
) -> None:
    urls = pages(site, "never", 3)

    crawled = await crawl(
        # Two questions longer than the 5 s after which it is said that it takes long.
        urls,
        CAPTCHA_BYPASS_TIMEOUT=7,
        CAPTCHA_BYPASS_RETRY_TIMES=0,
        CAPTCHA_BYPASS_COOLDOWN=1,
    )

    assert crawled.items == []
    assert [error["error"] for error in crawled.errors] == ["ChallengeNotSolved"] * 3
    assert {error["vendor"] for error in crawled.errors} == {"cloudflare"}
    assert "did not get through in 7 s" in crawled.errors[0]["reason"]
    assert crawled.stats["captcha_bypass/gave_up/count"] == 3
    assert crawled.stats["captcha_bypass/solve/failed"] >= 1
    # One line for each solve that takes long, and no more.
    slow = crawled.lines("INFO: Still solving", "waiting for the browser to get through")
    assert len(slow) == crawled.stats["captcha_bypass/solve/count"]


async def test_three_rotating_proxies_need_three_solves(crawl: Crawler, site: TestServer) -> None:
    async with running_proxies(3) as proxies:
        crawled = await crawl(
            pages(site, "page", 60),
            TEST_PROXIES=[proxy.url for proxy in proxies],
            DOWNLOADER_MIDDLEWARES={
                "captcha_bypass_scrapy.CaptchaBypassMiddleware": 585,
                "tests.captcha_bypass_scrapy.spiders.RotatingProxies": 610,
            },
        )

    assert len(crawled.items) == 60
    assert crawled.errors == []
    assert crawled.stats["captcha_bypass/solve/count"] == 3
    assert site.app[STATS].passes.total() == 3
    assert site.app[STATS].rejected.total() == 0  # no clearance ever left by a wrong proxy
    assert all(proxy.served > 0 for proxy in proxies)
    assert not any("pass:word" in line or "pass%3Aword" in line for line in crawled.lines("bypass"))


async def test_second_host_keeps_crawling_while_the_first_is_solved(crawl: Crawler) -> None:
    """The browser gets through the first only when the second has given enough pages.

    Counted in the order of the items: how many of the second came before the first's first.
    """
    opened: list[str] = []

    @web.middleware
    async def note_page(request: web.Request, handler: Handler) -> web.StreamResponse:
        opened.append(request.path)
        return await handler(request)

    @web.middleware
    async def hold_back(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/clearance":
            assert await eventually(lambda: len(opened) >= 120, 45)
        return await handler(request)

    closed, beside = create_site(SiteOptions(work=0.05)), create_site()
    closed.middlewares.append(hold_back)
    beside.middlewares.append(note_page)
    async with TestServer(closed) as first, TestServer(beside, host="127.0.0.2") as second:
        guarded = pages(first, "page", 200)
        slow = pages(second, "open", 150)
        mixed = [url for pair in zip(guarded, slow, strict=False) for url in pair]

        crawled = await crawl(
            mixed, DOWNLOAD_SLOTS={"127.0.0.2": {"concurrency": 8, "delay": 0.01}}
        )

    assert len(crawled.items) == 300
    order = ["first" if item["url"] in guarded else "second" for item in crawled.items]
    assert order.index("first") >= 100, order
    assert crawled.stats["captcha_bypass/solve/count"] == 1


@pytest.mark.parametrize("reactor", ["asyncio", "none"])
async def test_crawl_works_with_and_without_the_twisted_reactor(
    crawl: Crawler, site: TestServer, reactor: str
) -> None:
    settings: dict[str, Any] = {"TWISTED_REACTOR_ENABLED": False} if reactor == "none" else {}

    crawled = await crawl(pages(site, "page", 20), **settings)

    assert len(crawled.items) == 20
    assert crawled.stats["captcha_bypass/solve/count"] == 1


async def test_posts_are_solved_by_a_get_and_then_sent_as_they_were(
    crawl: Crawler, site: TestServer
) -> None:
    url = str(site.make_url("/post/1"))

    crawled = await crawl([{"url": url, "cls": "form", "formdata": {"a": "1", "b": "two"}}])

    (item,) = crawled.items
    assert (item["method"], item["request"]) == ("POST", "FormRequest")
    assert '[["a", "1"], ["b", "two"]]' in item["body"]
    assert site.app[STATS].challenges["/post/1"] == 2  # the crawl's POST and the browser's GET


async def test_html_mode_gives_the_browsers_page(crawl: Crawler, site: TestServer) -> None:
    requests = [{"url": url, "meta": {"captcha_bypass": "html"}} for url in pages(site, "page", 3)]

    crawled = await crawl(requests)

    assert [item["flags"] for item in crawled.items] == [["captcha-bypass"]] * 3
    assert all(WELCOME in item["body"] for item in crawled.items)
    assert crawled.stats["captcha_bypass/html/count"] == 3
    for item in crawled.items:
        assert (item["told"]["by"], item["told"]["mode"]) == ("page", "html")
        assert item["told"]["seconds"] > 0
    # The first solves, the others' browsers come with its cookies.
    assert site.app[STATS].passes.total() == 1


async def test_html_mode_hands_over_json_as_json(crawl: Crawler, site: TestServer) -> None:
    url = str(site.make_url("/json/1"))

    crawled = await crawl([{"url": url, "meta": {"captcha_bypass": "html"}}])

    assert [item["body"] for item in crawled.rows] == [
        '{"page": 1, "message": "Welcome, you are through"}'
    ]


async def test_proxy_that_browsers_cannot_use_is_told_in_the_services_words(
    crawl: Crawler, site: TestServer
) -> None:
    crawled = await crawl(
        [str(site.make_url("/page/1"))],
        DOWNLOADER_MIDDLEWARES={
            "captcha_bypass_scrapy.CaptchaBypassMiddleware": 585,
            "tests.captcha_bypass_scrapy.spiders.SocksInName": 586,
        },
    )

    (error,) = crawled.errors
    assert error["vendor"] == "cloudflare"
    assert "the scheme must be one of http, https, socks5" in error["reason"]
    assert crawled.stats["captcha_bypass/gave_up/reason/rejected"] == 1
