"""Sites that take their pages' requests from the browser alone: modes fetch and auto."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from captcha_bypass_scrapy.site_state import OPENING_SECONDS
from tests.captcha_bypass_scrapy.bound_site import BLOB, PAGE, BoundSite
from tests.captcha_bypass_scrapy.crawling import Crawled, Crawler
from tests.captcha_bypass_scrapy.fake_service import FakeService
from tests.captcha_bypass_scrapy.fake_site import FakeSite, serving
from tests.support.proxies import running_proxies

FLAGS = ["captcha-bypass"]
ADDON = {"captcha_bypass_scrapy.Addon": 500}
BAN_PLUGIN = {"tests.captcha_bypass_scrapy.spiders.BanDetection": 620}
FETCH: dict[str, Any] = {"CAPTCHA_BYPASS_MODE": "fetch"}


@pytest.fixture
def bound(guarded: FakeSite) -> FakeSite:
    """A site that refuses its cookies from Scrapy, whatever they are worth."""
    guarded.wants_browser = True
    return guarded


@pytest.fixture
async def site(bound: FakeSite) -> AsyncIterator[BoundSite]:
    """Such a site with answers of many kinds."""
    site = BoundSite(bound)
    async with serving(site.app(), "127.0.0.1") as site.url:
        yield site


def pages(site: FakeSite, count: int, kind: str = "page") -> list[str]:
    return [f"{site.url}/{kind}/{n}" for n in range(count)]


def told(crawled: Crawled) -> dict[str, Any]:
    """What the site saw of the crawl's only request."""
    (item,) = crawled.rows
    found: dict[str, Any] = json.loads(item["body"])
    return found


@pytest.mark.parametrize("mode", ["fetch", "auto"])
async def test_two_hundred_pages_of_a_site_that_refuses_cookies(
    fake_crawl: Crawler, fake: FakeService, bound: FakeSite, mode: str
) -> None:
    crawled = await fake_crawl(pages(bound, 200), CAPTCHA_BYPASS_MODE=mode)

    assert sorted(item["url"] for item in crawled.items) == sorted(pages(bound, 200))
    assert crawled.errors == []
    assert all(item["flags"] == FLAGS for item in crawled.items)
    assert all(item["meta"] == [] for item in crawled.items)
    assert {(item["told"]["by"], item["told"]["vendor"]) for item in crawled.items} == {
        ("fetch", "cloudflare")
    }
    assert all(0 < item["told"]["seconds"] < 60 for item in crawled.items)
    stats = crawled.own_stats()
    assert (stats["fetch/sites"], stats["fetch/count"]) == (1, 200)
    # Those that were in the download slot meanwhile have waited for the same solve.
    assert 1 <= stats["fetch/solved"] <= 17
    assert len(fake.browser.solves) == 1
    # Those that were on their way when the first was challenged; and one that tried the cookies.
    assert stats["challenge/count"] <= 17
    assert stats.get("clearance/refused", 0) == (mode == "auto")
    assert crawled.stats["response_received_count"] == 200


async def test_site_that_takes_the_cookies_is_crawled_by_cookies(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    crawled = await fake_crawl(pages(guarded, 50))

    assert len(crawled.items) == 50
    assert {str(item["flags"]) for item in crawled.items} == {"[]"}
    (told_once,) = {json.dumps(item["told"]) for item in crawled.items}  # all by the same solve
    assert json.loads(told_once).items() >= {"vendor": "cloudflare", "by": "cookies"}.items()
    assert fake.seconds <= json.loads(told_once)["seconds"] < 60
    assert fake.browser.asked == []
    assert len(fake.tasks) == 1


async def test_open_site_is_not_crawled_through_the_browser(
    fake_crawl: Crawler, fake: FakeService, bound: FakeSite
) -> None:
    crawled = await fake_crawl(pages(bound, 20, "open"), **FETCH)

    assert len(crawled.items) == 20
    assert all(item["told"] is None for item in crawled.items)
    assert fake.browser.asked == []


async def test_page_that_alone_refuses_the_cookies_is_alone_fetched(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    guarded.closed = "/page/7"
    fake.browser.stuck = True

    crawled = await fake_crawl(pages(guarded, 20), CAPTCHA_BYPASS_RETRY_TIMES=0)

    assert len(crawled.items) == 19
    assert [error["url"] for error in crawled.errors] == [f"{guarded.url}/page/7"]
    assert {asked["url"] for asked in fake.browser.asked} == {f"{guarded.url}/page/7"}


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ({"method": "POST", "body": "plain"}, b"plain"),
        ({"cls": "form", "formdata": {"a": "1 2"}}, b"a=1+2"),
        ({"cls": "json", "data": {"a": 1}, "method": "PUT"}, b'{"a": 1}'),
        ({"method": "DELETE"}, b""),
        ({"method": "PATCH", "body": "é"}, "é".encode()),
    ],
)
async def test_any_method_and_body_is_sent_as_it_is(
    fake_crawl: Crawler, site: BoundSite, fields: dict[str, Any], content: bytes
) -> None:
    crawled = await fake_crawl([{"url": f"{site.url}/echo", **fields}], **FETCH)

    assert told(crawled)["digest"] == hashlib.sha256(content).hexdigest()
    assert told(crawled)["method"] == crawled.items[0]["method"]
    assert crawled.items[0]["response"] == "JsonResponse"
    assert site.paths() == ["/echo"]


async def test_requests_headers_go_along_and_the_browsers_own_stay(
    fake_crawl: Crawler, site: BoundSite
) -> None:
    headers = {"X-Own": "yes", "Referer": f"{site.url}/before", "Accept": "text/html"}
    crawled = await fake_crawl([{"url": f"{site.url}/echo", "headers": headers}], **FETCH)

    sent = told(crawled)["headers"]
    assert (sent["x-own"], sent["accept"]) == ("yes", "text/html")
    assert sent["referer"] == f"{site.url}/before"
    assert sent["user-agent"] == "FakeFirefox/1.0"
    assert "the-spider" not in str(sent)


@pytest.mark.parametrize(
    ("path", "cls"),
    [
        ("/page/1", "HtmlResponse"),
        ("/gzip", "HtmlResponse"),
        ("/data.json", "JsonResponse"),
        ("/feed", "XmlResponse"),
        ("/blob.bin", "Response"),
        ("/pixel.png", "Response"),
        ("/sitemap.xml.gz", "Response"),
    ],
)
async def test_response_is_what_scrapy_would_make_of_it(
    fake_crawl: Crawler, site: BoundSite, path: str, cls: str
) -> None:
    crawled = await fake_crawl([f"{site.url}{path}"], **FETCH)

    (item,) = crawled.rows
    assert (item["response"], item["status"], item["flags"]) == (cls, 200, FLAGS)
    if path == "/gzip":
        assert item["body"] == PAGE + "é"


async def test_statuses_are_the_sites_and_errors_are_scrapys(
    fake_crawl: Crawler, site: BoundSite
) -> None:
    meta = {"handle_httpstatus_list": [404, 410]}
    urls = [f"{site.url}/status/{status}" for status in (404, 410, 451)]
    crawled = await fake_crawl([{"url": url, "meta": meta} for url in urls], **FETCH)

    assert sorted(item["status"] for item in crawled.items) == [404, 410]
    assert [error["error"] for error in crawled.errors] == ["HttpError"]


async def test_redirects_are_followed_by_scrapy(
    fake_crawl: Crawler, site: BoundSite, bound: FakeSite
) -> None:
    urls = [f"{site.url}/redirect", f"{site.url}/redirect?to={bound.url}/open/1"]
    crawled = await fake_crawl(urls, **FETCH)

    assert {(item["url"], len(item["flags"])) for item in crawled.items} == {
        (f"{site.url}/page/there", 1),
        (f"{bound.url}/open/1", 0),
    }
    assert all(item["meta"] == [] for item in crawled.items)
    assert crawled.stats["downloader/response_status_count/302"] == 2


async def test_cookies_of_spider_and_site_are_in_the_browser_as_in_scrapys_jar(
    fake_crawl: Crawler, site: BoundSite
) -> None:
    then = [{"url": f"{site.url}/echo", "cookies": {"lang": "de"}}]
    first = {"url": f"{site.url}/login", "cookies": {"mine": "1"}, "meta": {"then": then}}

    crawled = await fake_crawl([first], spider="Following", **FETCH)

    login, echo = crawled.items
    assert len(login["set_cookie"]) == 2
    assert json.loads(echo["body"])["cookies"] == {"sid": "of-me", "lang": "de", "mine": "1"}


async def test_cookie_jars_are_sessions_of_their_own(
    fake_crawl: Crawler, fake: FakeService, site: BoundSite
) -> None:
    requests = [
        {
            "url": f"{site.url}/login?who={who}",
            "meta": {"cookiejar": who, "then": [{"url": f"{site.url}/echo/{who}"}]},
        }
        for who in ("ada", "bob")
    ]
    crawled = await fake_crawl(requests, spider="Following", **FETCH)

    seen = {r["path"]: r["cookies"]["sid"] for r in site.seen if r["path"].startswith("/echo/")}
    assert seen == {"/echo/ada": "of-ada", "/echo/bob": "of-bob"}
    assert fake.browser.sessions == 2
    assert crawled.errors == []


async def test_cookie_that_the_site_renews_is_never_set_back(
    fake_crawl: Crawler, fake: FakeService, bound: FakeSite
) -> None:
    """Requests that are on their way carry the value of before."""
    bound.rotates = True
    bound.cookie = "not_a_vendors"
    fake.browser._cookie = bound.cookie

    crawled = await fake_crawl(pages(bound, 30), CONCURRENT_REQUESTS=1, **FETCH)

    assert len(crawled.items) == 30
    assert len(fake.browser.solves) == 1
    assert not any("cookies" in asked for asked in fake.browser.asked)
    first, *later = fake.browser.asked
    assert "first_cookies" not in first
    assert all(bound.cookie in str(asked["first_cookies"]) for asked in later)


async def test_files_pipeline_gets_its_files(
    fake_crawl: Crawler, site: BoundSite, tmp_path: Path
) -> None:
    files = [f"{site.url}/blob.bin", f"{site.url}/pixel.png"]
    crawled = await fake_crawl(
        [{"url": f"{site.url}/page/1", "files": files}],
        spider="WithFiles",
        ITEM_PIPELINES={"scrapy.pipelines.files.FilesPipeline": 1},
        FILES_STORE=str(tmp_path / "files"),
        **FETCH,
    )

    (item,) = crawled.rows
    assert [file["url"] for file in item["files"]] == files
    stored = {path.read_bytes() for path in (tmp_path / "files").rglob("*.bin")}
    assert stored == {BLOB}


async def test_sitemap_in_a_gz_file_is_read(fake_crawl: Crawler, site: BoundSite) -> None:
    crawled = await fake_crawl([f"{site.url}/sitemap.xml.gz"], spider="Mapped", **FETCH)

    assert sorted(row["url"] for row in crawled.rows) == [f"{site.url}/page/{n}" for n in range(3)]


async def test_cache_keeps_the_browsers_answers(
    fake_crawl: Crawler, fake: FakeService, site: BoundSite, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "HTTPCACHE_ENABLED": True,
        "HTTPCACHE_DIR": str(tmp_path / "cache"),
        "HTTPCACHE_POLICY": "captcha_bypass_scrapy.CachePolicy",
        **FETCH,
    }
    urls = [f"{site.url}/gzip", f"{site.url}/blob.bin", f"{site.url}/page/1"]

    first = await fake_crawl(urls, **settings)
    asked = len(fake.browser.asked)
    second = await fake_crawl(urls, **settings)

    assert len(first.items) == len(second.items) == 3
    assert len(fake.browser.asked) == asked == 3
    assert second.stats["httpcache/hit"] == 3
    assert {item["body"] for item in first.items} == {item["body"] for item in second.items}


async def test_pages_that_are_cached_keep_no_others_waiting(
    fake_crawl: Crawler, fake: FakeService, bound: FakeSite, tmp_path: Path
) -> None:
    """One of them may be the request that others wait for."""
    cache: dict[str, Any] = {"HTTPCACHE_ENABLED": True, "HTTPCACHE_DIR": str(tmp_path / "cache")}
    cache["HTTPCACHE_POLICY"] = "captcha_bypass_scrapy.CachePolicy"
    await fake_crawl(pages(bound, 20), **cache, **FETCH)
    asked = len(fake.browser.asked)

    crawled = await fake_crawl(pages(bound, 40), CONCURRENT_REQUESTS=30, **cache, **FETCH)

    assert len(crawled.items) == 40
    assert len(fake.browser.asked) == asked + 20
    assert crawled.stats["elapsed_time_seconds"] < OPENING_SECONDS  # what others would wait


async def test_failures_of_the_site_are_retried_by_scrapy(
    fake_crawl: Crawler, site: BoundSite
) -> None:
    site.failures = 2
    crawled = await fake_crawl([f"{site.url}/flaky"], **FETCH)

    assert [item["body"] for item in crawled.rows] == ["well"]
    assert crawled.stats["retry/count"] == 2
    assert crawled.stats["retry/reason_count/503 Service Unavailable"] == 2


async def test_slow_answer_is_a_timeout_that_scrapy_retries(
    fake_crawl: Crawler, site: BoundSite
) -> None:
    requests: list[str | dict[str, Any]] = [
        f"{site.url}/page/1",
        {"url": f"{site.url}/slow?seconds=30", "meta": {"download_timeout": 0.5}},
    ]
    crawled = await fake_crawl(
        requests, CONCURRENT_REQUESTS=1, RETRY_TIMES=1, CAPTCHA_BYPASS_TIMEOUT=2, **FETCH
    )

    assert [item["url"] for item in crawled.items] == [f"{site.url}/page/1"]
    assert [error["error"] for error in crawled.errors] == ["DownloadTimeoutError"]
    assert crawled.stats["retry/count"] == 1


async def test_answer_over_the_download_bound_is_cancelled(
    fake_crawl: Crawler, site: BoundSite
) -> None:
    crawled = await fake_crawl(
        [f"{site.url}/large", f"{site.url}/page/1"], DOWNLOAD_MAXSIZE=100_000, **FETCH
    )

    assert [item["url"] for item in crawled.items] == [f"{site.url}/page/1"]
    assert [error["error"] for error in crawled.errors] == ["DownloadCancelledError"]
    assert "retry/count" not in crawled.stats


async def test_challenge_that_is_not_passed_ends_as_such_and_gives_the_site_rests(
    fake_crawl: Crawler, fake: FakeService, bound: FakeSite
) -> None:
    fake.browser.stuck = True

    crawled = await fake_crawl(pages(bound, 6), CAPTCHA_BYPASS_COOLDOWN=0.2, **FETCH)

    assert [error["error"] for error in crawled.errors] == ["ChallengeNotSolved"] * 6
    assert {error["vendor"] for error in crawled.errors} == {"cloudflare"}
    for error in crawled.errors:
        assert (error["unmet"], error["hints"]) == (["no_challenge"], ["captcha_widget"])
    stats = crawled.own_stats()
    assert stats["gave_up/count"] == 6
    assert stats["gave_up/reason/cooldown"] >= 1
    assert len(fake.browser.asked) < 18


@pytest.mark.parametrize("trouble", ["busy", "away"])
async def test_service_in_trouble_is_waited_for(
    fake_crawl: Crawler, fake: FakeService, bound: FakeSite, trouble: str
) -> None:
    error = {"error": {"code": "too_many_waiting", "message": "1000 requests wait."}}
    busy: tuple[int, dict[str, str], object] = (503, {"Retry-After": "1"}, error)
    broken: tuple[int, dict[str, str], object] = (500, {}, "not the service's own")
    fake.fetch_refusals = [busy if trouble == "busy" else broken] * 2

    crawled = await fake_crawl(
        pages(bound, 30), ADDONS=ADDON, DOWNLOADER_MIDDLEWARES=BAN_PLUGIN, **FETCH
    )

    assert len(crawled.items) == 30
    assert crawled.errors == []
    assert "bans" not in crawled.stats
    assert crawled.own_stats().get("solver/unavailable", 0) == (trouble == "away")


async def test_request_that_the_service_refuses_fails_alone(
    fake_crawl: Crawler, fake: FakeService, bound: FakeSite
) -> None:
    error = {
        "error": {"code": "invalid_request", "message": "body: browsers send no body with GET"}
    }
    fake.fetch_refusals = [(400, {}, error)]

    crawled = await fake_crawl(pages(bound, 5), **FETCH)

    assert len(crawled.items) == 4
    assert "browsers send no body with GET" in crawled.errors[0]["reason"]
    assert crawled.own_stats()["gave_up/reason/rejected"] == 1


async def test_limits_and_delays_of_the_slot_hold(fake_crawl: Crawler, site: BoundSite) -> None:
    urls = [f"{site.url}/slow/{n}" for n in range(24)]

    crawled = await fake_crawl(
        urls, DOWNLOAD_SLOTS={"127.0.0.1": {"concurrency": 3, "delay": 0.01}}, **FETCH
    )

    assert len(crawled.items) == 24
    assert site.most <= 3


async def test_other_hosts_keep_crawling_while_the_first_is_opened(
    fake_crawl: Crawler, fake: FakeService, bound: FakeSite
) -> None:
    other = FakeSite()
    fake.browser.ready = lambda: len(other.seen) == 100
    async with serving(other.app(), "127.0.0.2") as other.url:
        mixed = zip(pages(bound, 100), pages(other, 100, "open"), strict=True)

        crawled = await fake_crawl([url for pair in mixed for url in pair], **FETCH)

    assert len(crawled.items) == 200
    hosts = [item["url"].split("/")[2].split(":")[0] for item in crawled.items]
    assert hosts.index("127.0.0.1") == 100


async def test_each_exit_has_a_session_of_its_own(
    fake_crawl: Crawler, fake: FakeService, bound: FakeSite
) -> None:
    async with running_proxies(2) as proxies:
        for proxy in proxies:
            proxy.wants_login = False
            fake.browser.addresses[f"http://127.0.0.1:{proxy.port}"] = proxy.address
        requests = [
            {"url": url, "meta": {"proxy": proxies[n % 2].url}}
            for n, url in enumerate(pages(bound, 10))
        ]
        crawled = await fake_crawl(requests, **FETCH)

    assert {len(asked["proxy"]) for asked in fake.browser.asked} == {3}
    assert {asked["proxy"]["password"] for asked in fake.browser.asked} == {"pass:word"}
    assert len(crawled.items) == 10
    assert fake.browser.sessions == 2
    assert crawled.own_stats()["fetch/sites"] == 2


async def test_interrupt_while_a_site_is_opened_loses_nothing(
    fake_crawl: Crawler, fake: FakeService, bound: FakeSite, tmp_path: Path
) -> None:
    job = {"JOBDIR": str(tmp_path / "job"), **FETCH}
    fake.browser.seconds = 60
    running = await fake_crawl.start(pages(bound, 100), **job)
    await running.until_logged("The browser sends the requests of")
    await asyncio.sleep(1)

    running.interrupt()
    first = await running.finished(seconds=30)  # and not the 60 of the solve

    assert (first.exit_code, first.rows) == (0, [])
    fake.browser.seconds = 0.1
    second = await fake_crawl(pages(bound, 100), **job)
    assert len({item["url"] for item in second.items}) == 100
    assert second.errors == []


async def test_own_detectors_challenge_that_no_answer_helps_against_gets_the_browsers_pages(
    fake_crawl: Crawler, fake: FakeService, bound: FakeSite
) -> None:
    """The service does not know it, so its answers are challenges, too."""
    urls = [f"{bound.url}/homemade/{n}" for n in range(5)]

    crawled = await fake_crawl(urls, spider="Detecting", CAPTCHA_BYPASS_SUCCESS_TEXT="page")

    assert {item["body"] for item in crawled.items} == {"<p>page by browser</p>"}
    assert len(crawled.items) == 5


async def test_robots_txt_of_such_a_site_is_obeyed(
    fake_crawl: Crawler, fake: FakeService, bound: FakeSite
) -> None:
    urls = [f"{bound.url}/{kind}/{n}" for n in range(5) for kind in ("page", "secret")]

    crawled = await fake_crawl(urls, ROBOTSTXT_OBEY=True, **FETCH)

    assert sorted(item["url"] for item in crawled.items) == pages(bound, 5)
    assert crawled.stats["robotstxt/forbidden"] == 5


async def test_inline_downloads_and_autothrottle_work(fake_crawl: Crawler, bound: FakeSite) -> None:
    requests = [
        {"url": f"{bound.url}/page/0", "cb_kwargs": {"pages": pages(bound, 4), "media": True}}
    ]
    crawled = await fake_crawl(
        requests,
        spider="Inline",
        AUTOTHROTTLE_ENABLED=True,
        AUTOTHROTTLE_START_DELAY=0.05,
        **FETCH,
    )

    assert len(crawled.rows) == 4
    assert {row["status"] for row in crawled.rows} == {200}
