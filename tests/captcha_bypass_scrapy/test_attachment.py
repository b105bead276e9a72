"""Clearances on requests, at the signals of Scrapy's own downloader."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request
from scrapy.core.downloader import Downloader, Slot
from scrapy.crawler import Crawler
from scrapy.http import Response

from captcha_bypass_scrapy import request_state, resending
from captcha_bypass_scrapy.attachment import Attachments
from captcha_bypass_scrapy.clearance import Clearance, Clearances
from captcha_bypass_scrapy.cookies import Cookie
from captcha_bypass_scrapy.keys import Proxy, SiteKey
from captcha_bypass_scrapy.settings import Config
from captcha_bypass_scrapy.ways import Ways
from tests.captcha_bypass_scrapy.engines import opened

SITE = "http://site.example"
PAGE = f"{SITE}/page"
KEY = SiteKey(SITE, None)
CONFIG = Config("http://service")


@pytest.fixture
async def crawler() -> AsyncIterator[Crawler]:
    async with opened() as crawler:
        yield crawler


@pytest.fixture
def clearances() -> Clearances:
    return Clearances()


@pytest.fixture
def attachments(crawler: Crawler, clearances: Clearances) -> Attachments:
    return Attachments(crawler, CONFIG, clearances, Ways())


def solve(clearances: Clearances, value: str = "v", key: SiteKey = KEY) -> Clearance:
    cookies = (Cookie("cf_clearance", value, "site.example"),)
    return clearances.solved(key, [], "cloudflare", cookies, "Firefox")


def answer(*set_cookies: str | bytes, status: int = 200) -> Response:
    headers: Any = {"Set-Cookie": list(set_cookies)} if set_cookies else {}
    return Response(PAGE, status=status, headers=headers)


def cookies_of(response: Response) -> list[bytes]:
    return response.headers.getlist("Set-Cookie")


def in_slot(crawler: Crawler, request: Request, *, transferring: bool) -> None:
    """Have the downloader know a request as one that waits in its slot, or is on the wire."""
    downloader = crawler.engine.downloader
    assert isinstance(downloader, Downloader)
    slot = downloader.slots.setdefault("site.example", Slot(8, 0.0, 0.0))
    request.meta["download_slot"] = "site.example"
    if transferring:
        slot.transferring.add(request)


def test_request_wears_its_clearance_in_the_downloader_and_nowhere_else(
    clearances: Clearances, attachments: Attachments
) -> None:
    solve(clearances)
    request = Request(PAGE, headers={"Cookie": "mine=1"})

    attachments.attach(request)
    on_the_wire = request.headers.copy()
    attachments.downloaded(request, answer())
    attachments.detach(request)

    assert on_the_wire["Cookie"] == b"mine=1; cf_clearance=v"
    assert on_the_wire["User-Agent"] == b"Firefox"
    assert request.headers.to_unicode_dict() == {"Cookie": "mine=1"}


def test_request_remembers_what_it_carried(
    clearances: Clearances, attachments: Attachments
) -> None:
    request = Request(PAGE)
    attachments.attach(request)  # there is none yet
    attachments.downloaded(request, answer())
    assert request_state.carried(request) == ()
    attachments.detach(request)

    found = solve(clearances)
    attachments.attach(request)
    attachments.downloaded(request, answer())

    assert request_state.carried(request) == (found.generation,)


@pytest.mark.parametrize(
    "request_",
    [
        Request(PAGE, meta={"captcha_bypass": False}),
        Request("http://other.example/"),
        Request(PAGE, meta={"proxy": "http://p:1"}),
        Request(PAGE, meta={"captcha_bypass": "html"}),
    ],
    ids=["unwanted", "another site", "another proxy", "the browser's page is wanted"],
)
def test_request_without_a_clearance_of_its_own_goes_as_it_is(
    clearances: Clearances, attachments: Attachments, request_: Request
) -> None:
    solve(clearances)

    attachments.attach(request_)
    attachments.downloaded(request_, answer("cf_clearance=theirs"))
    attachments.detach(request_)

    assert dict(request_.headers) == {}
    assert request_state.carried(request_) == ()


@pytest.mark.parametrize(
    "request_",
    [
        Request(PAGE, method="POST", meta={"captcha_bypass": "html"}),
        resending.by_cookies(Request(PAGE, meta={"captcha_bypass": "html"})),
    ],
    ids=["POST", "file"],
)
def test_what_no_browsers_page_can_be_goes_by_cookies_in_html_mode(
    clearances: Clearances, attachments: Attachments, request_: Request
) -> None:
    solve(clearances)

    attachments.attach(request_)

    assert request_.headers["Cookie"] == b"cf_clearance=v"


# A clearance that changes meanwhile


async def test_request_in_its_slots_queue_gets_the_clearance_that_comes(
    crawler: Crawler, clearances: Clearances, attachments: Attachments
) -> None:
    request = Request(PAGE, headers={"User-Agent": "spider"})
    in_slot(crawler, request, transferring=False)
    attachments.attach(request)

    first, second = solve(clearances, "1"), solve(clearances, "2")

    assert first is not second
    assert request.headers["Cookie"] == b"cf_clearance=2"
    attachments.downloaded(request, answer())
    assert request_state.carried(request) == (second.generation,)
    attachments.detach(request)
    assert request.headers.to_unicode_dict() == {"User-Agent": "spider"}


async def test_request_on_the_wire_keeps_what_it_left_with(
    crawler: Crawler, clearances: Clearances, attachments: Attachments
) -> None:
    first = solve(clearances, "1")
    request = Request(PAGE)
    in_slot(crawler, request, transferring=True)
    attachments.attach(request)

    solve(clearances, "2")
    attachments.downloaded(request, answer())

    assert request.headers["Cookie"] == b"cf_clearance=1"
    assert request_state.carried(request) == (first.generation,)


async def test_request_of_another_downloader_is_taken_for_one_on_the_wire(
    clearances: Clearances,
) -> None:
    """It cannot be known whether it has left."""
    crawler: Any = SimpleNamespace(engine=SimpleNamespace(downloader=object()))
    attachments = Attachments(crawler, CONFIG, clearances, Ways())
    request = Request(PAGE)
    attachments.attach(request)

    solve(clearances)

    assert dict(request.headers) == {}


async def test_requests_that_have_left_are_not_dressed_any_more(
    crawler: Crawler, clearances: Clearances, attachments: Attachments
) -> None:
    request = Request(PAGE)
    in_slot(crawler, request, transferring=False)
    attachments.attach(request)
    attachments.detach(request)
    attachments.detach(request)  # Scrapy may say so twice

    solve(clearances)

    assert dict(request.headers) == {}


# What the site sets


@pytest.fixture
def carried(clearances: Clearances, attachments: Attachments) -> Request:
    """A request that left with a clearance."""
    solve(clearances)
    request = Request(PAGE)
    attachments.attach(request)
    return request


def test_renewed_clearance_is_kept_from_jars_and_shown_to_the_spider(
    attachments: Attachments, carried: Request
) -> None:
    came = answer("session=1", "cf_clearance=new", "__cf_bm=x", "cart=2")

    attachments.downloaded(carried, came)

    assert cookies_of(came) == [b"session=1", b"cart=2"]
    taken = attachments.restore_cookies(carried, came)
    assert taken == [b"cf_clearance=new", b"__cf_bm=x"]
    assert cookies_of(came) == [b"session=1", b"cart=2", b"cf_clearance=new", b"__cf_bm=x"]
    assert attachments.restore_cookies(carried, came) == []


def test_response_that_sets_nothing_else_has_no_header_left(
    attachments: Attachments, carried: Request
) -> None:
    came = answer("cf_clearance=new")

    attachments.downloaded(carried, came)

    assert "Set-Cookie" not in came.headers


def test_cookies_of_a_site_without_clearance_are_its_own(
    attachments: Attachments, clearances: Clearances
) -> None:
    request, came = Request(PAGE), answer("cf_clearance=1")
    attachments.attach(request)

    attachments.downloaded(request, came)

    assert cookies_of(came) == [b"cf_clearance=1"]
    assert attachments.restore_cookies(request, came) == []


def test_page_that_came_counts_for_its_clearance_and_rotates_it(
    attachments: Attachments, clearances: Clearances, carried: Request
) -> None:
    attachments.downloaded(carried, answer("cf_clearance=new"))
    taken = attachments.restore_cookies(carried, answer())

    generations = request_state.take_carried(carried)
    attachments.follow(KEY, carried.url, generations, taken, succeeded=True)

    found = clearances.current(KEY)
    assert found is not None
    assert (found.successes, [c.value for c in found.cookies]) == (1, ["new"])


def test_clearance_that_was_replaced_meanwhile_is_not_changed_by_late_answers(
    attachments: Attachments, clearances: Clearances, carried: Request
) -> None:
    attachments.downloaded(carried, answer("cf_clearance=late"))
    newer = solve(clearances, "newer")

    generations = request_state.carried(carried)
    attachments.follow(KEY, PAGE, generations, [b"cf_clearance=late"], succeeded=True)

    assert (newer.successes, [c.value for c in newer.cookies]) == (0, ["newer"])


def test_redirect_rotates_at_once_and_is_no_success(
    attachments: Attachments, clearances: Clearances, carried: Request
) -> None:
    """It does not come by any hook of ours, and the next request goes out with the new one."""
    attachments.downloaded(carried, answer("cf_clearance=new", status=302))

    found = clearances.current(KEY)
    assert found is not None
    assert (found.successes, [c.value for c in found.cookies]) == (0, ["new"])


async def test_others_in_the_queue_get_the_rotated_value(
    crawler: Crawler, attachments: Attachments, carried: Request
) -> None:
    waiting = Request(f"{SITE}/other")
    in_slot(crawler, waiting, transferring=False)
    attachments.attach(waiting)

    attachments.downloaded(carried, answer("cf_clearance=new", status=302))

    assert waiting.headers["Cookie"] == b"cf_clearance=new"


def test_value_in_any_script_comes_back_as_it_was_set(
    attachments: Attachments, carried: Request
) -> None:
    value = "gr\u00fc\u00df".encode()
    attachments.downloaded(carried, answer(b"cf_clearance=" + value, status=302))
    attachments.detach(carried)

    attachments.attach(carried)

    assert carried.headers["Cookie"] == b"cf_clearance=" + value


def test_proxys_clearance_is_followed_for_that_proxy_alone(
    attachments: Attachments, clearances: Clearances, carried: Request
) -> None:
    proxied = solve(clearances, "p", SiteKey(SITE, Proxy("http://p:1")))

    attachments.downloaded(carried, answer("cf_clearance=new", status=302))

    assert [c.value for c in proxied.cookies] == ["p"]
