"""How one site is doing: its failures, its rests, and who has to wait; on a clock of the test's."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import captcha_bypass_scrapy.site_state as site_state_module
from captcha_bypass_scrapy.errors import Evidence, SolveError
from captcha_bypass_scrapy.site_state import (
    FAILURES_BEFORE_GIVING_UP,
    FAILURES_BEFORE_REST,
    PROBE_SECONDS,
    RETRY_SECONDS,
    STRIKES,
    SiteState,
)
from tests.support.virtual_time import VirtualLoop

COOLDOWN = 30.0
NEVER = float("inf")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(site_state_module, "time", SimpleNamespace(monotonic=clock))
    return clock


@pytest.fixture
async def site(clock: Clock) -> SiteState:
    return SiteState(COOLDOWN)


EVIDENCE = Evidence(("success_text",), ({"code": "text_hidden"},), b"picture")


def fail(site: SiteState, times: int = 1) -> None:
    for number in range(times):
        site.solve_started(number, may_be_open=False)
        site.solve_failed(number, SolveError(f"reason {number}", evidence=EVIDENCE))
        site.solve_ended(number)


async def test_new_site_is_well_and_holds_its_requests(site: SiteState) -> None:
    """It is made when its first solve begins."""
    assert site.is_well
    assert site.holds
    assert (site.rest_seconds, site.given_up, site.last_failed) == (0.0, None, None)
    assert not site.freed.done()


async def test_site_is_not_well_while_solves_run_or_the_last_has_failed(site: SiteState) -> None:
    site.solve_started(1, may_be_open=False)
    site.solve_started(2, may_be_open=False)
    site.solve_ended(1)
    assert (site.running, site.is_well) == ([2], False)
    site.solve_failed(2, SolveError("no"))
    site.solve_ended(2)
    assert (site.running, site.last_failed, site.is_well) == ([], 2, False)

    site.solve_started(3, may_be_open=False)
    site.solve_worked()
    site.solve_ended(3)

    assert (site.last_failed, site.is_well) == (None, True)


@pytest.mark.parametrize("failures", range(FAILURES_BEFORE_GIVING_UP + 2))
async def test_rest_and_giving_up_come_with_failures_in_a_row(
    site: SiteState, clock: Clock, failures: int
) -> None:
    fail(site, failures)

    rests = failures >= FAILURES_BEFORE_REST
    gives_up = failures >= FAILURES_BEFORE_GIVING_UP
    assert site.rest_seconds == (COOLDOWN if rests else 0.0)
    assert (site.given_up is not None) == gives_up
    if site.given_up is not None:
        assert str(site.given_up) == f"not tried again so soon after: reason {failures - 1}"
        assert site.given_up.kind == "cooldown"
        assert site.given_up.evidence == replace(EVIDENCE, screenshot=None)
    clock.now += COOLDOWN
    assert (site.rest_seconds, site.given_up) == (0.0, None)


async def test_success_in_between_is_a_new_beginning(site: SiteState) -> None:
    fail(site, FAILURES_BEFORE_GIVING_UP)
    site.solve_worked()
    assert (site.rest_seconds, site.given_up) == (0.0, None)

    fail(site, FAILURES_BEFORE_REST - 1)

    assert site.rest_seconds == 0.0


async def test_rest_may_be_none() -> None:
    site = SiteState(0.0)
    fail(site, FAILURES_BEFORE_GIVING_UP)

    assert (site.rest_seconds, site.given_up) == (0.0, None)


# Probes


@pytest.mark.parametrize(("may_be_open", "probe_in"), [(True, 0.0), (False, NEVER)])
async def test_site_is_probed_where_it_gave_pages_before(
    site: SiteState, *, may_be_open: bool, probe_in: float
) -> None:
    site.solve_started(1, may_be_open=may_be_open)

    assert site.probe_in == probe_in


async def test_probes_keep_their_distance(site: SiteState, clock: Clock) -> None:
    site.solve_started(1, may_be_open=True)
    site.mark_probed()

    assert site.probe_in == PROBE_SECONDS
    clock.now += PROBE_SECONDS / 2
    assert site.probe_in == PROBE_SECONDS / 2


async def test_next_solve_of_a_closed_site_ends_its_probes(site: SiteState) -> None:
    site.solve_started(1, may_be_open=True)
    site.solve_started(2, may_be_open=False)

    assert site.probe_in == NEVER


@pytest.mark.parametrize(
    ("failures", "probe_in"),
    [(1, RETRY_SECONDS), (FAILURES_BEFORE_REST, COOLDOWN + RETRY_SECONDS)],
)
async def test_after_a_failure_challenged_requests_come_first(
    site: SiteState, failures: int, probe_in: float
) -> None:
    fail(site, failures)

    assert site.probe_in == probe_in


# Who is held


async def test_page_that_a_probe_got_frees_all(site: SiteState) -> None:
    freed = site.freed

    site.page_came(probing=True)

    assert freed.done()
    assert not site.holds
    assert not site.freed.done()  # a new one, for who waits later


async def test_page_that_was_asked_for_before_frees_nobody(site: SiteState) -> None:
    site.page_came(probing=False)

    assert site.holds
    assert not site.freed.done()


async def test_second_probe_changes_nothing(site: SiteState) -> None:
    site.page_came(probing=True)
    freed = site.freed
    site.page_came(probing=True)

    assert site.freed is freed


async def test_challenges_in_a_row_hold_them_again(site: SiteState) -> None:
    site.page_came(probing=True)
    for _ in range(STRIKES):
        assert not site.holds
        site.challenge_came()

    assert site.holds
    assert site.probe_in == PROBE_SECONDS


async def test_challenges_of_a_site_that_holds_do_not_count(site: SiteState) -> None:
    for _ in range(STRIKES):
        site.challenge_came()
    site.page_came(probing=True)
    site.challenge_came()

    assert not site.holds


async def test_end_of_each_solve_has_those_who_wait_look_again(site: SiteState) -> None:
    for number in range(2):
        site.solve_started(number, may_be_open=False)
        freed = site.freed
        site.solve_ended(number)

        assert freed.done()
        assert site.freed is not freed


EVENTS = st.lists(
    st.sampled_from(["start", "fail", "work", "page", "probe", "challenge", "wait"]), max_size=40
)


@settings(max_examples=60)
@given(EVENTS)
def test_whatever_happens_a_site_that_is_well_rests_for_nothing(events: list[str]) -> None:
    loop = VirtualLoop()

    async def happen() -> None:
        site, number = SiteState(0.0), 0
        for event in events:
            if event == "start":
                number += 1
                site.solve_started(number, may_be_open=bool(number % 2))
            elif event in {"fail", "work"} and site.running:
                ended = site.running[0]
                if event == "work":
                    site.solve_worked()
                else:
                    site.solve_failed(ended, SolveError("no"))
                site.solve_ended(ended)
            elif event in {"page", "probe"}:
                site.page_came(probing=event == "probe")
            elif event == "challenge":
                site.challenge_came()

            assert not site.freed.done()  # or whoever begins to wait would spin
            if site.is_well:
                assert (site.rest_seconds, site.given_up) == (0.0, None)

    try:
        loop.run(happen())
    finally:
        loop.shutdown()


# A way that has to be proven


async def test_site_whose_way_is_to_be_proven_lets_one_go_at_a_time(
    site: SiteState, clock: Clock
) -> None:
    site.prove(10.0)
    assert (site.unproven, site.holds, site.is_well, site.probe_in) == (True, True, False, 0.0)
    site.mark_probed()
    assert site.probe_in == 10.0
    clock.now += 10.0
    assert site.probe_in == 0.0


async def test_way_is_proven_by_a_page_of_the_one_that_went(site: SiteState) -> None:
    site.prove()
    waiting = site.freed
    site.page_came(probing=False)
    assert not waiting.done()
    assert not site.is_well

    site.page_came(probing=True)

    assert (site.unproven, site.holds, site.is_well) == (False, False, True)
    assert waiting.done()


async def test_probe_that_said_nothing_makes_place_for_the_next(site: SiteState) -> None:
    site.prove(10.0)
    site.mark_probed()
    waiting = site.freed

    site.probe_ended()

    assert site.probe_in == 0.0
    assert site.unproven
    assert waiting.done()


async def test_end_of_a_probe_is_nothing_where_the_way_is_known(site: SiteState) -> None:
    site.mark_probed()
    site.probe_ended()
    assert site.probe_in == PROBE_SECONDS


async def test_way_that_fails_gives_the_site_rests_and_gives_it_up(
    site: SiteState, clock: Clock
) -> None:
    site.prove()
    for count in range(1, FAILURES_BEFORE_GIVING_UP + 1):
        site.way_failed(SolveError("stuck"))
        assert site.unproven
        assert (site.rest_seconds == COOLDOWN) == (count >= FAILURES_BEFORE_REST)
        assert site.probe_in == site.rest_seconds + RETRY_SECONDS
    assert str(site.given_up) == "not tried again so soon after: stuck"

    site.page_came(probing=True)

    assert site.is_well
    assert site.rest_seconds == 0.0


async def test_first_to_go_may_be_put_off_and_rests_are_kept(site: SiteState) -> None:
    site.prove(2.0, after=1.5)
    assert site.probe_in == 1.5
    fail(site, FAILURES_BEFORE_REST)
    site.prove()
    assert site.probe_in == COOLDOWN


async def test_all_are_released_whatever_comes_of_it(site: SiteState) -> None:
    site.prove()
    waiting = site.freed
    site.release()
    assert (site.unproven, site.holds, site.is_well, waiting.done()) == (False, False, True, True)


async def test_solve_that_works_does_not_keep_those_waiting_who_prove_the_way(
    site: SiteState,
) -> None:
    site.prove()
    site.solve_started(1, may_be_open=False)
    assert site.probe_in == NEVER
    site.solve_worked()
    site.solve_ended(1)
    assert site.probe_in == 0.0
