"""What becomes of requests that the browser could not send, or not past a challenge."""

from __future__ import annotations

import pytest
from scrapy import Request

import captcha_bypass_scrapy.site_state as site_state_module
from captcha_bypass_scrapy import ChallengeNotSolved, request_state
from captcha_bypass_scrapy.errors import (
    CrawlEnding,
    Evidence,
    NotFetched,
    SolveError,
    SolverUnavailable,
)
from captcha_bypass_scrapy.site_state import FAILURES_BEFORE_GIVING_UP
from tests.captcha_bypass_scrapy.labs import KEY, PAGE, Lab, Labs

HINT = {"code": "captcha_widget", "message": "It waits for a person."}
STUCK = SolveError(
    "The challenge of cloudflare was not passed.", evidence=Evidence(("no_challenge",), (HINT,))
)
BUSY = SolverUnavailable("it is full", 1.0, "busy")
AWAY = SolverUnavailable("no answer", 10.0)
KEYLESS = SolverUnavailable("the service refuses the API key", 60.0, "refusing")


def request(**meta: object) -> Request:
    found = Request(PAGE, meta=meta)
    request_state.mark_probe(found)
    return found


def handle(found: Lab, request: Request, error: SolveError | CrawlEnding) -> Request:
    found.middleware.ways.open(KEY, "anubis", refuses=True)
    copy = found.middleware.process_exception(request, NotFetched(error))
    assert copy is not None
    return copy


def lost(found: Lab, request: Request, error: SolveError) -> ChallengeNotSolved:
    with pytest.raises(ChallengeNotSolved) as raised:
        handle(found, request, error)
    return raised.value


async def test_request_waits_for_another_try_and_its_site_with_it(lab: Labs) -> None:
    async with lab() as found:
        copy = handle(found, request(), STUCK)

        assert copy.priority < -100_000
        assert copy.dont_filter
        assert not request_state.is_probe(copy)
        assert found.solves.busy()
        assert found.stat("solve/retry/count") == 1
        assert found.stat("parked/count") == 1


@pytest.mark.parametrize("times", [0, 1, 3])
async def test_request_is_tried_so_often_and_fails_then(lab: Labs, times: int) -> None:
    async with lab(RETRY_TIMES=times, COOLDOWN=0) as found:
        asked = request()
        for _ in range(times):
            asked = found.scheduled(handle(found, asked, STUCK))
            assert asked.priority < 0

        error = lost(found, asked, STUCK)

        assert (error.vendor, error.reason) == ("anubis", str(STUCK))
        assert error.response is None
        assert (error.unmet, error.hints) == (["no_challenge"], [HINT])
        assert found.stat("gave_up/reason/unsolved") == 1
        assert found.stat("solve/retry/max_reached") == 1
        assert not [name for name in asked.meta if name.startswith("_captcha_bypass")]


async def test_requests_of_a_site_that_is_given_up_fail_at_once(lab: Labs) -> None:
    async with lab(RETRY_TIMES=0) as found:
        for _ in range(FAILURES_BEFORE_GIVING_UP):
            lost(found, request(), STUCK)
        with pytest.raises(ChallengeNotSolved, match="not tried again so soon after") as raised:
            await found.holder.hold(Request(f"{PAGE}/2"), first=True)
        assert (raised.value.unmet, raised.value.hints) == (["no_challenge"], [HINT])
        assert found.stat("gave_up/reason/cooldown") == 1
        # Those of other modes and sites go on.
        other = Request(f"{PAGE}/3", meta={"captcha_bypass": "cookies"})
        assert await found.holder.hold(other, first=True) is None
        assert await found.holder.hold(Request("http://other.example/"), first=True) is None


async def test_single_request_that_fails_is_not_held_against_its_site(lab: Labs) -> None:
    async with lab() as found:
        alone = request()
        request_state.mark_by_browser(alone)
        handle(found, alone, STUCK)
        assert not found.solves.busy()


async def test_request_that_is_not_taken_fails_alone(lab: Labs) -> None:
    async with lab() as found:
        found.solves.prove(KEY, 100.0)
        state = found.solves._sites[KEY]
        state.mark_probed()
        error = lost(found, request(), SolveError("no body with GET", "rejected"))
        assert error.reason == "no body with GET"
        assert found.stat("gave_up/reason/rejected") == 1
        assert state.probe_in <= 0  # the next one may open the site


@pytest.mark.parametrize("error", [BUSY, AWAY])
async def test_service_in_trouble_is_waited_for_by_one_at_a_time(
    lab: Labs, error: SolverUnavailable
) -> None:
    async with lab() as found:
        found.middleware._failed._service._went_down(error)
        copy = handle(found, request(), error)
        assert copy.priority < -100_000
        state = found.solves._sites[KEY]
        assert state.unproven
        assert 0 < state.probe_in <= 2
        assert found.stat("gave_up/count") == 0


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"ON_UNAVAILABLE": "fail"}, AWAY),
        ({"UNAVAILABLE_TIMEOUT": 0}, AWAY),
        ({}, KEYLESS),
    ],
)
async def test_service_that_is_not_waited_for_fails_all(
    lab: Labs, settings: dict[str, object], error: SolverUnavailable
) -> None:
    async with lab(**settings) as found:
        found.solves.prove(KEY)
        found.middleware._failed._service._went_down(error)
        assert lost(found, request(), error).reason == str(error)
        assert found.stat("gave_up/reason/solver") == 1
        assert not found.solves.busy()


async def test_spider_is_closed_where_the_settings_say_so(lab: Labs) -> None:
    async with lab(ON_UNAVAILABLE="close") as found:
        closed: list[bool] = []
        found.middleware._failed._close_spider = lambda: closed.append(True)
        copy = handle(found, request(), AWAY)
        assert closed == [True]
        assert found.stat("requeued_on_close") == 1
        assert not request_state.is_probe(copy)


async def test_closing_spider_has_its_requests_back_in_the_scheduler(lab: Labs) -> None:
    async with lab() as found:
        copy = handle(found, request(), CrawlEnding())
        assert found.stat("requeued_on_close") == 1
        assert copy.url == PAGE


async def test_exceptions_of_others_are_none_of_ours(lab: Labs) -> None:
    async with lab() as found:
        assert found.middleware.process_exception(request(), OSError("no")) is None


def test_a_site_is_opened_by_one_request_for_longer_than_most_solves_take() -> None:
    assert site_state_module.OPENING_SECONDS >= 10
