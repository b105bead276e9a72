"""Requests on their way out that have to wait for a solve."""

from __future__ import annotations

import asyncio

import pytest
from scrapy import Request

from captcha_bypass_scrapy import (
    request_state,
    resending,
    site_state,
)
from captcha_bypass_scrapy.challenged import Challenged
from captcha_bypass_scrapy.errors import SolveError
from captcha_bypass_scrapy.keys import target_of
from captcha_bypass_scrapy.site_state import FAILURES_BEFORE_GIVING_UP
from tests.captcha_bypass_scrapy.fake_service import FakeService, Json, failed
from tests.captcha_bypass_scrapy.labs import CHALLENGE, KEY, PAGE, Labs
from tests.support.service import eventually

Refusal = tuple[int, dict[str, str], object]
REJECTED: Refusal = (400, {}, {"error": {"message": "The request is invalid."}})


def failing(fake: FakeService, times: int) -> None:
    """Have so many solves fail before the first that works."""

    async def answer(task: Json) -> Json:
        return await (failed(task) if len(fake.tasks) <= times else fake.solved(task))

    fake.answer = answer


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
    fake.answer, fake.seconds = failed, 0.5
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
    async with lab(COOLDOWN=60) as found:  # a short one might be over before it is seen
        first = asyncio.create_task(found.goes_out(await found.parked(Request(PAGE))))
        assert await eventually(lambda: found.solves.rest(KEY) is not None, 60)

        late = await found.parked(Request(f"{PAGE}/late"))
        assert request_state.has_counted(late, found.solve_of(late).number)
        assert len(fake.tasks) == 2
        found.solves._sites[KEY]._rests_until = 0.0  # a minute later
        await asyncio.gather(first, found.goes_out(late))
        assert request_state.count_failure(late) == 1  # those before it were not its own
    assert len(fake.tasks) == 3


async def test_host_that_always_fails_is_given_up_for_a_while(lab: Labs, fake: FakeService) -> None:
    fake.seconds = 60
    async with lab() as found:
        waiting = await found.parked(Request(PAGE))
        await fake.until_known()
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
    fake.go.clear()
    async with lab(MODE="cookies") as found:
        leader = await found.parked(Request(PAGE))
        held = await found.holder.hold(Request(f"{PAGE}/2"), first=True)

        assert held is not None
        assert held.priority < -100_000
        assert found.stat("held/count") == 1
        assert await found.holder.hold(Request("http://other.example/"), first=True) is None
        fake.go.set()
        await found.goes_out(leader)
        assert await found.holder.hold(found.scheduled(held), first=False) is None
        assert found.stat("held/count") == 1
    assert len(fake.tasks) == 1


async def test_now_and_then_one_looks_whether_other_pages_are_open(
    lab: Labs, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_state, "PROBE_SECONDS", 60.0)
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
    fake.go.clear()
    async with lab() as found:
        await found.parked(Request(PAGE))
        copy = await found.holder.hold(Request(f"{PAGE}/2"), first=True)
        assert copy is not None
        resending.restore(copy)  # it was not scheduled in between
        asyncio.get_running_loop().call_later(0.2, fake.go.set)

        assert await found.holder.hold(copy, first=False) is None
        assert found.clearances.current(KEY) is not None
