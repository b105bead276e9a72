"""How a request is sent again: what its copies are, and what they come back as."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scrapy import FormRequest, Request
from scrapy.downloadermiddlewares.redirect import RedirectMiddleware
from scrapy.dupefilters import RFPDupeFilter
from scrapy.http import HtmlResponse, JsonRequest
from scrapy.utils.request import request_from_dict

from captcha_bypass_scrapy import request_state as state
from captcha_bypass_scrapy import resending
from captcha_bypass_scrapy.compat import HOOK_ARGUMENTS
from captcha_bypass_scrapy.errors import SolveError
from captcha_bypass_scrapy.resending import MAX_STALE
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


# Copies that are sent again


def test_copy_passes_filters_and_is_itself_again_when_it_comes_by() -> None:
    request = Request(PAGE, priority=3)

    copy = resending.resent(request)

    assert copy is not request
    assert (copy.dont_filter, request.dont_filter) == (True, False)
    assert resending.restore(copy) is False
    assert (copy.dont_filter, copy.priority, ours(copy)) == (False, 3, [])


@pytest.mark.parametrize(("dont_filter", "priority"), [(False, 0), (True, -5), (True, 10**9)])
def test_copy_of_a_copy_remembers_what_came_from_the_spider(
    *, dont_filter: bool, priority: int
) -> None:
    copy = resending.resent(Request(PAGE, dont_filter=dont_filter, priority=priority))
    copy.priority -= 1_000_000

    again = through_disk(resending.resent(copy))

    assert resending.restore(again) is True  # it has waited
    assert (again.dont_filter, again.priority) == (dont_filter, priority)
    assert resending.restore(again) is False


def test_request_that_nobody_has_touched_is_left_as_it_is() -> None:
    request = Request(PAGE, dont_filter=True, priority=4)

    assert resending.restore(request) is False
    assert (request.dont_filter, request.priority) == (True, 4)


@pytest.mark.parametrize(
    "request_",
    [
        FormRequest(PAGE, formdata={"a": "1"}),
        JsonRequest(PAGE, data={"b": [2]}),
        Request(PAGE, method="PUT", body=b"\xff\x00", cb_kwargs={"k": "v"}, flags=["mine"]),
    ],
    ids=["form", "json", "put"],
)
def test_copy_is_of_the_same_class_with_all_it_had(request_: Request) -> None:
    copy = resending.again(request_)

    assert type(copy) is type(request_)
    for name in ("url", "method", "body", "headers", "cb_kwargs", "flags", "encoding"):
        assert getattr(copy, name) == getattr(request_, name)


# From before a redirect


@pytest.mark.parametrize("status", [302, 307])
def test_request_that_was_redirected_to_a_challenge_starts_again_from_its_page(
    status: int,
) -> None:
    request = FormRequest(PAGE, formdata={"a": "1"}, headers={"X-A": "1"})
    resending.remember_body(request)
    landed = redirected(redirected(request, "/step", status), CHECK, status)
    landed.meta["download_slot"] = "check.vendor.example"

    copy = resending.again(landed)

    assert (copy.url, copy.method, copy.body) == (PAGE, "POST", b"a=1")
    assert copy.headers["Content-Type"] == b"application/x-www-form-urlencoded"
    assert copy.headers["X-A"] == b"1"
    left = {"redirect_urls", "redirect_reasons", "redirect_times", "redirect_ttl"}
    assert left.isdisjoint(copy.meta)
    assert "download_slot" not in copy.meta


def test_slot_within_a_host_is_kept() -> None:
    """A spider may have chosen it."""
    landed = redirected(Request(PAGE, meta={"download_slot": "mine"}), "/check")

    assert resending.again(landed).meta["download_slot"] == "mine"


def test_body_of_another_page_is_not_sent() -> None:
    request = Request(PAGE, method="POST", body="a=1")
    resending.remember_body(request)
    moved = request.replace(url=f"{SITE}/other", method="GET", body=b"")

    copy = resending.again(redirected(moved, CHECK))

    assert (copy.url, copy.method, copy.body) == (f"{SITE}/other", "GET", b"")


def test_body_without_a_type_gets_none() -> None:
    request = Request(PAGE, method="POST", body=b"\xff\x00")
    resending.remember_body(request)

    copy = resending.again(through_disk(redirected(request, CHECK)))

    assert (copy.method, copy.body) == ("POST", b"\xff\x00")
    assert "Content-Type" not in copy.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_request_without_a_body_needs_no_memory(method: str) -> None:
    request = Request(PAGE, method=method)
    resending.remember_body(request)

    assert ours(request) == []


def test_body_after_a_redirect_is_not_the_pages() -> None:
    landed = redirected(Request(PAGE, method="POST", body="a=1"), CHECK, 307)
    resending.remember_body(landed)

    assert ours(landed) == []


def test_redirects_of_a_second_try_are_no_duplicates() -> None:
    """The dupefilter has seen them when the page was asked for the first time."""
    seen = RFPDupeFilter()
    request = Request(PAGE)
    landed = redirected(redirected(request, "/step"), "/there")
    for one in (request, Request(f"{SITE}/step"), Request(f"{SITE}/there")):
        seen.request_seen(one)

    copy = resending.again(landed)
    resending.restore(copy)
    step = redirected(copy, "/step")
    assert seen.request_seen(step)
    resending.let_through(step)

    assert step.dont_filter
    resending.restore(step)  # when it comes by
    assert not step.dont_filter
    there = redirected(step, "/there")
    resending.let_through(there)
    assert there.dont_filter


def test_redirect_to_a_new_place_is_filtered_as_ever() -> None:
    copy = resending.again(redirected(Request(PAGE), "/there"))
    resending.restore(copy)
    elsewhere = redirected(copy, "/elsewhere")

    resending.let_through(elsewhere)

    assert not elsewhere.dont_filter


def test_leave_for_a_redirect_ends_where_it_starts_again() -> None:
    request = Request(PAGE)
    state.allow_offsite(request)
    landed = redirected(request, CHECK)
    assert landed.meta["allow_offsite"]

    copy = resending.again(landed)

    assert "allow_offsite" not in copy.meta
    assert not state.has_allowed_offsite(copy)


def test_probe_is_one_for_one_pass() -> None:
    request = Request(PAGE)
    assert not state.is_probe(request)
    state.mark_probe(request)
    assert state.is_probe(request)

    assert not state.is_probe(resending.again(request))


# Clearances that never arrive


def test_clearance_that_is_never_attached_ends_in_an_error() -> None:
    request = Request(PAGE)
    for _ in range(MAX_STALE):
        request = through_disk(resending.again(request, stale=True))
    resending.again(request)  # for another reason: as often as it likes

    with pytest.raises(SolveError, match="request_reached_downloader"):
        resending.again(request, stale=True)


# Caches and filters


def test_request_asks_past_the_cache_and_the_spider_does_not_see_it() -> None:
    request = Request(PAGE)
    assert not state.asks_past_cache(request)

    copy = resending.uncached(request)

    assert copy.meta["dont_cache"]
    assert state.asks_past_cache(copy)
    state.clear(copy)
    assert "dont_cache" not in copy.meta


def test_request_goes_by_cookies_from_then_on() -> None:
    assert not state.goes_by_cookies(Request(PAGE))
    assert state.goes_by_cookies(through_disk(resending.by_cookies(Request(PAGE))))


# Back to the scheduler, and the end


def test_request_of_a_closing_spider_goes_back_as_if_it_had_not_been_sent() -> None:
    request = FormRequest(PAGE, formdata={"a": "1"}, priority=2)
    resending.remember_body(request)
    state.note_carried(request, 5)
    landed = redirected(request, CHECK)
    state.wait_for(landed, 7, leads=True)

    copy = through_disk(resending.requeued(landed))

    assert (copy.url, copy.method, copy.body) == (PAGE, "POST", b"a=1")
    assert state.awaited_solve(copy) is None
    assert state.carried(copy) == ()
    assert copy.dont_filter
    assert resending.pop_leaving(copy)
    assert not resending.pop_leaving(copy)
    resending.restore(copy)
    assert (copy.dont_filter, copy.priority) == (False, landed.priority)
    assert ours(copy) == [f"{OURS}_redirects"]  # its redirects are known to the dupefilter


@settings(max_examples=30)
@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers() | st.text(max_size=5)),
    st.binary(max_size=20),
    st.integers(-100, 100),
    st.booleans(),
)
def test_spiders_own_meta_body_and_priority_are_never_touched(
    meta: dict[str, Any], body: bytes, priority: int, dont_filter: bool
) -> None:
    request = Request(
        PAGE, method="POST", body=body, meta=meta, priority=priority, dont_filter=dont_filter
    )

    back = through_disk(everything(request))
    resending.restore(back)
    state.clear(back)

    assert (back.meta, back.body, back.priority, back.dont_filter) == (
        meta,
        body,
        priority,
        dont_filter,
    )
