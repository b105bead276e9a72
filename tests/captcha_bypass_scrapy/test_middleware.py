"""What happens to each request and response, in Scrapy's engine with its other middlewares."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.httpcache import HttpCacheMiddleware
from scrapy.exceptions import DontCloseSpider, IgnoreRequest, NotConfigured
from scrapy.http import HtmlResponse, Response

import captcha_bypass_scrapy.middleware as middleware_module
import captcha_bypass_scrapy.parking as parking_module
from captcha_bypass_scrapy import (
    CaptchaBypassMiddleware,
    ChallengeNotSolved,
    request_state,
    resending,
    site_state,
)
from captcha_bypass_scrapy.errors import SolveError
from captcha_bypass_scrapy.keys import SiteKey
from tests.captcha_bypass_scrapy.engines import crawled, crawler_with, opened
from tests.captcha_bypass_scrapy.fake_browser import BROWSER
from tests.captcha_bypass_scrapy.fake_service import FakeService
from tests.captcha_bypass_scrapy.fake_site import FakeSite, serving

ADDON: dict[str, Any] = {"ADDONS": {"captcha_bypass_scrapy.Addon": 500}}
SITE = "http://site.example"
PAGE = f"{SITE}/page"
KEY = SiteKey(SITE, None)
OURS = "_captcha_bypass"


def challenge(url: str = PAGE, *flags: str) -> Response:
    return HtmlResponse(
        url, status=403, headers={"cf-mitigated": "challenge"}, body=b"wait", flags=list(flags)
    )


def page(url: str = PAGE, *flags: str, status: int = 200) -> Response:
    return HtmlResponse(url, status=status, body=b"<p>welcome", flags=list(flags))


def block(url: str = PAGE) -> Response:
    body = b"<title>Attention Required! | Cloudflare</title>"
    return HtmlResponse(url, status=403, headers={"Server": "cloudflare"}, body=body)


Crawls = Callable[..., Any]


@pytest.fixture
def crawling(fake: FakeService, monkeypatch: pytest.MonkeyPatch) -> Crawls:
    """Opens crawls with the add-on; yields the middleware, whose crawler is at hand."""
    monkeypatch.setattr(parking_module, "WAIT_SECONDS", 0.05)
    fake.seconds = 0.02

    @asynccontextmanager
    async def make(**settings: Any) -> AsyncIterator[CaptchaBypassMiddleware]:  # noqa: ANN401
        async with opened(CAPTCHA_BYPASS_URL=fake.url, **ADDON, **settings) as crawler:
            found = crawler.get_downloader_middleware(CaptchaBypassMiddleware)
            assert found is not None
            yield found

    return make


def stat(middleware: CaptchaBypassMiddleware, name: str) -> object:
    return middleware.crawler.stats.get_value(name, 0)


def ours(request: Request) -> list[str]:
    return [name for name in request.meta if name.startswith(OURS)]


# At the start


def test_without_asyncio_it_is_off_and_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware_module, "asyncio_available", lambda: False)

    with pytest.raises(NotConfigured, match="remove the setting TWISTED_REACTOR"):
        CaptchaBypassMiddleware(crawler_with(CAPTCHA_BYPASS_URL="http://service"))


def test_wrong_setting_ends_the_crawl_before_it_begins() -> None:
    crawler = crawler_with(CAPTCHA_BYPASS_URL="http://service", CAPTCHA_BYPASS_TIMEOUT="soon")

    with pytest.raises(ValueError, match="CAPTCHA_BYPASS_TIMEOUT must be"):
        CaptchaBypassMiddleware.from_crawler(crawler)


# On the way out


async def test_request_goes_out_and_has_nothing_of_ours(crawling: Crawls) -> None:
    async with crawling() as middleware:
        request = Request(PAGE)

        assert await middleware.process_request(request) is None
        assert request.meta == {}


async def test_request_that_was_sent_again_is_itself_when_it_comes_by(crawling: Crawls) -> None:
    async with crawling() as middleware:
        copy = resending.again(Request(PAGE, priority=3))

        assert await middleware.process_request(copy) is None
        assert (copy.dont_filter, copy.priority) == (False, 3)


async def test_meta_with_a_typo_fails_before_anything_is_sent(crawling: Crawls) -> None:
    async with crawling() as middleware:
        with pytest.raises(ValueError, match="unknown keys: tiemout"):
            await middleware.process_request(Request(PAGE, meta={"captcha_bypass": {"tiemout": 1}}))


@pytest.mark.parametrize(
    "request_",
    [Request(PAGE, meta={"captcha_bypass": False}), Request("data:,a"), Request("file:///a")],
    ids=["unwanted", "data", "file"],
)
async def test_request_that_wants_no_help_is_left_alone(
    crawling: Crawls, request_: Request
) -> None:
    async with crawling() as middleware:
        came = challenge()

        assert await middleware.process_request(request_) is None
        assert await middleware.process_response(request_, came) is came
        assert stat(middleware, "captcha_bypass/challenge/count") == 0


async def test_body_is_remembered_before_a_redirect_drops_it(crawling: Crawls) -> None:
    async with crawling() as middleware:
        request = Request(PAGE, method="POST", body="a=1")
        await middleware.process_request(request)
        landed = request.replace(url=f"{SITE}/check", method="GET", body=b"")
        landed.meta["redirect_urls"] = [PAGE]

        copy = await middleware.process_response(landed, challenge(landed.url))

        assert isinstance(copy, Request)
        assert (copy.url, copy.method, copy.body) == (PAGE, "POST", b"a=1")


async def test_requests_of_a_challenged_host_are_held(crawling: Crawls, fake: FakeService) -> None:
    fake.seconds = 60
    async with crawling() as middleware:
        await middleware.process_response(Request(PAGE), challenge())

        held = await middleware.process_request(Request(f"{PAGE}/2"))

        assert isinstance(held, Request)
        assert held.priority < 0
        assert await middleware.process_request(Request("http://other.example/")) is None


# On the way back


async def test_page_goes_to_the_spider_and_the_request_is_clean(crawling: Crawls) -> None:
    async with crawling() as middleware:
        request, came = Request(PAGE, meta={"mine": 1}), page()
        request_state.wait_for(request, 7, leads=True)
        request_state.count_failure(request)

        assert await middleware.process_response(request, came) is came
        assert request.meta == {"mine": 1}


async def test_browsers_page_is_not_looked_at_again(crawling: Crawls) -> None:
    """It comes by when something further in has asked for it, such as a retry."""
    async with crawling() as middleware:
        came = challenge(PAGE, "captcha-bypass")

        assert await middleware.process_response(Request(PAGE), came) is came
        assert stat(middleware, "captcha_bypass/challenge/count") == 0


async def test_refusal_goes_to_the_spider_as_it_is(crawling: Crawls) -> None:
    async with crawling() as middleware:
        came = block()

        assert await middleware.process_response(Request(PAGE), came) is came
        assert stat(middleware, "captcha_bypass/block/count") == 1
        assert stat(middleware, "captcha_bypass/challenge/count") == 0


async def test_challenge_is_sent_again_and_counted(crawling: Crawls) -> None:
    async with crawling() as middleware:
        copy = await middleware.process_response(Request(PAGE), challenge())

        assert isinstance(copy, Request)
        assert stat(middleware, "captcha_bypass/challenge/vendor/cloudflare") == 1


async def test_challenge_that_stays_is_the_errbacks_with_cause_and_page(
    crawling: Crawls, fake: FakeService
) -> None:
    async with crawling(CAPTCHA_BYPASS_MODE="cookies") as middleware:
        fresh = middleware.clearances.solved(KEY, [], "cloudflare", (), None)
        request, came = Request(PAGE), challenge()
        request_state.note_carried(request, fresh.generation)

        with pytest.raises(ChallengeNotSolved) as raised:
            await middleware.process_response(request, came)

        assert (raised.value.vendor, raised.value.response) == ("cloudflare", came)
        assert isinstance(raised.value.__cause__, SolveError)
        assert ours(request) == []
        assert stat(middleware, "captcha_bypass/gave_up/reason/refused") == 1


async def test_status_that_the_shield_hid_is_there_again(crawling: Crawls) -> None:
    async with crawling() as middleware:
        hidden = page(PAGE, "captcha-bypass-status-404")

        found = await middleware.process_response(Request(PAGE), hidden)

        assert isinstance(found, Response)
        assert (found.status, found.flags) == (404, [])


@pytest.mark.parametrize(("status", "counts"), [(200, 1), (404, 1), (403, 0), (429, 0), (502, 0)])
async def test_page_counts_for_the_clearance_it_came_with_unless_it_is_an_error(
    crawling: Crawls, status: int, counts: int
) -> None:
    async with crawling() as middleware:
        found = middleware.clearances.solved(KEY, [], "cloudflare", (), None)
        request = Request(PAGE)
        request_state.note_carried(request, found.generation)

        await middleware.process_response(request, page(status=status))

        assert found.successes == counts
        assert request_state.carried(request) == ()


async def test_request_that_got_no_response_forgets_what_it_carried(crawling: Crawls) -> None:
    """It is sent again by RetryMiddleware, perhaps with another clearance."""
    async with crawling() as middleware:
        request = Request(PAGE)
        request_state.note_carried(request, 5)

        middleware.process_exception(request, OSError())

        assert request_state.carried(request) == ()


async def test_open_page_lets_others_of_its_host_go(
    crawling: Crawls, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_state, "PROBE_SECONDS", 60.0)
    fake.seconds = 60
    slot = {"download_slot": "site.example"}
    async with crawling() as middleware:
        await middleware.process_response(Request(f"{SITE}/a", meta=dict(slot)), page())
        await middleware.process_response(Request(PAGE, meta=dict(slot)), challenge())
        probe = Request(f"{PAGE}/2", meta=dict(slot))
        assert await middleware.process_request(probe) is None
        assert isinstance(await middleware.process_request(Request(f"{PAGE}/3")), Request)

        await middleware.process_response(probe, page())

        assert await middleware.process_request(Request(f"{PAGE}/4")) is None


# The cache


async def test_challenge_from_the_cache_is_asked_for_at_the_site(
    crawling: Crawls, fake: FakeService
) -> None:
    async with crawling() as middleware:
        copy = await middleware.process_response(Request(PAGE), challenge(PAGE, "cached"))

        assert isinstance(copy, Request)
        assert copy.meta["dont_cache"]
        assert stat(middleware, "captcha_bypass/challenge/cached") == 1
        restored = await middleware.process_response(copy, page())
        assert isinstance(restored, Response)
        assert "dont_cache" not in copy.meta
    assert fake.tasks == []


async def test_page_from_the_cache_says_nothing_about_the_site(
    crawling: Crawls, fake: FakeService
) -> None:
    fake.seconds = 60
    slot = {"download_slot": "site.example"}
    async with crawling() as middleware:
        cached = Request(f"{SITE}/a", meta=dict(slot))
        await middleware.process_response(cached, page(PAGE, "cached"))
        await middleware.process_response(Request(PAGE, meta=dict(slot)), challenge())

        held = await middleware.process_request(Request(f"{PAGE}/2", meta=dict(slot)))

        assert isinstance(held, Request)  # and no probe: nothing of it was ever seen open


async def test_crawl_from_its_cache_alone_gives_up_on_a_stored_challenge(
    crawling: Crawls, tmp_path: Path
) -> None:
    cache = {"HTTPCACHE_ENABLED": True, "HTTPCACHE_DIR": str(tmp_path)}
    async with crawling(**cache, HTTPCACHE_IGNORE_MISSING=True) as middleware:
        with pytest.raises(ChallengeNotSolved, match="HTTPCACHE_IGNORE_MISSING is set"):
            await middleware.process_response(Request(PAGE), challenge(PAGE, "cached"))


@pytest.mark.parametrize("way", ["browser's page", "page after a stored challenge"])
async def test_cache_keeps_what_it_could_not_see(
    crawling: Crawls, tmp_path: Path, way: str
) -> None:
    cache = {"HTTPCACHE_ENABLED": True, "HTTPCACHE_DIR": str(tmp_path)}
    async with crawling(**cache, CAPTCHA_BYPASS_MODE="html") as middleware:
        if way == "browser's page":
            await middleware.process_response(Request(PAGE), challenge())
        else:
            stored = challenge(PAGE, "cached")
            copy = await middleware.process_response(Request(PAGE), stored)
            assert isinstance(copy, Request)
            await middleware.process_response(copy, page())

        crawler: Crawler = middleware.crawler
        cached = crawler.get_downloader_middleware(HttpCacheMiddleware)
        assert cached is not None
        found = cached.storage.retrieve_response(crawler.spider, Request(PAGE))
        assert found is not None
        body = b"<p>page by browser</p>" if way == "browser's page" else b"<p>welcome"
        assert found.body == body


# The end


@pytest.mark.parametrize("way", ["out", "back"])
async def test_closing_spider_gives_requests_back_to_its_queue(
    crawling: Crawls, fake: FakeService, way: str
) -> None:
    fake.seconds = 60
    async with crawling() as middleware:
        waiting = await middleware.process_response(Request(PAGE), challenge())
        assert isinstance(waiting, Request)
        middleware._handler._closing = middleware._holder._closing = lambda: True
        middleware.request_scheduled(waiting)

        if way == "out":
            copy = await middleware.process_request(waiting)
        else:
            copy = await middleware.process_response(Request(f"{PAGE}/2"), challenge())

        assert isinstance(copy, Request)
        assert stat(middleware, "captcha_bypass/requeued_on_close") == 1
        middleware.request_scheduled(copy)
    async with crawling() as next_run:
        assert await next_run.process_request(copy) is None
        assert ours(copy) == []


async def test_request_of_a_closing_spider_that_somebody_awaits_is_dropped(
    crawling: Crawls,
) -> None:
    """It is not scheduled; it would go round for ever."""
    async with crawling() as middleware:
        with pytest.raises(IgnoreRequest, match="the spider is closing"):
            await middleware.process_request(resending.requeued(Request(PAGE)))


async def test_spider_stays_open_for_those_who_wait_without_a_place(crawling: Crawls) -> None:
    async with crawling() as middleware:
        middleware.spider_idle()
        with middleware.parking.place_lent(Request(PAGE)), pytest.raises(DontCloseSpider):
            middleware.spider_idle()


async def test_end_of_the_crawl_says_what_was_lost_and_lets_go_of_the_service(
    crawling: Crawls, fake: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    fake.refusals = [(401, {}, {})]
    async with crawling(CAPTCHA_BYPASS_MODE="html") as middleware:
        copy = await middleware.process_response(Request(PAGE), challenge())
        middleware.request_scheduled(copy)
        with pytest.raises(ChallengeNotSolved):
            await middleware.process_request(copy)

    (line,) = [r for r in caplog.records if "did not get their page" in r.message]
    assert line.levelno == logging.WARNING
    # Sessions that nobody closes would be warnings, and so errors of this test.


# Everything together


async def test_clearance_is_on_the_wire_and_nowhere_else(
    crawling: Crawls, fake: FakeService, guarded: FakeSite
) -> None:
    async with crawling() as middleware:
        engine = middleware.crawler.engine
        response = await engine.download_async(Request(f"{guarded.url}/page/1"))

        assert response.status == 200
        assert ours(response.request) == []
        assert "Cookie" not in response.request.headers
    (_, headers, cookies) = guarded.seen[-1]
    assert (headers["User-Agent"], set(cookies)) == (BROWSER, {"cf_clearance"})


async def test_crawls_in_one_process_have_nothing_in_common(
    fake: FakeService, guarded: FakeSite
) -> None:
    """As CrawlerProcess runs several spiders."""
    second_site = FakeSite(cookie="datadome")
    second = FakeService(second_site)
    async with (
        serving(second_site.app(), "127.0.0.1") as second_site.url,
        serving(second.app(), "127.0.0.1") as second.url,
    ):
        crawls = [
            crawled(
                [f"{site.url}/page/{n}" for n in range(5)],
                CAPTCHA_BYPASS_URL=service.url,
                CAPTCHA_BYPASS_API_KEY=key,
                **ADDON,
            )
            for site, service, key in ((guarded, fake, "k1"), (second_site, second, "k2"))
        ]
        found = await asyncio.gather(*crawls)

    assert [len(rows) for _, rows in found] == [5, 5]
    assert [len(service.tasks) for service in (fake, second)] == [1, 1]
    for service, key in ((fake, "k1"), (second, "k2")):
        assert {h.get("Authorization") for _, _, h in service.calls} == {f"Bearer {key}"}
    stats = [crawler.stats.get_value("captcha_bypass/solve/count") for crawler, _ in found]
    assert stats == [1, 1]


async def test_crawl_tells_no_secrets(
    fake: FakeService, guarded: FakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.refusals = [(400, {}, {"error": {"message": "no"}})]

    await crawled(
        [f"{guarded.url}/page/{n}" for n in range(3)],
        CAPTCHA_BYPASS_URL=fake.url,
        CAPTCHA_BYPASS_API_KEY="s3cret-key",
        **ADDON,
    )

    tokens = {cookies["cf_clearance"] for _, _, cookies in guarded.seen if cookies}
    assert tokens
    # Scrapy itself lists its settings, and the spider's items.
    told = [r.getMessage() for r in caplog.records if r.name == "captcha_bypass_scrapy"]
    assert len(told) > 5
    for secret in {"s3cret-key", *tokens}:
        assert [line for line in told if secret in line] == []


# Ways that have to be proven


async def probing(middleware: CaptchaBypassMiddleware) -> Request:
    """A request that goes out to prove the way of its site, for which others wait."""
    middleware.solves.prove(KEY, 1000.0)
    request = Request(PAGE)
    assert await middleware.process_request(request) is None
    assert await middleware.process_request(Request(f"{PAGE}/2")) is not None
    return request


@pytest.mark.parametrize("answer", [page(), page(status=500), page(status=404), block()], ids=repr)
async def test_any_answer_without_a_challenge_lets_those_go_that_wait_for_it(
    crawling: Crawls, answer: Response
) -> None:
    """A site of which all pages are broken or forbidden is not crawled one by one."""
    async with crawling() as middleware:
        request = await probing(middleware)

        assert await middleware.process_response(request, answer) is answer

        assert not middleware.solves.busy()
        assert await middleware.process_request(Request(f"{PAGE}/3")) is None


@pytest.mark.parametrize("end", ["cached", "dropped", "failed"])
async def test_request_that_never_reached_the_site_makes_place_for_another(
    crawling: Crawls, end: str
) -> None:
    async with crawling() as middleware:
        request = await probing(middleware)

        if end == "cached":
            await middleware.process_response(request, page(PAGE, "cached"))
        else:
            error = IgnoreRequest() if end == "dropped" else OSError()
            assert middleware.process_exception(request, error) is None

        assert middleware.solves.busy()
        following = Request(f"{PAGE}/3")
        assert await middleware.process_request(following) is None
        assert request_state.is_probe(following)


async def test_browsers_answer_is_looked_at_as_others_are(crawling: Crawls) -> None:
    async with crawling(CAPTCHA_BYPASS_MODE="fetch") as middleware:
        request = Request(PAGE)
        request_state.mark_fetched(request)
        came = page(PAGE, "captcha-bypass")

        assert await middleware.process_response(request, came) is came
        assert ours(request) == []

        request_state.mark_fetched(request)
        with pytest.raises(ChallengeNotSolved, match="challenge to your detector"):
            await middleware.process_response(request, challenge(PAGE, "captcha-bypass"))
