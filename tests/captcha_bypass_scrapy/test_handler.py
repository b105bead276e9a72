"""What is decided for a challenged request, in an engine of Scrapy's and with a scripted service."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from scrapy import Request
from scrapy.http import HtmlResponse

from captcha_bypass_scrapy import (
    request_state,
    resending,
)
from captcha_bypass_scrapy.handler import KEPT_PAGE_BYTES
from captcha_bypass_scrapy.options import options_of, wants_page
from captcha_bypass_scrapy.settings import Config, Mode
from tests.captcha_bypass_scrapy.fake_service import FakeService, Json, failed, page_of
from tests.captcha_bypass_scrapy.labs import KEY, PAGE, SITE, Labs


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
    # With "auto" they would go one by one, until one has its page.
    async with lab(MODE="cookies") as found:
        copies = [await found.parked(Request(f"{PAGE}/{n}")) for n in range(4)]

        assert len({request_state.awaited_solve(copy) for copy in copies}) == 1
        back = await asyncio.gather(*(found.goes_out(copy) for copy in copies))
        assert [request_state.times(request) for request in back] == [1, 0, 0, 0]
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
    fake.seconds = 60
    async with lab() as found:
        copy = await found.parked(Request(PAGE))
        found.handler._closing = found.holder._closing = lambda: True
        requeued: object
        if way == "challenged":
            requeued = await found.challenged(Request(PAGE))
        else:
            requeued = await found.holder.hold(copy, first=False)

        assert isinstance(requeued, Request)
        assert resending.pop_leaving(requeued)
        assert found.stat("requeued_on_close") == 1


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


async def test_probe_that_did_not_carry_the_newest_clearance_keeps_the_next_no_longer(
    lab: Labs,
) -> None:
    async with lab() as found:
        newest = found.cleared()
        found.solves.prove(KEY, 60)
        probe = Request(PAGE)
        assert await found.holder.hold(probe, first=True) is None
        assert request_state.is_probe(probe)

        copy = await found.challenged(probe, newest.generation - 1)

        assert isinstance(copy, Request)
        assert await found.holder.hold(copy, first=True) is None
        assert request_state.is_probe(copy)


async def test_clearance_that_never_arrives_ends_in_an_error(lab: Labs) -> None:
    async with lab() as found:
        found.cleared()
        request: Any = Request(PAGE)
        for _ in range(resending.MAX_STALE):
            request = await found.challenged(request)

        assert "never attached" in (await found.refused(request)).reason


@pytest.mark.parametrize(
    "doubt",
    [
        *("it was good for pages", "it is old", "it is another host's"),
        *("another crawl has had it for long", "other crawls have met its end"),
    ],
)
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
        if doubt == "another crawl has had it for long":
            old.shared_as({"id": "one", "age": 0.5, "reused": True})
        if doubt == "other crawls have met its end":
            old.shared_as({"id": "one", "age": 0.0, "reused": True})
            fake.refused.append("one")
        fake.tasks.clear()

        await found.goes_out(await found.parked(Request(PAGE), old.generation))

        assert found.clearances.current(KEY) is not old
        assert found.stat("clearance/expired") == 1
    assert len(fake.tasks) == 1


async def test_requests_that_hear_of_a_clearances_end_together_share_one_solve(
    lab: Labs, fake: FakeService
) -> None:
    fake.refused.append("one")
    async with lab() as found:
        old = found.cleared()
        old.shared_as({"id": "one", "age": 0.0, "reused": True})
        requests = [Request(f"{PAGE}/{n}") for n in range(5)]

        copies = await asyncio.gather(*(found.parked(r, old.generation) for r in requests))

        assert len({found.solve_of(copy).number for copy in copies}) == 1
        assert found.stat("clearance/expired") == 1
        for copy in copies:
            await found.goes_out(copy)
    assert len(fake.tasks) == 1


def _domain_wide(fake: FakeService) -> Any:  # noqa: ANN401 - what a fake answers
    async def answer(task: Json) -> Json:
        cookies = [fake.cookie(task, domain=".site.example")]
        return {"status": "completed", "error": None, "data": page_of(task, cookies=cookies)}

    return answer


@pytest.mark.parametrize("shared", [False, True])
async def test_fresh_clearance_that_the_site_refuses_has_the_browser_send_all_requests(
    lab: Labs, fake: FakeService, *, shared: bool
) -> None:
    async with lab() as found:
        fresh = found.cleared()
        if shared:
            fresh.shared_as({"id": "one", "age": 0.0, "reused": True})
        request = Request(PAGE, method="POST")

        copy = await found.challenged(request, fresh.generation)

        assert isinstance(copy, Request)
        assert found.middleware.ways.by_browser(copy, options_of(copy, found.middleware.config))
        assert found.stat("clearance/refused") == 1
        assert found.stat("fetch/sites") == 1
    assert fake.tasks == []
    assert fake.refused == (["one"] if shared else [])  # so that no other crawl gets it


async def test_page_that_alone_refuses_a_clearance_good_for_others_is_alone_sent_by_the_browser(
    lab: Labs,
) -> None:
    async with lab(TIMES=1) as found:
        good, request = found.cleared(successes=7), Request(PAGE)
        request_state.wait_for(request, 1, leads=True)
        request_state.note_solved(request)

        copy = await found.challenged(request, good.generation)

        assert isinstance(copy, Request)
        config, ways = found.middleware.config, found.middleware.ways
        assert ways.by_browser(copy, options_of(copy, config))
        other = Request(f"{PAGE}/2")
        assert not ways.by_browser(other, options_of(other, config))
        # It may be redirected to challenges all the same.
        copy = await found.challenged(copy)
        assert isinstance(copy, Request)
        error = await found.refused(copy)
        assert "sent to a challenge, too" in error.reason
        assert found.stat("fetch/sites") == 0


async def test_browsers_answer_that_is_a_challenge_to_the_users_detector_gives_its_page(
    lab: Labs, fake: FakeService
) -> None:
    async with lab() as found:
        fresh = found.cleared()
        found.middleware.ways.open(KEY, "homemade", refuses=True)

        response = await found.challenged(Request(PAGE), fetched=True)

        assert isinstance(response, HtmlResponse)
        assert response.text == "<p>page by browser</p>"
        error = await found.refused(Request(PAGE, method="POST"), fetched=True)
        assert "is a challenge to your detector" in error.reason
        # From now on the others get pages as well.
        response = await found.challenged(Request(f"{PAGE}/2"), fresh.generation)
        assert isinstance(response, HtmlResponse)


async def test_site_in_mode_fetch_is_never_solved_for_cookies(lab: Labs, fake: FakeService) -> None:
    async with lab(MODE="fetch") as found:
        copy = await found.challenged(Request(PAGE))

        assert isinstance(copy, Request)
        assert request_state.awaited_solve(copy) is None
        again = await found.challenged(Request(f"{PAGE}/2"))
        assert isinstance(again, Request)
        assert found.stat("fetch/sites") == 1
    assert fake.tasks == []


async def test_request_of_the_browsers_that_is_sent_to_challenges_ends(lab: Labs) -> None:
    async with lab(MODE="fetch", TIMES=2) as found:
        request = Request(PAGE)
        for _ in range(3):
            copy = await found.challenged(request)
            assert isinstance(copy, Request)
            request = copy

        error = await found.refused(request)

        assert "sent to a challenge, too" in error.reason
        assert found.stat("gave_up/reason/refused") == 1


async def test_fresh_clearance_gives_the_browsers_page_where_its_answers_are_no_better(
    lab: Labs, fake: FakeService
) -> None:
    async with lab() as found:
        fresh = found.cleared()
        found.middleware.ways.give_up(KEY)

        response = await found.challenged(Request(PAGE), fresh.generation)

        assert isinstance(response, HtmlResponse)
        assert response.text == "<p>page by browser</p>"
        assert found.stat("clearance/refused") == 1
    assert len(fake.tasks) == 1


@pytest.mark.parametrize(
    ("request_", "mode", "why"),
    [
        (Request(PAGE), "cookies", "mode is cookies"),
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
        await fake.until_known()

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
