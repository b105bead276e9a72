"""What a request remembers about its challenges."""

from __future__ import annotations

import json
import pickle

from scrapy import Request
from scrapy.downloadermiddlewares.redirect import RedirectMiddleware
from scrapy.http import HtmlResponse
from scrapy.utils.request import request_from_dict

from captcha_bypass_scrapy import request_state as state
from captcha_bypass_scrapy import resending
from captcha_bypass_scrapy.compat import HOOK_ARGUMENTS
from tests.captcha_bypass_scrapy.engines import crawler_with

SITE = "http://site.example"

PAGE = f"{SITE}/page"

CHECK = "http://check.vendor.example/wait"

#: What is ours in a request's meta.
OURS = "_captcha_bypass"


def ours(request: Request) -> list[str]:
    return [name for name in request.meta if name.startswith(OURS)]


def redirected(request: Request, location: str, status: int = 302) -> Request:
    """What Scrapy makes of a redirect."""
    response = HtmlResponse(request.url, status=status, headers={"Location": location})
    middleware = RedirectMiddleware.from_crawler(crawler_with())
    found = middleware.process_response(request, response, **HOOK_ARGUMENTS)
    assert isinstance(found, Request)
    return found


def through_disk(request: Request) -> Request:
    """A JOBDIR's queue, and one that keeps JSON, as queues in Redis do."""
    fields = pickle.loads(pickle.dumps(request.to_dict()))  # noqa: S301 - our own
    fields["meta"] = json.loads(json.dumps(fields["meta"]))
    return request_from_dict(fields)


def everything(request: Request) -> Request:
    """Do all that is ever done to a request."""
    resending.remember_body(request)
    state.note_carried(request, 5)
    state.mark_probe(request)
    state.allow_offsite(request)
    copy = resending.by_cookies(request)
    state.wait_for(copy, 7, leads=True, counted=True)
    state.count_failure(copy)
    copy = resending.again(resending.uncached(copy), stale=True)
    copy.meta[f"{OURS}_redirects"] = [CHECK]
    return copy


# What it carried


def test_request_remembers_what_it_went_out_with_over_its_redirects() -> None:
    request = Request(PAGE)
    assert state.carried(request) == ()

    state.note_carried(request, 1)
    later = redirected(request, "/b")
    state.note_carried(later, 2)

    assert state.carried(later) == (1, 2)
    assert state.take_carried(later) == (1, 2)
    assert state.take_carried(later) == state.carried(later) == ()
    assert state.carried(request) == (1,)


# Solves that it waits for


def test_request_knows_the_solve_it_waits_for_and_whether_it_leads() -> None:
    request = Request(PAGE)
    assert state.awaited_solve(request) is None
    assert not state.has_led(request, 7)

    state.wait_for(request, 7)
    assert state.awaited_solve(request) == 7
    assert not state.has_led(request, 7)
    state.wait_for(request, 8, leads=True)

    assert state.awaited_solve(request) == 8
    assert state.has_led(request, 8)
    assert not state.has_led(request, 7)


def test_solve_that_it_led_and_that_worked_counts_for_it() -> None:
    request = Request(PAGE)
    for number in (1, 2):
        state.wait_for(request, number, leads=True)
        state.note_solved(request)

    assert state.times(request) == 2
    assert state.awaited_solve(request) is None


def test_solve_of_others_that_worked_does_not() -> None:
    request = Request(PAGE)
    state.wait_for(request, 1)
    state.note_solved(request)
    state.wait_for(request, 2, leads=True)
    state.wait_for(request, 3)  # the next, which somebody else leads
    state.note_solved(request)

    assert state.times(request) == 0


def test_request_that_steps_back_leads_no_more() -> None:
    request = Request(PAGE)
    state.wait_for(request, 1, leads=True)

    state.step_back(request)

    assert not state.has_led(request, 1)
    assert state.awaited_solve(request) == 1


def test_failure_of_a_solve_counts_once() -> None:
    request = Request(PAGE)
    state.wait_for(request, 1)
    assert not state.has_counted(request, 1)

    state.mark_counted(request, 1)

    assert state.has_counted(request, 1)
    assert not state.has_counted(request, 2)
    assert [state.count_failure(request) for _ in range(3)] == [1, 2, 3]


def test_failure_from_before_the_request_does_not_count_for_it() -> None:
    request = Request(PAGE)

    state.wait_for(request, 1, counted=True)

    assert state.has_counted(request, 1)


def test_new_run_forgets_whom_it_waited_for_and_not_how_often_it_failed() -> None:
    request = Request(PAGE)
    state.wait_for(request, 1, leads=True, counted=True)
    state.count_failure(request)

    state.stop_waiting(request)

    assert state.awaited_solve(request) is None
    assert not state.has_led(request, 1)
    assert not state.has_counted(request, 1)
    assert state.count_failure(request) == 2


def test_spiders_own_wishes_stay_when_ours_are_forgotten() -> None:
    request = Request(
        PAGE, meta={"dont_cache": True, "allow_offsite": True, "captcha_bypass": "html"}
    )

    state.clear(request)

    assert request.meta == {"dont_cache": True, "allow_offsite": True, "captcha_bypass": "html"}


def test_leave_of_the_spiders_is_told_from_ours() -> None:
    mine, spiders, neither = (
        Request(PAGE),
        Request(PAGE, meta={"allow_offsite": True}),
        Request(PAGE),
    )
    state.allow_offsite(mine)

    found = [
        (state.has_allowed_offsite(r), state.user_allows_offsite(r))
        for r in (mine, spiders, neither)
    ]
    assert found == [(True, False), (False, True), (False, False)]


def test_everything_fits_on_disk_and_is_forgotten() -> None:
    back = through_disk(everything(Request(PAGE, method="POST", body=b"\xff")))

    assert len(ours(back)) >= 10
    assert state.goes_by_cookies(back)
    state.clear(back)
    assert back.meta == {}


def test_challenges_of_a_request_that_the_browser_sends_are_counted() -> None:
    request = Request(PAGE)
    assert not state.goes_by_browser(request)
    state.mark_by_browser(request)
    assert state.goes_by_browser(request)
    assert [state.count_in_vain(request) for _ in range(3)] == [1, 2, 3]


def test_answer_of_the_browsers_is_told_from_a_page_of_the_browsers() -> None:
    request = Request(PAGE)
    assert not state.was_fetched(request)
    state.mark_fetched(request)
    assert state.was_fetched(request)
    state.clear(request)
    assert not state.was_fetched(request)
