"""One challenge through the service: for a clearance, or for the page itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import pytest
import scrapy
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.http.request import NO_CALLBACK

import captcha_bypass_scrapy.client as client_module
import captcha_bypass_scrapy.progress as progress_module
import captcha_bypass_scrapy.service as service_module
from captcha_bypass.challenges import Challenge
from captcha_bypass_scrapy import request_state
from captcha_bypass_scrapy.challenged import Challenged
from captcha_bypass_scrapy.clearance import Clearance, Clearances
from captcha_bypass_scrapy.client import SolverClient
from captcha_bypass_scrapy.compat import slot_of
from captcha_bypass_scrapy.detection import Detector
from captcha_bypass_scrapy.errors import CrawlEnding, NotHandedOver, SolveError, SolverUnavailable
from captcha_bypass_scrapy.keys import SiteKey, target_of
from captcha_bypass_scrapy.options import Options, options_of
from captcha_bypass_scrapy.reporting import Reporter
from captcha_bypass_scrapy.scope import Scope
from captcha_bypass_scrapy.service import Service
from captcha_bypass_scrapy.settings import Config
from captcha_bypass_scrapy.solving import Solver
from captcha_bypass_scrapy.tasks import opens_own_page
from tests.captcha_bypass_scrapy.engines import opened
from tests.captcha_bypass_scrapy.fakes import FakeService, Json, page_of

SITE = "http://site.example"
PAGE = f"{SITE}/page"
CHALLENGE = Challenge("cloudflare", "challenge")
FULL = (503, {"Retry-After": "0.1"}, {"error": {"code": "queue_full", "message": "full"}})
BROKEN: tuple[int, dict[str, str], object] = (502, {}, "no gateway")


class Bound(scrapy.Spider):
    """Is as `scrapy genspider` writes it."""

    name = "bound"
    allowed_domains = ["site.example"]  # noqa: RUF012 - Scrapy's own way


@dataclass
class Bench:
    """A solver and what it works with; all real but for the service's browser."""

    crawler: Crawler
    config: Config
    client: SolverClient
    detect: Detector
    ending: list[bool] = field(default_factory=list)
    clearances: Clearances = field(default_factory=Clearances)

    def __post_init__(self) -> None:
        reporter = Reporter(self.crawler)
        self.service = Service(self.client, self.config, reporter, lambda: bool(self.ending))
        self.solver = Solver(
            self.service,
            self.config,
            self.clearances,
            reporter,
            self.detect,
            partial(slot_of, self.crawler),
            Scope(self.crawler),
        )

    def challenged(self, request: Request, *urls: str) -> Challenged:
        options = options_of(request, self.config)
        target = target_of(request, options.url)
        target = replace(target, urls=(*urls, *target.urls))
        return Challenged(request, CHALLENGE, target, options, None)

    async def clear(self, request: Request, *urls: str) -> Clearance:
        """Solve for a request; returns what came of it."""
        challenged = self.challenged(request, *urls)
        await self.solver.get_clearance(challenged)
        found = self.clearances.current(challenged.key)
        assert found is not None
        return found

    async def page(self, request: Request) -> Response:
        """Have the browser open a request's page, with a clearance."""
        challenged = self.challenged(request)
        if (clearance := self.clearances.current(challenged.key)) is None:
            clearance = self.clearances.solved(challenged.key, [], "cloudflare", (), "Firefox")
        return await self.solver.get_page(challenged, clearance)

    def stat(self, name: str) -> object:
        return self.crawler.stats.get_value(f"captcha_bypass/{name}")


Benches = Callable[..., Any]


@pytest.fixture
def bench(fake: FakeService, monkeypatch: pytest.MonkeyPatch) -> Benches:
    """Makes benches, with settings and detectors of the test's."""
    monkeypatch.setattr(service_module, "ASK_SECONDS", 0.05)
    fake.seconds = 0.0

    @asynccontextmanager
    async def make(
        *,
        detector: Callable[[Response], object] | None = None,
        spider: type[scrapy.Spider] = Bound,
        settings: dict[str, object] | None = None,
        **changes: Any,  # noqa: ANN401 - of the configuration
    ) -> AsyncIterator[Bench]:
        config = Config(fake.url, long_poll_seconds=0.05, **changes)
        ending: list[bool] = []
        client = SolverClient(
            config.url,
            config.api_key,
            long_poll=config.long_poll_seconds,
            slow=config.slow_solve_seconds,
            patience=config.unavailable_seconds,
            closing=lambda: bool(ending),
        )
        async with opened(spider, **(settings or {})) as crawler:
            yield Bench(crawler, config, client, Detector(detector, None), ending)
            await client.close()

    return make


def answering(fake: FakeService, **changes: object) -> None:
    """Have the service hand over pages like this."""

    async def answer(task: Json) -> Json:
        return {"status": "completed", "error": None, "data": page_of(task, **changes)}  # type: ignore[arg-type]

    fake.answer = answer


def cookie(name: str, value: str = "v", **changes: object) -> Json:
    return {"name": name, "value": value, "domain": "site.example", "path": "/", **changes}


# A clearance


async def test_clearance_is_stored_for_the_key_and_for_where_the_way_led(
    bench: Benches, fake: FakeService
) -> None:
    answering(fake, cookies=[cookie("cf_clearance"), cookie("session")], url=f"{SITE}:8080/x")
    async with bench() as found:
        clearance = await found.clear(Request(PAGE), "http://start.example/")

        assert [c.name for c in clearance.cookies] == ["cf_clearance"]
        assert (clearance.vendor, clearance.user_agent) == ("cloudflare", "FakeFirefox/1.0")
        for origin in (SITE, "http://start.example", f"{SITE}:8080"):
            assert found.clearances.current(SiteKey(origin, None)) is clearance
        assert found.stat("solve/count") == found.stat("solve/success") == 1


async def test_browser_is_given_what_the_request_brings_along_and_the_old_clearance(
    bench: Benches, fake: FakeService
) -> None:
    request = Request(
        PAGE,
        headers={"Cookie": "session=1; cf_clearance=mine", "X-Key": "k", "Accept": "a/b"},
        meta={"proxy": "http://u:v@p:1"},
    )
    answering(fake, cookies=[cookie("cf_clearance", "1"), cookie("__cf_bm", "2")])
    async with bench() as found:
        await found.clear(request)
        await found.clear(request)

    first, second = fake.tasks
    assert first["cookies"] == [{"name": "session", "value": "1", "url": PAGE}]
    assert first["headers"] == {"X-Key": "k"}
    assert first["proxy"] == {"server": "http://p:1", "username": "u", "password": "v"}
    assert {c["name"] for c in second["cookies"]} == {"session", "cf_clearance", "__cf_bm"}


async def test_proxy_may_be_kept_from_the_service(bench: Benches, fake: FakeService) -> None:
    async with bench(share_proxy=False) as found:
        await found.clear(Request(PAGE, meta={"proxy": "http://u:v@p:1"}))

    assert "proxy" not in fake.tasks[0]


async def test_cookies_that_the_request_brought_along_are_nobody_elses(
    bench: Benches, fake: FakeService
) -> None:
    answering(fake, cookies=[cookie("session", "browsers"), cookie("seen")])
    async with bench(cookies="all") as found:
        clearance = await found.clear(Request(PAGE, headers={"Cookie": "session=1"}))

        assert [c.name for c in clearance.cookies] == ["seen"]


async def test_failed_solve_is_told_with_its_time_and_stores_nothing(
    bench: Benches, fake: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    answering(fake, timeout_reached=True)
    request = Request(PAGE)
    async with bench() as found:
        with pytest.raises(SolveError, match="did not get through in 60 s"):
            await found.clear(request)

        assert not found.clearances
        assert found.stat("solve/failed") == 1
    assert any(r.levelname == "WARNING" and "Could not solve" in r.message for r in caplog.records)


# Which page is opened


MEDIA = Request(f"{SITE}/i.png", callback=NO_CALLBACK, headers={"Referer": f"{SITE}/list"})


@pytest.mark.parametrize(
    ("facts", "opened"),
    [
        ({"solved": "cloudflare"}, [f"{SITE}/list"]),
        ({"cookies": [cookie("cf_clearance", "new")]}, [f"{SITE}/list"]),
        ({}, [f"{SITE}/list", f"{SITE}/i.png"]),
        ({"cookies": [cookie("session")]}, [f"{SITE}/list", f"{SITE}/i.png"]),
    ],
    ids=["solved", "cookie", "nothing", "another cookie"],
)
async def test_browser_opens_the_file_itself_where_its_page_had_no_challenge(
    bench: Benches, fake: FakeService, facts: dict[str, Any], opened: list[str]
) -> None:
    answering(fake, **facts)
    async with bench() as found:
        await found.clear(MEDIA)

    assert [task["url"] for task in fake.tasks] == opened


async def test_cookie_that_was_there_before_does_not_convince(
    bench: Benches, fake: FakeService
) -> None:
    answering(fake, cookies=[cookie("cf_clearance", "old")])
    async with bench() as found:
        await found.clear(MEDIA)
        fake.tasks.clear()
        await found.clear(MEDIA)

    assert len(fake.tasks) == 2


# The page itself


async def test_browsers_page_is_the_response_and_the_request_is_clean(
    bench: Benches, fake: FakeService
) -> None:
    answering(fake, html="<p>by browser", url=f"{SITE}/moved")
    request = Request(PAGE, headers={"Accept": "a/b"})
    request_state.wait_for(request, 1)
    async with bench() as found:
        response = await found.page(request)

        assert (response.body, response.url) == (b"<p>by browser", f"{SITE}/moved")
        assert request.meta == {}
        assert found.stat("html/count") == 1
    assert fake.tasks[0]["headers"] == {"Accept": "a/b"}  # it is this request's own page


async def test_next_page_has_what_the_browser_got_for_this_one(
    bench: Benches, fake: FakeService
) -> None:
    answering(fake, cookies=[cookie("cf_clearance", "2"), cookie("login", "x")], user_agent="F/2")
    async with bench() as found:
        before = await found.clear(Request(PAGE))
        answering(fake, cookies=[cookie("cf_clearance", "3"), cookie("login", "y")])
        await found.page(Request(PAGE, headers={"Cookie": "login=mine"}))

        assert found.clearances.current(SiteKey(SITE, None)) is before
        assert [(c.name, c.value) for c in before.cookies] == [("cf_clearance", "3")]
        assert before.user_agent == "FakeFirefox/1.0"


@pytest.mark.parametrize(
    ("facts", "error", "told"),
    [
        ({"url": "http://evil.example/"}, SolveError, "outside of allowed_domains"),
        ({"html": "prove it"}, SolveError, "the browser's page is a homemade challenge"),
        ({"headers": {"content-type": "image/png"}}, NotHandedOver, "image/png"),
        ({"challenge": "datadome"}, SolveError, "still a datadome challenge"),
    ],
    ids=["offsite", "own challenge", "image", "challenge"],
)
async def test_page_that_the_spider_must_not_see_is_none(
    bench: Benches,
    fake: FakeService,
    facts: dict[str, Any],
    error: type[SolveError],
    told: str,
) -> None:
    def homemade(response: Response) -> object:
        return "homemade" if b"prove it" in response.body else None

    answering(fake, **facts)
    async with bench(detector=homemade, success_text="it") as found:
        with pytest.raises(error, match=told):
            await found.page(Request(PAGE))


async def test_own_detector_is_asked_until_it_is_content(bench: Benches, fake: FakeService) -> None:
    async def answer(task: Json) -> Json:
        html = "welcome" if len(fake.tasks) > 2 else "prove it"
        return {"status": "completed", "error": None, "data": page_of(task, html=html)}

    def homemade(response: Response) -> object:
        return "homemade" if b"prove it" in response.body else None

    fake.answer = answer
    async with bench(detector=homemade) as found:
        assert (await found.page(Request(PAGE))).body == b"welcome"

    assert [task["timeout"] for task in fake.tasks] == [60.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("request_", "chosen", "answers"),
    [
        (Request(PAGE), {}, True),
        (Request(PAGE), {"mode": "auto"}, False),
        (Request(PAGE, method="POST"), {}, False),
        (Request(PAGE), {"url": f"{SITE}/login"}, False),
        (Request(PAGE, headers={"X-Key": "k"}), {}, False),
        (Request(PAGE, headers={"User-Agent": "x", "Cookie": "a=b"}), {}, True),
        (MEDIA, {}, False),
        (Request(f"{SITE}/", callback=NO_CALLBACK), {}, True),
        (Request("http://check.vendor/", meta={"redirect_urls": [PAGE]}), {}, True),
        (Request(f"{SITE}/b", meta={"redirect_urls": [PAGE]}), {}, False),
    ],
)
def test_page_of_a_solve_is_the_response_where_it_is_the_requests_own(
    request_: Request, chosen: dict[str, Any], *, answers: bool
) -> None:
    options = Options(**{"mode": "html", "timeout_seconds": 9, **NOTHING, **chosen})

    challenged = Challenged(request_, CHALLENGE, target_of(request_, options.url), options, None)

    assert opens_own_page(challenged) is answers


NOTHING: dict[str, Any] = {"success_text": None, "success_selector": None}


# How many at once


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (3, 3)])
async def test_browsers_open_no_more_pages_of_a_host_than_its_slot_takes(
    bench: Benches, fake: FakeService, concurrency: int, most: int
) -> None:
    answering(fake)
    fake.seconds = 0.05
    slots = {"site.example": {"concurrency": concurrency}}
    async with bench(settings={"DOWNLOAD_SLOTS": slots}) as found:
        await asyncio.gather(*(found.page(Request(f"{PAGE}/{n}")) for n in range(5)))

    assert fake.most == most


# A service in trouble


async def test_full_service_is_waited_for(bench: Benches, fake: FakeService) -> None:
    fake.refusals = [FULL] * 5
    async with bench(timeout_seconds=0.05) as found:
        await found.clear(Request(PAGE))

        assert found.stat("solver/unavailable") is None  # it is there


async def test_service_that_is_away_is_waited_for_and_told_once(
    bench: Benches,
    fake: FakeService,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(client_module, "DOWN_PAUSE", 0.05)
    fake.refusals = [BROKEN] * 4
    async with bench() as found:
        await asyncio.gather(*(found.clear(Request(f"{PAGE}/{n}")) for n in range(2)))

        assert found.stat("solver/unavailable") == 1
    told = [r.levelname for r in caplog.records if "cannot be solved" in r.message]
    back = [r.levelname for r in caplog.records if "can be used again" in r.message]
    assert (told, back) == (["ERROR"], ["INFO"])


async def test_service_that_stays_away_is_given_up(bench: Benches, fake: FakeService) -> None:
    fake.refusals = [BROKEN] * 500
    async with bench(unavailable_seconds=0.2) as found:
        with pytest.raises(SolverUnavailable, match="was answered 502"):
            await found.clear(Request(PAGE))


async def test_refusing_service_is_not_waited_for(bench: Benches, fake: FakeService) -> None:
    fake.refusals = [(401, {}, {})] * 5
    async with bench() as found:
        with pytest.raises(SolverUnavailable, match="CAPTCHA_BYPASS_API_KEY"):
            await found.clear(Request(PAGE))
        with pytest.raises(SolverUnavailable) as raised:
            found.service.check_available()

        assert 50 < raised.value.pause <= 60
        assert raised.value.state == "refusing"
    assert len(fake.calls) == 1


@pytest.mark.parametrize("refusal", [FULL, BROKEN], ids=["full", "away"])
async def test_service_in_trouble_fails_at_once_where_the_setting_says_so(
    bench: Benches, fake: FakeService, refusal: tuple[int, dict[str, str], object]
) -> None:
    fake.refusals = [refusal] * 50
    async with bench(on_unavailable="fail", timeout_seconds=0.01) as found:
        with pytest.raises(SolverUnavailable):
            await found.clear(Request(PAGE))
        asked = len(fake.calls)
        with pytest.raises(SolverUnavailable):
            await found.clear(Request(PAGE))

        assert found.stat("solver/unavailable") == 1
    assert len(fake.calls) == asked  # within its pause it is not asked again


async def test_service_is_asked_again_after_its_pause(bench: Benches, fake: FakeService) -> None:
    fake.refusals = [FULL]
    async with bench(on_unavailable="fail", timeout_seconds=0.01) as found:
        with pytest.raises(SolverUnavailable):
            await found.clear(Request(PAGE))
        await asyncio.sleep(0.15)
        found.service.check_available()

        await found.clear(Request(PAGE))


def test_service_of_which_nothing_is_known_is_available() -> None:
    nothing = cast("Any", None)
    Service(nothing, Config("http://s"), nothing, nothing).check_available()


async def test_closing_spider_waits_for_no_service(bench: Benches, fake: FakeService) -> None:
    fake.refusals = [BROKEN] * 500
    async with bench() as found:
        solving = asyncio.create_task(found.clear(Request(PAGE)))
        await asyncio.sleep(0.1)
        found.ending.append(True)
        started = time.monotonic()
        with pytest.raises(CrawlEnding):
            await solving

        assert time.monotonic() - started < 2


async def test_slow_solve_is_mentioned(
    bench: Benches, fake: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    fake.seconds = 0.2
    async with bench(slow_solve_seconds=0.05) as found:
        await found.clear(Request(PAGE))

    (line,) = [r.message for r in caplog.records if "Still solving" in r.message]
    assert line.startswith(f"Still solving {SITE}: waiting for the browser to get through")


async def test_service_that_loses_track_of_its_time_is_away(
    bench: Benches, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "GRACE_SECONDS", 0.0)
    fake.seconds = 60
    async with bench(on_unavailable="fail", timeout_seconds=0.1) as found:
        with pytest.raises(SolverUnavailable, match="past its timeout"):
            await found.clear(Request(PAGE))

    assert fake.deleted == ["task-1"]
