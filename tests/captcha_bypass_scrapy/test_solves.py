"""Who is being solved, who gets a rest, and who has to wait for that: on a clock of the test's."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from scrapy import Request

import captcha_bypass_scrapy.site_state as site_state_module
import captcha_bypass_scrapy.solves as solves_module
from captcha_bypass.challenges import Challenge
from captcha_bypass_scrapy.challenged import Challenged
from captcha_bypass_scrapy.clearance import Clearance
from captcha_bypass_scrapy.errors import CrawlEnding, SolveError, SolverUnavailable
from captcha_bypass_scrapy.keys import Proxy, SiteKey, Target
from captcha_bypass_scrapy.options import Options
from captcha_bypass_scrapy.site_state import (
    FAILURES_BEFORE_GIVING_UP,
    FAILURES_BEFORE_REST,
    PROBE_SECONDS,
    RETRY_SECONDS,
    STRIKES,
)
from captcha_bypass_scrapy.solve import Solve
from captcha_bypass_scrapy.solves import Solves

SHARED = Options("auto", 60.0, None, None)
OWN = Options("auto", 60.0, "Welcome", None, shared=False)
HOST = SiteKey("http://a.site.example", None)
SIBLING = SiteKey("http://b.site.example", None)
OTHER = SiteKey("http://other.example", None)
COOLDOWN = 30.0
FAILED = SolveError("the browser did not get through")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    fake = SimpleNamespace(monotonic=clock, time_ns=lambda: 10**18)
    monkeypatch.setattr(solves_module, "time", fake)
    monkeypatch.setattr(site_state_module, "time", fake)
    return clock


@pytest.fixture
async def solves(clock: Clock) -> Solves:
    return Solves(COOLDOWN)


def clearance() -> Clearance:
    return Clearance(1, "cloudflare", (), "Firefox")


def start(
    solves: Solves,
    key: SiteKey = HOST,
    options: Options = SHARED,
    *,
    old: Clearance | None = None,
    slot: str | None = None,
) -> Solve:
    request = Request(f"{key.origin}/", meta={} if slot is None else {"download_slot": slot})
    target = Target(key, (), request.url, (request.url,))
    challenge = Challenge("cloudflare", "automatic")
    return solves.start(Challenged(request, challenge, target, options, None), old=old)


def fail(solves: Solves, times: int = 1, key: SiteKey = HOST, options: Options = SHARED) -> Solve:
    for _ in range(times):
        solve = start(solves, key, options)
        solves.finish(solve, FAILED)
    return solve


# One solve


async def test_solve_is_known_by_its_number_while_it_runs_and_after(solves: Solves) -> None:
    first, second = start(solves), start(solves, OTHER)

    assert first.number != second.number
    solves.finish(first, None)
    assert solves.find(first.number) is first
    assert first.outcome.result() is None
    assert solves.find(5) is None


async def test_numbers_of_two_runs_are_never_the_same() -> None:
    """Requests in a JOBDIR carry those of the run before."""
    first, second = start(Solves(0)), start(Solves(0))

    assert first.number != second.number


async def test_outcome_is_a_value_so_that_nobody_has_to_fetch_it(solves: Solves) -> None:
    ending = start(solves, OTHER)
    solves.finish(ending, CrawlEnding())

    assert isinstance(ending.outcome.result(), CrawlEnding)
    assert fail(solves).outcome.result() is FAILED


async def test_challenge_page_is_let_go_of_when_nobody_needs_it(solves: Solves) -> None:
    solve = start(solves)
    solve.response = object()  # type: ignore[assignment]

    solves.finish(solve, None)

    assert solve.response is None


async def test_solves_are_busy_while_one_runs_or_has_failed(solves: Solves) -> None:
    assert not solves.busy()
    solve = start(solves)
    assert solves.busy()
    solves.finish(solve, None)
    assert not solves.busy()
    fail(solves)
    assert solves.busy()


async def test_old_solves_are_forgotten_unless_their_host_rests_for_them(
    solves: Solves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solves_module, "REMEMBERED", 3)
    kept = fail(solves, FAILURES_BEFORE_REST)
    running = start(solves, OTHER)
    over = []
    for n in range(10):
        over.append(start(solves, SiteKey(f"http://{n}.example", None)))
        solves.finish(over[-1], None)

    assert solves.find(kept.number) is kept
    assert solves.find(running.number) is running
    assert [solves.find(solve.number) for solve in over[:7]] == [None] * 7
    assert solves.find(over[-1].number) is over[-1]


# Who joins whom


async def test_challenged_requests_join_the_solve_of_their_key(solves: Solves) -> None:
    solve = start(solves)

    assert solves.join(HOST, SHARED, None) is solve
    assert solves.join(OTHER, SHARED, None) is None
    assert solves.join(SiteKey(HOST.origin, Proxy("http://p:1")), SHARED, None) is None
    solves.finish(solve, None)
    assert solves.join(HOST, SHARED, None) is None


async def test_solve_by_own_conditions_is_for_those_with_own_ones(solves: Solves) -> None:
    own = start(solves, options=OWN)

    assert solves.join(HOST, SHARED, None) is None
    assert solves.join(HOST, OWN, None) is own
    shared = start(solves)
    assert solves.join(HOST, SHARED, None) is shared


async def test_hosts_that_share_a_clearance_are_solved_together(solves: Solves) -> None:
    old = clearance()
    solves.finish(start(solves, SIBLING), None)  # their domain's hosts need one each, it seemed
    solve = start(solves, HOST, old=old)

    assert solves.join(SIBLING, SHARED, old) is solve
    assert solves.join(SIBLING, SHARED, clearance()) is None
    assert solves.join(SiteKey(SIBLING.origin, Proxy("http://p:1")), SHARED, old) is None


async def test_hosts_of_a_domain_wait_for_the_first_of_them(solves: Solves) -> None:
    solve = start(solves)

    assert solves.join(SIBLING, SHARED, None) is solve
    assert solves.join(SiteKey(SIBLING.origin, Proxy("http://p:1")), SHARED, None) is None


@pytest.mark.parametrize("shares", [False, True])
async def test_hosts_that_turned_out_to_share_nothing_are_solved_apart(
    solves: Solves, *, shares: bool
) -> None:
    solves.finish(start(solves), None, shares=shares)
    solve = start(solves)

    assert solves.join(SIBLING, SHARED, None) is (solve if shares else None)


async def test_own_conditions_of_a_sibling_are_nobodys(solves: Solves) -> None:
    start(solves, options=OWN)

    assert solves.join(SIBLING, SHARED, None) is None
    assert solves.join(SIBLING, OWN, None) is None


# Rests


async def test_one_failure_costs_no_rest(solves: Solves) -> None:
    fail(solves)

    assert solves.rest(HOST) is None
    assert solves.given_up(HOST) is None


async def test_host_rests_after_failures_in_a_row(solves: Solves, clock: Clock) -> None:
    last = fail(solves, FAILURES_BEFORE_REST)

    assert solves.rest(HOST) == (last, COOLDOWN)
    assert solves.rest(SIBLING) is None
    clock.now += COOLDOWN - 1
    assert solves.rest(HOST) == (last, 1.0)
    clock.now += 1
    assert solves.rest(HOST) is None
    fail(solves)
    assert solves.rest(HOST) is not None


async def test_success_ends_all_rests(solves: Solves) -> None:
    fail(solves, FAILURES_BEFORE_REST)
    solves.finish(start(solves), None)

    assert solves.rest(HOST) is None
    fail(solves)
    assert solves.rest(HOST) is None  # it is counted from the beginning


@pytest.mark.parametrize(
    "outcome",
    [
        SolveError("no", "rejected"),
        SolveError("no", "budget"),
        SolverUnavailable("down", 10.0),
        CrawlEnding(),
    ],
)
async def test_what_is_not_the_hosts_fault_costs_no_rest(
    solves: Solves, outcome: SolveError | CrawlEnding
) -> None:
    for _ in range(FAILURES_BEFORE_REST + 1):
        solves.finish(start(solves), outcome)

    assert solves.rest(HOST) is None
    assert not solves.busy()


async def test_failure_of_own_conditions_is_not_the_hosts(solves: Solves) -> None:
    fail(solves, FAILURES_BEFORE_REST + 1, options=OWN)

    assert solves.rest(HOST) is None


async def test_host_that_always_fails_is_given_up_while_it_rests(
    solves: Solves, clock: Clock
) -> None:
    fail(solves, FAILURES_BEFORE_GIVING_UP - 1)
    assert solves.given_up(HOST) is None
    fail(solves)

    assert str(solves.given_up(HOST)) == f"not tried again so soon after: {FAILED}"
    clock.now += COOLDOWN
    assert solves.given_up(HOST) is None  # after the rest it is tried once more


# Requests that were not challenged yet


async def test_requests_of_a_host_being_solved_are_held(solves: Solves) -> None:
    assert solves.holds(HOST, SHARED, None) is None
    solve = start(solves)

    held = solves.holds(HOST, SHARED, None)
    assert held is not None
    assert not held.freed.done()
    assert solves.holds(SIBLING, SHARED, None) is None  # it may be open
    freed = held.freed
    solves.finish(solve, None)
    assert freed.done()
    assert solves.holds(HOST, SHARED, None) is None


async def test_requests_with_other_conditions_are_not_held_by_own_ones(solves: Solves) -> None:
    start(solves, options=OWN)

    assert solves.holds(HOST, OWN, None) is not None
    failed = solves.holds(HOST, SHARED, None)
    assert failed is not None  # the host is busy all the same
    assert solves.holds(OTHER, SHARED, None) is None


async def test_requests_of_a_sharing_host_are_held_with_it(solves: Solves) -> None:
    old = clearance()
    start(solves, old=old)

    assert solves.holds(SIBLING, SHARED, old) is not None
    assert solves.holds(SIBLING, SHARED, None) is None


async def test_host_that_was_never_open_is_not_probed(solves: Solves) -> None:
    start(solves, slot="a.site.example")

    held = solves.holds(HOST, SHARED, None)
    assert held is not None
    assert held.probe_in == float("inf")


async def test_host_with_open_pages_is_probed_now_and_then(solves: Solves, clock: Clock) -> None:
    solves.opened("a.site.example")
    start(solves, slot="a.site.example")
    held = solves.holds(HOST, SHARED, None)
    assert held is not None
    assert held.probe_in <= 0

    held.mark_probed()

    assert held.probe_in == PROBE_SECONDS
    clock.now += PROBE_SECONDS
    assert held.probe_in == 0


async def test_open_page_frees_those_that_are_held(solves: Solves) -> None:
    solves.opened("a.site.example")
    start(solves, slot="a.site.example")
    held = solves.holds(HOST, SHARED, None)
    assert held is not None
    freed = held.freed
    solves.page_came(HOST, probing=False)  # it was sent before
    assert not freed.done()

    solves.page_came(HOST, probing=True)

    assert freed.done()
    assert solves.holds(HOST, SHARED, None) is None
    assert solves.freed(HOST) is None


async def test_few_challenges_in_a_row_and_they_are_held_again(
    solves: Solves, clock: Clock
) -> None:
    start(solves)
    solves.page_came(HOST, probing=True)
    for _ in range(STRIKES - 1):
        solves.challenge_came(HOST)
    solves.page_came(HOST, probing=False)  # not in a row
    for _ in range(STRIKES - 1):
        solves.challenge_came(HOST)
    assert solves.holds(HOST, SHARED, None) is None

    solves.challenge_came(HOST)

    held = solves.holds(HOST, SHARED, None)
    assert held is not None
    assert held.probe_in == PROBE_SECONDS


async def test_challenges_and_pages_of_a_host_without_trouble_are_nothing(solves: Solves) -> None:
    solves.challenge_came(HOST)
    solves.page_came(HOST, probing=True)

    assert not solves.busy()


async def test_after_a_failure_those_who_were_challenged_come_first(
    solves: Solves, clock: Clock
) -> None:
    fail(solves)

    held = solves.holds(HOST, SHARED, None)
    assert held is not None
    assert held.probe_in == RETRY_SECONDS


async def test_after_a_rest_too(solves: Solves) -> None:
    fail(solves, FAILURES_BEFORE_REST)

    held = solves.holds(HOST, SHARED, None)
    assert held is not None
    assert held.probe_in == COOLDOWN + RETRY_SECONDS


async def test_host_that_is_given_up_holds_nobody(solves: Solves) -> None:
    """Some of its pages may be open."""
    fail(solves, FAILURES_BEFORE_GIVING_UP)

    assert solves.holds(HOST, SHARED, None) is None


async def test_those_that_wait_look_again_after_every_outcome(solves: Solves) -> None:
    for outcome in (FAILED, None):
        solve = start(solves)
        freed = solves.freed(HOST)
        assert freed is not None
        waiting = asyncio.ensure_future(_wait(freed))
        await asyncio.sleep(0)
        solves.finish(solve, outcome)

        assert await waiting


async def _wait(freed: asyncio.Future[None]) -> bool:
    await asyncio.wait_for(freed, 1)
    return True


async def test_nobody_waits_for_a_host_that_nobody_knows(solves: Solves) -> None:
    assert solves.freed(HOST) is None


async def test_several_solves_of_a_key_end_each_for_itself(solves: Solves) -> None:
    first, second = start(solves), start(solves, options=OWN)

    solves.finish(first, FAILED)

    assert solves.join(HOST, OWN, None) is second
    assert not second.outcome.done()
    solves.finish(second, None)
    assert not solves.busy()


# Ways that have to be proven


async def test_first_page_of_an_unproven_way_frees_its_site_and_it_is_forgotten(
    solves: Solves,
) -> None:
    solves.prove(HOST, 10.0)
    assert solves.busy()
    site = solves.holds(HOST, SHARED, None)
    assert site is not None
    assert site.probe_in == 0.0
    assert solves.holds(OTHER, SHARED, None) is None
    assert (solves.is_unproven(HOST), solves.is_unproven(OTHER)) == (True, False)

    solves.page_came(HOST, probing=True)

    assert not solves.is_unproven(HOST)
    assert not solves.busy()


async def test_cookies_of_a_solve_may_have_to_be_proven(solves: Solves) -> None:
    solve = start(solves)
    solves.finish(solve, None, unproven=True)
    site = solves.holds(HOST, SHARED, None)
    assert site is not None
    assert site.unproven


async def test_failures_of_a_way_are_the_sites(solves: Solves, clock: Clock) -> None:
    for _ in range(FAILURES_BEFORE_GIVING_UP):
        solves.way_failed(HOST, SolveError("stuck"))
    assert str(solves.given_up(HOST)) == "not tried again so soon after: stuck"
    assert solves.rest(HOST) is None  # no solve has failed
    assert solves.holds(HOST, SHARED, None) is None
    clock.now += COOLDOWN
    assert solves.given_up(HOST) is None


async def test_site_that_is_released_holds_nobody(solves: Solves) -> None:
    solves.prove(HOST)
    solves.release(HOST)
    assert not solves.busy()
    solves.release(OTHER)
    solves.probe_ended(OTHER)


async def test_next_one_goes_when_a_probe_has_ended(solves: Solves) -> None:
    solves.prove(HOST, 10.0)
    site = solves.holds(HOST, SHARED, None)
    assert site is not None
    site.mark_probed()
    solves.probe_ended(HOST)
    assert site.probe_in == 0.0
