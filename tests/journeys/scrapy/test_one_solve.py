"""One solve at a time, and requests that survive it as they were."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.captcha_bypass_scrapy.crawling import MIDDLEWARE, Crawled, Crawler
from tests.captcha_bypass_scrapy.fake_browser import BROWSER
from tests.captcha_bypass_scrapy.fake_service import FakeService, Json, page_of
from tests.captcha_bypass_scrapy.fake_site import FakeSite, serving
from tests.support.proxies import running_proxies
from tests.support.service import eventually


def urls(site: FakeSite, count: int, kind: str = "page") -> list[str]:
    return [f"{site.url}/{kind}/{n}" for n in range(count)]


def facts(item: dict[str, Any]) -> dict[str, Any]:
    """What the site says about the request that got the page."""
    found: dict[str, Any] = json.loads(item["body"].removeprefix("page "))
    return found


def all_pages(crawled: Crawled, count: int) -> None:
    assert crawled.errors == [], crawled.log[-2000:]
    assert len(crawled.items) == count
    assert len({item["url"] for item in crawled.items}) == count


async def test_late_challenges_of_an_older_clearance_only_retry(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    # Half of the challenges arrive after the solve, and were asked for before it.
    guarded.late = frozenset(f"/page/{n}" for n in range(0, 60, 2))

    crawled = await fake_crawl(urls(guarded, 60), CONCURRENT_REQUESTS_PER_DOMAIN=16)

    all_pages(crawled, 60)
    assert len(fake.tasks) == crawled.stats["captcha_bypass/solve/count"] == 1
    assert crawled.stats["captcha_bypass/retry/stale"] >= 1


async def test_hundred_concurrent_requests_still_need_one_solve(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    crawled = await fake_crawl(
        urls(guarded, 300), CONCURRENT_REQUESTS=100, CONCURRENT_REQUESTS_PER_DOMAIN=100
    )

    all_pages(crawled, 300)
    assert len(fake.tasks) == 1


async def test_expired_clearance_is_solved_anew_once(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    guarded.uses = 50

    crawled = await fake_crawl(urls(guarded, 200))

    all_pages(crawled, 200)
    assert crawled.stats["captcha_bypass/solve/count"] == len(fake.tasks) == 4
    assert crawled.stats["captcha_bypass/clearance/expired"] == 3
    assert all(count <= 3 for count in guarded.challenges.values())


async def test_rotated_clearance_is_followed(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    guarded.rotates = True

    crawled = await fake_crawl(urls(guarded, 30), CONCURRENT_REQUESTS=1)

    all_pages(crawled, 30)
    assert len(fake.tasks) == 1


@pytest.mark.parametrize("cookies_enabled", [True, False])
async def test_clearance_joins_the_cookies_of_every_jar(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, cookies_enabled: bool
) -> None:
    requests: list[Any] = [
        {
            "url": f"{guarded.url}/page/{n}",
            "meta": {"cookiejar": n % 2},
            **(
                {"cookies": {"who": f"u{n % 2}"}}
                if cookies_enabled
                else {"headers": {"Cookie": f"who=u{n % 2}"}}
            ),
        }
        for n in range(20)
    ]

    crawled = await fake_crawl(requests, COOKIES_ENABLED=cookies_enabled)

    all_pages(crawled, 20)
    assert len(fake.tasks) == 1
    for item in crawled.items:
        number = int(item["url"].rsplit("/", 1)[1])
        assert facts(item)["cookies"] == {"who": f"u{number % 2}", "cf_clearance": "token-0"}
        assert item["cookie"] == f"who=u{number % 2}"  # nothing of ours is left on the request
        assert item["user_agent"] == "the-spider/1.0"
        assert item["meta"] == []


async def test_dont_merge_cookies_requests_get_the_clearance_too(
    fake_crawl: Crawler, guarded: FakeSite
) -> None:
    url = f"{guarded.url}/page/1"

    crawled = await fake_crawl([{"url": url, "meta": {"dont_merge_cookies": True}}])

    all_pages(crawled, 1)


async def test_random_user_agents_do_not_break_the_clearance(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    crawled = await fake_crawl(
        urls(guarded, 30),
        DOWNLOADER_MIDDLEWARES={
            MIDDLEWARE: 585,
            "tests.captcha_bypass_scrapy.spiders.RandomUserAgent": 400,
        },
    )

    all_pages(crawled, 30)
    assert len(fake.tasks) == 1
    agents = {headers["User-Agent"] for _, headers, cookies in guarded.seen if cookies}
    assert agents == {BROWSER}  # with the clearance there is never another user-agent


async def test_user_agent_is_only_the_browsers_where_a_clearance_is_sent(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    async with serving(FakeSite().app(), "127.0.0.2") as other:
        await fake_crawl([f"{guarded.url}/page/1", f"{other}/open/1"])

    with_cookies = [(h["User-Agent"], "cf_clearance" in c) for _, h, c in guarded.seen]
    assert with_cookies == [("the-spider/1.0", False), (BROWSER, True)]


@pytest.mark.parametrize("order", [400, 610, 760])
async def test_proxies_never_share_a_clearance_wherever_the_proxy_is_chosen(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, order: int
) -> None:
    async with running_proxies(3) as proxies:
        addresses = {proxy.username: proxy.address for proxy in proxies}

        async def solved(task: Json) -> Json:
            token = guarded.grant(addresses[task["proxy"]["username"]])
            cookie = fake.cookie(task, value=token)
            return {"status": "completed", "error": None, "data": page_of(task, cookies=[cookie])}

        fake.answer = solved
        crawled = await fake_crawl(
            urls(guarded, 90),
            # Behind HttpProxyMiddleware (750) the login must be in the header already.
            TEST_PROXIES=[proxy.url for proxy in proxies],
            HTTPPROXY_ENABLED=True,
            DOWNLOADER_MIDDLEWARES={
                MIDDLEWARE: 585,
                "tests.captcha_bypass_scrapy.spiders.RotatingProxies": min(order, 740),
            },
        )

    all_pages(crawled, 90)
    assert len(fake.tasks) == 3
    assert sorted((task["proxy"] for task in fake.tasks), key=lambda p: p["username"]) == [
        {
            "server": f"http://127.0.0.1:{proxy.port}",
            "username": proxy.username,
            "password": "pass:word",
        }
        for proxy in proxies
    ]


async def test_share_proxy_off_keeps_the_proxy_from_the_solver(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    async with running_proxies(1) as (proxy,):
        request = {"url": f"{guarded.url}/page/1", "meta": {"proxy": proxy.url}}
        await fake_crawl([request], CAPTCHA_BYPASS_SHARE_PROXY=False, CAPTCHA_BYPASS_MODE="cookies")

    assert "proxy" not in fake.tasks[0]


async def test_requests_survive_with_body_callback_arguments_priority_and_class(
    fake_crawl: Crawler, guarded: FakeSite
) -> None:
    requests: list[Any] = [
        {"url": f"{guarded.url}/form", "cls": "form", "formdata": {"a": "1"}, "priority": 7},
        {"url": f"{guarded.url}/json", "cls": "json", "data": {"b": [2]}, "cb_kwargs": {"k": "v"}},
        {"url": f"{guarded.url}/put", "method": "PUT", "body": "raw", "flags": ["mine"]},
    ]

    crawled = await fake_crawl(requests)

    all_pages(crawled, 3)
    by_path = {facts(item)["path"]: item for item in crawled.items}
    assert facts(by_path["/form"])["body"] == "a=1"
    assert (by_path["/form"]["priority"], by_path["/form"]["request"]) == (7, "FormRequest")
    assert json.loads(facts(by_path["/json"])["body"]) == {"b": [2]}
    assert (by_path["/json"]["kwargs"], by_path["/json"]["request"]) == ({"k": "v"}, "JsonRequest")
    assert (facts(by_path["/put"])["body"], facts(by_path["/put"])["method"]) == ("raw", "PUT")


async def test_parked_post_is_sent_once_it_is_solved(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    requests: list[Any] = [
        {"url": f"{guarded.url}/form/{n}", "cls": "form", "formdata": {"n": str(n)}}
        for n in range(40)
    ]

    crawled = await fake_crawl(requests)

    all_pages(crawled, 40)
    assert len(fake.tasks) == 1
    assert {facts(item)["body"] for item in crawled.items} == {f"n={n}" for n in range(40)}


async def test_task_asks_for_what_settings_and_meta_say(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    options = {"success_selector": "#x", "timeout": 7, "block": ["image"]}
    url = f"{guarded.url}/page/1#part"

    await fake_crawl(
        [{"url": url, "meta": {"captcha_bypass": options}}],
        CAPTCHA_BYPASS_SUCCESS_TEXT="Welcome",
        CAPTCHA_BYPASS_TIMEOUT=9,
    )

    (task,) = fake.tasks
    assert task.pop("reuse") > 0
    assert fake.tasks == [
        {
            "url": f"{guarded.url}/page/1",
            "timeout": 7.0,
            "no_challenge": True,
            "success_text": "Welcome",
            "success_selector": "#x",
            "block": ["image"],
        }
    ]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("sometimes", "must be one of auto, cookies, fetch, html"),
        ({"tiemout": 1}, "unknown keys: tiemout"),
    ],
)
async def test_meta_with_a_typo_fails_before_anything_is_sent(
    fake_crawl: Crawler, guarded: FakeSite, wrong: object, told: str
) -> None:
    crawled = await fake_crawl(
        [{"url": f"{guarded.url}/page/1", "meta": {"captcha_bypass": wrong}}]
    )

    (error,) = crawled.errors
    assert told in error["reason"]
    assert guarded.seen == []


async def test_meta_false_leaves_the_request_alone(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    meta = {"captcha_bypass": False, "handle_httpstatus_list": [403]}

    crawled = await fake_crawl(
        [f"{guarded.url}/page/1", {"url": f"{guarded.url}/page/2", "meta": meta, "priority": -1}]
    )

    by_path = {item["url"].rsplit("/", 1)[1]: item["status"] for item in crawled.items}
    assert by_path == {"1": 200, "2": 403}
    assert not any("cf_clearance" in c for path, _, c in guarded.seen if path == "/page/2")


@pytest.mark.parametrize("way", ["method", "path"])
async def test_own_detector_is_asked(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, way: str
) -> None:
    settings = {"CAPTCHA_BYPASS_DETECTOR": "tests.captcha_bypass_scrapy.spiders.homemade_detector"}

    crawled = await fake_crawl(
        [f"{guarded.url}/homemade/1"],
        spider="Detecting" if way == "method" else "Crawl",
        **(settings if way == "path" else {}),
    )

    all_pages(crawled, 1)
    assert crawled.stats["captcha_bypass/challenge/vendor/homemade"] == 1


async def test_own_detector_can_acquit(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    guarded.challenge = (200, {"cf-mitigated": "challenge"}, "not really a challenge")

    crawled = await fake_crawl([f"{guarded.url}/page/1"], spider="Detecting")

    assert [item["body"] for item in crawled.items] == ["not really a challenge"]
    assert fake.tasks == []


async def test_challenge_answered_with_200_never_reaches_a_callback(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    body = '<script id="anubis_challenge" type="application/json">{}</script>'
    guarded.challenge = (200, {"Content-Type": "text/html"}, body)

    crawled = await fake_crawl(urls(guarded, 20))

    all_pages(crawled, 20)
    assert all("anubis" not in item["body"] for item in crawled.items)


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (503, {}, "<title>Just a moment...</title>"),
        (
            200,
            {"Content-Encoding": "gzip", "Content-Type": "text/html"},
            '<script id="anubis_challenge" type="application/json">{}</script>',
        ),
        (
            200,
            {"Content-Type": "text/html", "cf-mitigated": "challenge"},
            '<meta http-equiv="refresh" content="0;url=/elsewhere">',
        ),
    ],
    ids=["status that RetryMiddleware retries", "compressed", "with a meta refresh"],
)
async def test_order_585_sees_challenges_whole_and_first(
    fake_crawl: Crawler,
    guarded: FakeSite,
    status: int,
    headers: dict[str, str],
    body: str,
) -> None:
    if headers.get("Content-Encoding") == "gzip":
        guarded.gzip = True
        headers = {name: value for name, value in headers.items() if name != "Content-Encoding"}
    guarded.challenge = (status, {"Content-Type": "text/html", **headers}, body)

    crawled = await fake_crawl(urls(guarded, 5))

    all_pages(crawled, 5)
    assert "retry/count" not in crawled.stats
    assert guarded.challenges.total() <= 5


async def test_redirect_to_a_challenge_is_retried_from_the_page_that_was_asked_for(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    url = f"{guarded.url}/to-check/1"

    crawled = await fake_crawl([{"url": url, "cls": "form", "formdata": {"a": "1"}}])

    all_pages(crawled, 1)
    page = facts(crawled.items[0])
    # The redirect had made it a GET without a body.
    assert (page["path"], page["method"], page["body"]) == ("/to-check/1", "POST", "a=1")
    assert [task["url"] for task in fake.tasks] == [url]
    assert crawled.items[0]["url"] == url


async def test_redirect_to_a_guarded_page_keeps_redirecting(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    crawled = await fake_crawl([f"{guarded.url}/to/1", f"{guarded.url}/to/2"])

    assert sorted(item["url"] for item in crawled.items) == [
        f"{guarded.url}/page/1",
        f"{guarded.url}/page/2",
    ]
    assert len(fake.tasks) == 1


async def test_challenged_robots_txt_is_solved_and_then_obeyed(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    allowed = urls(guarded, 20)

    # In the middle of those that wait for it: Scrapy itself checks only the first of them.
    requests = [*allowed[:5], f"{guarded.url}/secret", *allowed[5:]]

    crawled = await fake_crawl(requests, ROBOTSTXT_OBEY=True)

    assert len(crawled.items) == 20
    assert [error["error"] for error in crawled.errors] == ["IgnoreRequest"]
    assert [task["url"] for task in fake.tasks] == [f"{guarded.url}/robots.txt"]
    assert guarded.pages["/secret"] == 0


async def test_inline_downloads_wait_in_place(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    fake.seconds = 1
    start = {"url": f"{guarded.url}/open/1", "cb_kwargs": {"pages": urls(guarded, 3)}}

    crawled = await fake_crawl(
        [start, *urls(guarded, 5, "other")], spider="Inline", CONCURRENT_REQUESTS=4
    )

    inline = [item for item in crawled.items if "/page/" in item["url"]]
    assert [item["status"] for item in inline] == [200, 200, 200]
    assert len(fake.tasks) == 1
    # A busy loop would ask the scheduler thousands of times.
    assert crawled.stats.get("captcha_bypass/held/count", 0) < 20


async def test_clearances_of_two_hosts_are_apart(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    other = FakeSite()
    async with serving(other.app(), "127.0.0.2") as other.url:

        async def solved(task: Json) -> Json:
            site = other if task["url"].startswith(other.url) else guarded
            cookie = fake.cookie(task, value=site.grant())
            return {"status": "completed", "error": None, "data": page_of(task, cookies=[cookie])}

        fake.answer = solved
        crawled = await fake_crawl([*urls(guarded, 20), *urls(other, 20)])

    all_pages(crawled, 40)
    assert len(fake.tasks) == 2


async def test_second_host_keeps_at_least_half_its_speed_during_a_solve(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    """Seconds in which it serves so many pages, alone and beside a solve.

    It is slow by itself, so that its speed is not the machine's; and what else the machine does may
    fall on one of both, so that they are compared again where the second has taken too long.
    """
    second = FakeSite(slow=0.25)
    pages = 40
    fake.go.clear()  # solves last for as long as the crawl
    async with serving(second.app(), "127.0.0.2") as second.url:
        denied = urls(second, 400, "denied")  # anything but a challenge will do
        mixed = [url for pair in zip(urls(guarded, 400), denied, strict=True) for url in pair]

        async def seconds(start: list[str]) -> float:
            before = len(second.seen)
            running = await fake_crawl.start(start, HTTPERROR_ALLOW_ALL=True)
            assert await eventually(lambda: len(second.seen) > before, 60)
            began = time.monotonic()
            assert await eventually(lambda: len(second.seen) > before + pages, 60)
            took = time.monotonic() - began
            running.interrupt()
            await running.finished()
            return took

        compared: list[tuple[float, float]] = []
        while len(compared) < 3:
            compared.append((await seconds(denied), await seconds(mixed)))
            assert len(fake.tasks) == len(compared)
            if compared[-1][1] <= 2 * compared[-1][0]:
                break

    alone, beside = compared[-1]
    assert beside <= 2 * alone, compared


@pytest.mark.parametrize("refused", ["mode cookies", "POST"])
async def test_refused_cookies_fail_where_the_browsers_page_cannot_stand_in(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite, refused: str
) -> None:
    guarded.wants_browser = True
    method = "POST" if refused == "POST" else "GET"
    requests = [{"url": url, "method": method} for url in urls(guarded, 5)]

    crawled = await fake_crawl(
        requests, CAPTCHA_BYPASS_MODE="html" if refused == "POST" else "cookies"
    )

    assert [error["error"] for error in crawled.errors] == ["ChallengeNotSolved"] * 5
    assert "refuses the browser's cookies" in crawled.errors[0]["reason"]
    assert len(fake.tasks) == 1
    assert crawled.own_stats()["gave_up/reason/refused"] == 5


async def test_vendors_own_cookies_are_used_and_no_others(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    async def solved(task: Json) -> Json:
        cookies = [fake.cookie(task), fake.cookie(task, "session")]
        return {"status": "completed", "error": None, "data": page_of(task, cookies=cookies)}

    fake.answer = solved

    for setting, names in (
        ("auto", {"cf_clearance"}),
        ("all", {"cf_clearance", "session"}),
        (["cf_*"], {"cf_clearance"}),
    ):
        crawled = await fake_crawl([f"{guarded.url}/page/1"], CAPTCHA_BYPASS_COOKIES=setting)
        assert set(facts(crawled.items[0])["cookies"]) == names
