"""Redirects out of allowed_domains: let through to a challenge, dropped when they are none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import scrapy
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response

import captcha_bypass_scrapy.redirects as redirects_module
from captcha_bypass_scrapy import request_state
from captcha_bypass_scrapy.redirects import Redirects
from captcha_bypass_scrapy.reporting import Reporter
from captcha_bypass_scrapy.scope import Scope
from tests.captcha_bypass_scrapy.engines import opened

PAGE = "http://site.example/shop/1"
VENDOR = "http://check.vendor.example"


class Bound(scrapy.Spider):
    """Is as `scrapy genspider` writes it."""

    name = "bound"
    allowed_domains = ["site.example"]  # noqa: RUF012 - Scrapy's own way


@pytest.fixture
async def crawler() -> AsyncIterator[Crawler]:
    async with opened(Bound) as crawler:
        yield crawler


@pytest.fixture
async def redirects(crawler: Crawler) -> Redirects:
    return Redirects(Scope(crawler), Reporter(crawler))


Passes = Callable[..., bool]


@pytest.fixture
async def passes(redirects: Redirects) -> Passes:
    """Says whether a redirect from a page to a place would pass the offsite filter."""

    def passes(
        location: str | bytes | None,
        url: str = PAGE,
        *,
        status: int = 302,
        dont_filter: bool = False,
        **meta: Any,  # noqa: ANN401 - a request's
    ) -> bool:
        request = Request(url, meta=meta, dont_filter=dont_filter)
        headers = {} if location is None else {"Location": location}
        redirects.downloaded(request, Response(url, status=status, headers=headers))
        return request_state.has_allowed_offsite(request)

    return passes


@pytest.mark.parametrize(
    "location",
    [
        f"{VENDOR}/check?back=http://site.example/shop/1",
        f"{VENDOR}/check?back=http%3A%2F%2Fsite.example%2Fshop%2F1",
        f"{VENDOR}/check?back=http%253A%252F%252Fsite.example%252Fshop%252F1",
        f"{VENDOR}/check?path=/shop/1",
        f"{VENDOR}/check?path=%2Fshop%2F1",
        f"{VENDOR}/site.example/wait",
        f"{VENDOR}/#site.example",
        f"//{VENDOR.partition('//')[2]}/?site.example",
    ],
)
async def test_redirect_that_leads_back_looks_like_a_challenge(
    passes: Passes, location: str
) -> None:
    assert passes(location)


@pytest.mark.parametrize(
    "location",
    [
        "http://shop.example/",
        f"{VENDOR}/check",
        "http://evil.example/shop/2",
        "http://other.other/",
    ],
)
async def test_redirect_to_anywhere_else_is_left_to_the_filter(
    passes: Passes, location: str
) -> None:
    assert not passes(location)


async def test_redirect_within_allowed_domains_needs_no_help(passes: Passes) -> None:
    assert not passes("http://www.site.example/shop/1")
    assert not passes("/shop/2")


async def test_hosts_of_one_registered_domain_are_one_site() -> None:
    class Deep(scrapy.Spider):
        name = "deep"
        allowed_domains = ["www.site.example"]  # noqa: RUF012 - Scrapy's own way

    async with opened(Deep) as crawler:
        redirects = Redirects(Scope(crawler), Reporter(crawler))
        request = Request("http://www.site.example/")
        there = {"Location": "http://check.site.example/wait"}
        redirects.downloaded(request, Response(request.url, status=302, headers=there))

        assert request_state.has_allowed_offsite(request)


async def test_root_is_no_path_that_could_lead_back(passes: Passes) -> None:
    """Nearly every URL has a slash in it."""
    assert not passes(f"{VENDOR}/a/b?c=/", "http://site.example/")


@pytest.mark.parametrize(("status", "passing"), [(200, False), (307, True), (403, False)])
async def test_only_redirects_are_looked_at(passes: Passes, status: int, *, passing: bool) -> None:
    assert passes(f"{VENDOR}/?site.example", status=status) is passing


async def test_redirect_without_a_place_is_none(passes: Passes) -> None:
    assert not passes(None)
    assert not passes("")


@pytest.mark.parametrize("mine", [{"captcha_bypass": False}, {"allow_offsite": True}])
async def test_request_that_wants_no_help_gets_none(
    passes: Passes, mine: dict[str, object]
) -> None:
    assert not passes(f"{VENDOR}/?site.example", **mine)


async def test_request_that_is_not_filtered_needs_none(passes: Passes) -> None:
    assert not passes(f"{VENDOR}/?site.example", dont_filter=True)


@pytest.mark.parametrize(
    "location",
    ["http://[::1", "http://a:port/?site.example", b"\xff\xfe\x00//", "http://\x00/", "//[/"],
    ids=repr,
)
async def test_place_that_is_no_url_is_nobodys_error(passes: Passes, location: str | bytes) -> None:
    """A site may send anything, and signal handlers that raise fill the log."""
    assert not passes(location)


async def test_place_in_latin_1_is_read(passes: Passes) -> None:
    assert passes(f"{VENDOR}/gr\u00fc\u00df?site.example".encode("latin-1"))


# The page that came of it


async def test_page_without_a_challenge_is_dropped_as_the_filter_would_have(
    crawler: Crawler, redirects: Redirects, passes: Passes
) -> None:
    landed = Request(f"{VENDOR}/check?site.example")
    request_state.allow_offsite(landed)

    with pytest.raises(
        IgnoreRequest, match=r"Filtered offsite request to 'check\.vendor\.example'"
    ):
        redirects.drop_offsite(landed)

    assert crawler.stats.get_value("offsite/filtered") == 1
    assert not passes(f"{VENDOR}/check?back=site.example")  # nobody is sent there again
    assert passes("http://other.vendor.example/?site.example")


async def test_page_that_the_spider_may_see_is_kept(redirects: Redirects) -> None:
    """It came back from the vendor's host."""
    back = Request(PAGE)
    request_state.allow_offsite(back)

    redirects.drop_offsite(back)


async def test_page_that_came_without_our_help_is_kept(redirects: Redirects) -> None:
    redirects.drop_offsite(Request("http://evil.example/"))


async def test_site_with_ever_new_hosts_is_not_followed_for_ever(
    redirects: Redirects, passes: Passes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redirects_module, "MAX_HOSTS", 3)
    for n in range(3):
        assert passes(f"http://{n}.evil.example/?site.example")
        landed = Request(f"http://{n}.evil.example/?site.example")
        request_state.allow_offsite(landed)
        with pytest.raises(IgnoreRequest):
            redirects.drop_offsite(landed)

    assert not passes("http://3.evil.example/?site.example")
