"""What is decided for a challenged request, in an engine of Scrapy's and with a scripted service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import HtmlResponse, Response

import captcha_bypass_scrapy.parking as parking_module
from captcha_bypass.challenges import Challenge
from captcha_bypass_scrapy import (
    CaptchaBypassMiddleware,
    ChallengeNotSolved,
    request_state,
    resending,
)
from captcha_bypass_scrapy.challenged import Challenged
from captcha_bypass_scrapy.clearance import Clearance
from captcha_bypass_scrapy.errors import CrawlEnding, SolveError
from captcha_bypass_scrapy.handler import KEPT_PAGE_BYTES
from captcha_bypass_scrapy.keys import SiteKey, target_of
from captcha_bypass_scrapy.options import options_of, wants_page
from captcha_bypass_scrapy.settings import Config, Mode
from captcha_bypass_scrapy.site_state import FAILURES_BEFORE_GIVING_UP
from captcha_bypass_scrapy.solves import Solve
from tests.captcha_bypass_scrapy.engines import opened
from tests.captcha_bypass_scrapy.fakes import FakeService, Json, failed, page_of
from tests.support.service import eventually

SITE = "http://site.example"
PAGE = f"{SITE}/page"
KEY = SiteKey(SITE, None)
CHALLENGE = Challenge("cloudflare", "challenge")
Refusal = tuple[int, dict[str, str], object]
REJECTED: Refusal = (400, {}, {"error": {"message": "The request is invalid."}})
UNAUTHORIZED: Refusal = (401, {}, {})


class Lab:
    """The handler of a crawl that stands still, and what a test asks of it."""

    def __init__(self, crawler: Crawler, middleware: CaptchaBypassMiddleware) -> None:
        self.crawler = crawler
        self.middleware = middleware
        self.handler = middleware._handler
        self.holder = middleware._holder
        self.runner = middleware._runner
        self.solves = middleware.solves
        self.clearances = middleware.clearances

    async def challenged(
        self, request: Request, *carried: int, body: bytes = b"Just a moment..."
    ) -> Request | Response:
        """Have a request challenged; returns what takes its place."""
        response = HtmlResponse(request.url, status=403, body=body, request=request)
        return await self.handler.handle(request, response, CHALLENGE, carried)

    async def parked(self, request: Request, *carried: int) -> Request:
        """The copy that waits, as the scheduler hands it out again."""
        copy = await self.challenged(request, *carried)
        assert isinstance(copy, Request)
        assert request_state.awaited_solve(copy) is not None
        return self.scheduled(copy)

    def scheduled(self, copy: Request) -> Request:
        self.middleware.parking.scheduled(copy)
        resending.restore(copy)
        return copy

    async def goes_out(self, request: Request, *, first: bool = False) -> Request:
        """Have a request wait as often as it must; returns it when it may leave."""
        async with asyncio.timeout(20):
            while (copy := await self.holder.hold(request, first=first)) is not None:
                request, first = self.scheduled(copy), False
        return request

    async def lost(self, request: Request) -> ChallengeNotSolved:
        """Have a request wait in vain; returns what its errback gets."""
        with pytest.raises(ChallengeNotSolved) as raised:
            await self.goes_out(request)
        return raised.value

    async def refused(self, request: Request, *carried: int) -> ChallengeNotSolved:
        """Have a request challenged in vain; returns what its errback gets."""
        with pytest.raises(ChallengeNotSolved) as raised:
            await self.challenged(request, *carried)
        return raised.value

    def solve_of(self, request: Request) -> Solve:
        number = request_state.awaited_solve(request)
        assert number is not None
        found = self.solves.find(number)
        assert found is not None
        return found

    def cleared(self, *, successes: int = 0, key: SiteKey = KEY) -> Clearance:
        """Store a clearance that has been good for so many pages."""
        found = self.clearances.solved(key, [], "cloudflare", (), "Firefox")
        found.successes = successes
        return found

    def stat(self, name: str) -> object:
        return self.crawler.stats.get_value(f"captcha_bypass/{name}", 0)


Labs = Callable[..., Any]


@pytest.fixture
def lab(fake: FakeService, monkeypatch: pytest.MonkeyPatch) -> Labs:
    """Makes labs, with settings of the test's."""
    monkeypatch.setattr(parking_module, "WAIT_SECONDS", 0.05)
    fake.seconds = 0.02

    @asynccontextmanager
    async def make(**settings: Any) -> AsyncIterator[Lab]:  # noqa: ANN401 - Scrapy's
        given = {f"CAPTCHA_BYPASS_{name}": value for name, value in settings.items()}
        addon = {"captcha_bypass_scrapy.Addon": 500}
        async with opened(ADDONS=addon, CAPTCHA_BYPASS_URL=fake.url, **given) as crawler:
            found = crawler.get_downloader_middleware(CaptchaBypassMiddleware)
            assert found is not None
            yield Lab(crawler, found)

    return make


def failing(fake: FakeService, times: int) -> None:
    """Have so many solves fail before the first that works."""

    async def answer(task: Json) -> Json:
        return await (failed(task) if len(fake.tasks) <= times else fake.solved(task))

    fake.answer = answer


# The first challenge


async def test_first_challenged_request_leads_a_solve_and_waits_behind_all_others(
    lab: Labs, fake: FakeService
) -> None:
    async with lab() as found:
        request = Request(PAGE, priority=3)
        copy = await found.challenged(request)

        assert isinstance(copy, Request)
        assert copy.priority < -100_000
        assert request_state.has_led(copy, found.solve_of(copy).number)
        back = await found.goes_out(found.scheduled(copy))
        assert (back.url, back.priority, back.dont_filter) == (PAGE, 3, False)
        assert request_state.times(back) == 1
        assert request_state.awaited_solve(back) is None
        assert found.clearances.current(KEY) is not None
        assert found.stat("parked/count") == 1
    assert [task["url"] for task in fake.tasks] == [PAGE]


async def test_those_who_are_challenged_meanwhile_wait_for_the_same_solve(
    lab: Labs, fake: FakeService
) -> None:
    async with lab() as found:
        copies = [await found.parked(Request(f"{PAGE}/{n}")) for n in range(4)]

        assert len({request_state.awaited_solve(copy) for copy in copies}) == 1
        await asyncio.gather(*(found.goes_out(copy) for copy in copies))
        assert [request_state.times(copy) for copy in copies] == [1, 0, 0, 0]
        assert found.stat("solve/joined") == 3
        assert found.stat("retry/count") == 4
    assert len(fake.tasks) == 1


async def test_challenge_on_the_vendors_host_is_solved_for_the_site(
    lab: Labs, fake: FakeService
) -> None:
    request = Request("http://check.vendor.example/", meta={"redirect_urls": [PAGE]})
    async with lab() as found:
        copy = await found.parked(request)

        assert found.solve_of(copy).key == KEY
        assert found.solve_of(copy).urls == (PAGE, "http://check.vendor.example/")
        await found.goes_out(copy)
        assert copy.url == PAGE
    assert [task["url"] for task in fake.tasks] == [PAGE]


@pytest.mark.parametrize(("size", "kept"), [(KEPT_PAGE_BYTES, True), (KEPT_PAGE_BYTES + 1, False)])
async def test_challenge_page_is_kept_for_the_errback_unless_it_is_large(
    lab: Labs, fake: FakeService, size: int, *, kept: bool
) -> None:
    fake.answer = failed
    async with lab(RETRY_TIMES=0) as found:
        copy = await found.challenged(Request(PAGE), body=b"x" * size)
        assert isinstance(copy, Request)
        error = await found.lost(found.scheduled(copy))

        assert (error.response is not None) is kept


@pytest.mark.parametrize("way", ["challenged", "on its way out"])
async def test_closing_spider_begins_nothing(lab: Labs, fake: FakeService, way: str) -> None:
    async with lab() as found:
        copy = await found.parked(Request(PAGE))
        found.handler._closing = found.holder._closing = lambda: True
        if way == "challenged":
            requeued = await found.challenged(Request(PAGE))
        else:
            requeued = await found.holder.hold(copy, first=False)

        assert isinstance(requeued, Request)
        assert resending.pop_leaving(requeued)
        assert found.stat("requeued_on_close") == 1


async def test_crawl_that_has_used_up_its_solves_says_so(lab: Labs, fake: FakeService) -> None:
    async with lab(MAX_SOLVES=1) as found:
        await found.goes_out(await found.parked(Request(PAGE)))

        error = await found.refused(Request("http://other.example/"))

        assert "MAX_SOLVES" in error.reason
        assert found.stat("gave_up/reason/budget") == 1
    assert len(fake.tasks) == 1


# A clearance that was not enough


async def test_request_that_did_not_carry_the_newest_clearance_is_sent_again_at_once(
    lab: Labs, fake: FakeService
) -> None:
    async with lab() as found:
        newest = found.cleared()

        copy = await found.challenged(Request(PAGE), newest.generation - 1)

        assert isinstance(copy, Request)
        assert copy.priority == 0
        assert request_state.awaited_solve(copy) is None
        assert found.stat("retry/stale") == 1
    assert fake.tasks == []


async def test_clearance_that_never_arrives_ends_in_an_error(lab: Labs) -> None:
    async with lab() as found:
        found.cleared()
        request: Any = Request(PAGE)
        for _ in range(resending.MAX_STALE):
            request = await found.challenged(request)

        assert "never attached" in (await found.refused(request)).reason


@pytest.mark.parametrize("doubt", ["it was good for pages", "it is old", "it is another host's"])
async def test_clearance_that_may_have_expired_is_solved_anew(
    lab: Labs, fake: FakeService, doubt: str
) -> None:
    async with lab(COOLDOWN=5) as found:
        if doubt == "it is another host's":
            fake.answer = _domain_wide(fake)
            await found.goes_out(await found.parked(Request("http://www.site.example/")))
            old = found.clearances.current(KEY)
            assert old is not None
        else:
            old = found.cleared(successes=doubt == "it was good for pages")
            old.born -= 6 if doubt == "it is old" else 0
        fake.tasks.clear()

        await found.goes_out(await found.parked(Request(PAGE), old.generation))

        assert found.clearances.current(KEY) is not old
        assert found.stat("clearance/expired") == 1
    assert len(fake.tasks) == 1


def _domain_wide(fake: FakeService) -> Any:  # noqa: ANN401 - what a fake answers
    async def answer(task: Json) -> Json:
        cookies = [fake.cookie(task, domain=".site.example")]
        return {"status": "completed", "error": None, "data": page_of(task, cookies=cookies)}

    return answer


async def test_fresh_clearance_that_the_site_refuses_gives_the_browsers_page(
    lab: Labs, fake: FakeService
) -> None:
    async with lab() as found:
        fresh = found.cleared()

        response = await found.challenged(Request(PAGE), fresh.generation)

        assert isinstance(response, HtmlResponse)
        assert response.text == "<p>page by browser</p>"
        assert found.stat("clearance/refused") == 1
    assert len(fake.tasks) == 1


@pytest.mark.parametrize(
    ("request_", "mode", "why"),
    [
        (Request(PAGE), "cookies", "mode is cookies"),
        (Request(PAGE, method="POST"), "auto", "it is a POST"),
        (Request(PAGE, method="POST"), "html", "it is a POST"),
    ],
)
async def test_refused_cookies_fail_where_the_browsers_page_cannot_stand_in(
    lab: Labs, fake: FakeService, request_: Request, mode: str, why: str
) -> None:
    async with lab(MODE=mode) as found:
        fresh = found.cleared()

        error = await found.refused(request_, fresh.generation)

        assert error.reason.endswith(f"from Scrapy, and {why}")
        assert found.stat("gave_up/reason/refused") == 1
    assert fake.tasks == []


async def test_request_is_solved_for_only_so_often(lab: Labs, fake: FakeService) -> None:
    """Each time the clearance was good for others."""
    async with lab(TIMES=2, MODE="cookies") as found:
        request = Request(PAGE)
        for _ in range(2):
            old = found.cleared(successes=1)
            request = await found.goes_out(await found.parked(request, old.generation))
        old = found.cleared(successes=1)

        error = await found.refused(request, old.generation)

        assert "refuses the browser's cookies" in error.reason
    assert len(fake.tasks) == 2


# The browser's page


async def test_page_of_the_solve_is_the_response_in_html_mode(lab: Labs, fake: FakeService) -> None:
    async with lab(MODE="html") as found:
        response = await found.challenged(Request(PAGE))

        assert isinstance(response, HtmlResponse)
        assert response.flags == ["captcha-bypass"]
    assert len(fake.tasks) == 1


async def test_next_pages_are_opened_with_the_clearance(lab: Labs, fake: FakeService) -> None:
    async with lab(MODE="html") as found:
        await found.challenged(Request(PAGE))
        response = await found.challenged(Request(f"{PAGE}/2"))

        assert isinstance(response, HtmlResponse)
    assert [task["url"] for task in fake.tasks] == [PAGE, f"{PAGE}/2"]
    assert [cookie["name"] for cookie in fake.tasks[1]["cookies"]] == ["cf_clearance"]


@pytest.mark.parametrize("first", [True, False], ids=["of the solve", "of a later page"])
async def test_what_no_browsers_page_can_be_goes_by_cookies(
    lab: Labs, fake: FakeService, *, first: bool
) -> None:
    async with lab(MODE="html") as found:
        if not first:
            await found.challenged(Request(PAGE))

        async def image(task: Json) -> Json:
            data = page_of(task, headers={"content-type": "image/png"})
            return {"status": "completed", "error": None, "data": data}

        fake.answer = image
        copy = await found.challenged(Request(f"{SITE}/i.png"))

        assert isinstance(copy, Request)
        assert not wants_page(copy, options_of(copy, found.middleware.config))


async def test_solve_that_fails_is_waited_for_in_html_mode_too(
    lab: Labs, fake: FakeService
) -> None:
    failing(fake, 1)
    async with lab(MODE="html") as found:
        copy = await found.parked(Request(PAGE))

        assert request_state.has_led(copy, found.solve_of(copy).number)
        await found.goes_out(copy)
    assert len(fake.tasks) == 2


async def test_crawl_that_ends_meanwhile_gives_no_page(lab: Labs, fake: FakeService) -> None:
    fake.seconds = 60
    async with lab(MODE="html") as found:
        waiting = asyncio.create_task(found.challenged(Request(PAGE)))
        assert await eventually(lambda: len(fake.tasks) == 1, 5)

        await found.runner.close()

        requeued = await waiting
        assert isinstance(requeued, Request)
        assert resending.pop_leaving(requeued)
    assert fake.deleted == ["task-1"]


@pytest.mark.parametrize(
    ("request_", "mode", "wanted"),
    [
        (Request(PAGE), "html", True),
        (Request(PAGE), "auto", False),
        (Request(PAGE, method="POST"), "html", False),
        (Request(PAGE, meta={"captcha_bypass": "html"}), "cookies", True),
        (Request(PAGE, meta={"captcha_bypass": {"mode": "auto"}}), "html", False),
        (resending.by_cookies(Request(PAGE)), "html", False),
    ],
)
def test_browsers_page_is_wanted_for_gets_in_html_mode(
    request_: Request,
    mode: Mode,
    *,
    wanted: bool,
) -> None:
    options = options_of(request_, Config("http://service", mode=mode))

    assert wants_page(request_, options) is wanted


# Solves that fail


async def test_request_that_led_lets_others_lead_the_next_try(lab: Labs, fake: FakeService) -> None:
    failing(fake, 1)
    async with lab() as found:
        leader = await found.parked(Request(PAGE))
        other = await found.parked(Request(f"{PAGE}/2"))
        await asyncio.gather(found.goes_out(leader), found.goes_out(other))

        assert found.stat("solve/retry/count") == 2
        assert found.stat("solve/retry/reason_count/unsolved") == 2
    assert [task["url"] for task in fake.tasks] == [PAGE, f"{PAGE}/2"]


async def test_lonely_request_leads_again(lab: Labs, fake: FakeService) -> None:
    failing(fake, 1)
    async with lab() as found:
        back = await found.goes_out(await found.parked(Request(PAGE, priority=5)))

        assert back.priority == 4  # as RetryMiddleware puts it off
    assert len(fake.tasks) == 2


@pytest.mark.parametrize("times", [0, 1, 2])
async def test_request_fails_after_so_many_tries(lab: Labs, fake: FakeService, times: int) -> None:
    fake.answer = failed
    async with lab(RETRY_TIMES=times, COOLDOWN=0) as found:
        error = await found.lost(await found.parked(Request(PAGE)))

        assert (error.vendor, error.reason) == ("cloudflare", "dns_error: no")
        assert error.response is not None
        assert error.response.status == 403
        assert found.stat("solve/retry/count") == times
        assert found.stat("solve/retry/max_reached") == 1
        assert found.stat("gave_up/reason/unsolved") == 1
    assert len(fake.tasks) == times + 1


async def test_failure_of_a_solve_counts_once_for_each_who_waits(
    lab: Labs, fake: FakeService
) -> None:
    failing(fake, 1)
    async with lab() as found:
        leader = await found.parked(Request(PAGE))
        other = await found.parked(Request(f"{PAGE}/2"))
        await found.solve_of(leader).outcome
        for _ in range(3):  # it comes by again and again
            await found.holder.hold(other, first=False)

        assert found.stat("solve/retry/count") == 1
        await asyncio.gather(found.goes_out(leader), found.goes_out(other))


async def test_task_that_the_service_rejects_is_its_leaders_fault_alone(
    lab: Labs, fake: FakeService
) -> None:
    fake.refusals = [REJECTED]
    async with lab() as found:
        leader = await found.parked(Request(PAGE))
        other = await found.parked(Request(f"{PAGE}/2"))

        error = await found.lost(leader)
        await found.goes_out(other)

        assert "The request is invalid." in error.reason
        assert found.stat("gave_up/reason/rejected") == 1
        assert found.stat("solve/retry/count") == 0
    assert [task["url"] for task in fake.tasks] == [f"{PAGE}/2"]


async def test_own_conditions_that_fail_are_not_held_against_others(
    lab: Labs, fake: FakeService
) -> None:
    async def answer(task: Json) -> Json:
        return await (failed(task) if "success_selector" in task else fake.solved(task))

    fake.answer = answer
    own = {"captcha_bypass": {"success_selector": "#x", "retry_times": 0}}
    async with lab() as found:
        odd = await found.parked(Request(PAGE, meta=own))
        normal = await found.parked(Request(f"{PAGE}/2"))

        assert found.solve_of(odd) is not found.solve_of(normal)
        await found.lost(odd)
        await found.goes_out(normal)
        assert found.stat("solve/retry/count") == 0


async def test_request_of_another_host_that_joined_in_vain_goes_its_own_way(
    lab: Labs, fake: FakeService
) -> None:
    """The solve might have been good for the whole domain."""
    fake.answer = failed
    async with lab(RETRY_TIMES=0) as found:
        await found.parked(Request(PAGE))
        sibling = await found.parked(Request("http://b.site.example/"))
        await found.solve_of(sibling).outcome

        assert await found.holder.hold(sibling, first=False) is None
        assert request_state.awaited_solve(sibling) is None


async def test_clearance_that_came_otherwise_will_do(lab: Labs, fake: FakeService) -> None:
    fake.answer = failed
    async with lab() as found:
        leader = await found.parked(Request(PAGE))
        other = await found.parked(Request(f"{PAGE}/2"))
        await found.solve_of(leader).outcome
        found.cleared()

        assert await found.holder.hold(other, first=False) is None
        assert request_state.awaited_solve(other) is None
    assert len(fake.tasks) == 1


async def test_host_that_failed_twice_rests_and_its_requests_wait(
    lab: Labs, fake: FakeService
) -> None:
    failing(fake, 2)
    async with lab(COOLDOWN=0.3) as found:
        first = asyncio.create_task(found.goes_out(await found.parked(Request(PAGE))))
        assert await eventually(lambda: found.solves.rest(KEY) is not None, 5)

        late = await found.parked(Request(f"{PAGE}/late"))
        assert request_state.has_counted(late, found.solve_of(late).number)
        assert len(fake.tasks) == 2
        await asyncio.gather(first, found.goes_out(late))
        assert request_state.count_failure(late) == 1  # those before it were not its own
    assert len(fake.tasks) == 3


async def test_host_that_always_fails_is_given_up_for_a_while(lab: Labs, fake: FakeService) -> None:
    fake.seconds = 60
    async with lab() as found:
        waiting = await found.parked(Request(PAGE))
        assert await eventually(lambda: len(fake.tasks) == 1, 5)
        last = found.solve_of(waiting)
        for _ in range(FAILURES_BEFORE_GIVING_UP):
            request = Request(PAGE)
            challenged = Challenged(
                request, CHALLENGE, target_of(request, None), last.options, None
            )
            last = found.solves.start(challenged, old=None)
            found.solves.finish(last, SolveError("no way through"))
        request_state.wait_for(waiting, last.number, counted=True)

        error = await found.lost(waiting)
        assert error.reason == "not tried again so soon after: no way through"
        assert found.stat("gave_up/reason/cooldown") == 1
        await found.runner.close()
        error = await found.refused(Request(f"{PAGE}/2"))
        assert "not tried again so soon" in error.reason
        assert found.stat("gave_up/reason/cooldown") == 2


async def test_error_that_nobody_has_foreseen_is_logged_and_ends_the_solve(
    lab: Labs, fake: FakeService, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lab(RETRY_TIMES=0) as found:

        async def broken(challenged: Challenged) -> None:
            raise KeyError("cookies")

        monkeypatch.setattr(found.runner._solver, "get_clearance", broken)
        error = await found.lost(await found.parked(Request(PAGE)))

    assert error.reason == "KeyError: 'cookies'"
    (record,) = [r for r in caplog.records if "nobody has foreseen" in r.message]
    assert record.exc_info is not None


# A service that cannot be used


async def test_service_that_refuses_loses_all_who_wait_and_nobody_asks_again(
    lab: Labs, fake: FakeService
) -> None:
    fake.refusals = [UNAUTHORIZED] * 9
    async with lab() as found:
        copies = [await found.parked(Request(f"{PAGE}/{n}")) for n in range(3)]
        errors = [await found.lost(copy) for copy in copies]

        assert all("CAPTCHA_BYPASS_API_KEY" in error.reason for error in errors)
        assert found.stat("gave_up/reason/solver") == 3
        await found.refused(Request(f"{PAGE}/4"))
        assert found.stat("gave_up/reason/solver") == 4
    assert len(fake.calls) == 1


async def test_next_try_that_the_service_does_not_take_loses_its_request(
    lab: Labs, fake: FakeService
) -> None:
    async with lab(MAX_SOLVES=1, COOLDOWN=0) as found:
        fake.answer = failed
        error = await found.lost(await found.parked(Request(PAGE)))

        assert "CAPTCHA_BYPASS_MAX_SOLVES" in error.reason
        assert found.stat("gave_up/reason/budget") == 1


async def test_spider_is_closed_where_the_setting_says_so(lab: Labs, fake: FakeService) -> None:
    fake.refusals = [UNAUTHORIZED] * 9
    async with lab(ON_UNAVAILABLE="close") as found:
        closed: list[bool] = []
        found.runner._close_spider = lambda: closed.append(True)
        copy = await found.parked(Request(PAGE))

        await asyncio.wait([found.solve_of(copy).outcome])
        assert await found.holder.hold(copy, first=False) is not None
        assert await found.challenged(Request(f"{PAGE}/2")) is not None
        assert found.stat("requeued_on_close") == 2  # nobody's request is lost
        assert closed == [True]


async def test_end_of_the_crawl_ends_its_solves(lab: Labs, fake: FakeService) -> None:
    fake.seconds = 60
    async with lab() as found:
        copy = await found.parked(Request(PAGE))
        solve = found.solve_of(copy)
        assert await eventually(lambda: len(fake.tasks) == 1, 5)

        await found.runner.close()

        assert isinstance(solve.outcome.result(), CrawlEnding)
        requeued = await found.holder.hold(copy, first=False)
        assert requeued is not None
        assert resending.pop_leaving(requeued)
    assert fake.deleted == ["task-1"]


# Requests on their way out


async def test_request_of_a_host_without_trouble_goes(lab: Labs) -> None:
    async with lab() as found:
        assert await found.holder.hold(Request(PAGE), first=True) is None
        assert found.stat("parked/count") == 0


async def test_request_that_waited_in_an_earlier_run_is_sent_as_any(lab: Labs) -> None:
    request = Request(PAGE)
    request_state.wait_for(request, 5, leads=True)
    async with lab() as found:
        assert await found.holder.hold(request, first=False) is None

    assert request_state.awaited_solve(request) is None


async def test_request_of_a_host_that_is_being_solved_is_held(lab: Labs, fake: FakeService) -> None:
    fake.seconds = 0.3
    async with lab() as found:
        leader = await found.parked(Request(PAGE))
        held = await found.holder.hold(Request(f"{PAGE}/2"), first=True)

        assert held is not None
        assert held.priority < -100_000
        assert found.stat("held/count") == 1
        assert await found.holder.hold(Request("http://other.example/"), first=True) is None
        await found.goes_out(leader)
        assert await found.holder.hold(found.scheduled(held), first=False) is None
        assert found.stat("held/count") == 1
    assert len(fake.tasks) == 1


async def test_now_and_then_one_looks_whether_other_pages_are_open(
    lab: Labs, fake: FakeService
) -> None:
    fake.seconds = 60
    slot = {"download_slot": "site.example"}
    async with lab() as found:
        found.solves.opened("site.example")
        await found.parked(Request(PAGE, meta=dict(slot)))
        probe, other = Request(f"{PAGE}/2"), Request(f"{PAGE}/3")

        assert await found.holder.hold(probe, first=True) is None
        assert request_state.is_probe(probe)
        assert await found.holder.hold(other, first=True) is not None
        found.solves.page_came(KEY, probing=True)
        assert await found.holder.hold(Request(f"{PAGE}/4"), first=True) is None
        assert await found.holder.hold(probe, first=True) is None


async def test_request_that_somebody_awaits_waits_in_place(lab: Labs, fake: FakeService) -> None:
    fake.seconds = 0.2
    async with lab() as found:
        await found.parked(Request(PAGE))
        copy = await found.holder.hold(Request(f"{PAGE}/2"), first=True)
        assert copy is not None
        resending.restore(copy)  # it was not scheduled in between

        assert await found.holder.hold(copy, first=False) is None
        assert found.clearances.current(KEY) is not None
