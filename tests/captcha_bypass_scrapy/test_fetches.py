"""Requests that the browser sends, in an engine of Scrapy's: body, bounds, and what is noted of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from scrapy import Request
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response

from captcha_bypass_scrapy import request_state
from captcha_bypass_scrapy.compat import (
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadTimeoutError,
)
from captcha_bypass_scrapy.errors import CrawlEnding, Evidence, NotFetched, SolveError
from captcha_bypass_scrapy.fetches import Fetches
from captcha_bypass_scrapy.keys import key_of
from tests.captcha_bypass_scrapy.bound_site import BLOB, BoundSite
from tests.captcha_bypass_scrapy.fake_browser import WIDGET
from tests.captcha_bypass_scrapy.fake_service import FakeService
from tests.captcha_bypass_scrapy.fake_site import FakeSite, serving
from tests.captcha_bypass_scrapy.labs import Lab, Labs


@pytest.fixture
async def site(guarded: FakeSite) -> AsyncIterator[BoundSite]:
    site = BoundSite(guarded)
    async with serving(site.app(), "127.0.0.1") as site.url:
        yield site


def fetches_of(found: Lab) -> Fetches:
    return found.handler._switch._fetches


def opened_way(found: Lab, request: Request) -> Request:
    """Have the browser send the requests of a site."""
    fetches_of(found).install()
    found.middleware.ways.open(key_of(request), "cloudflare", refuses=True)
    return request


async def fetched(found: Lab, request: Request) -> Response:
    return await fetches_of(found).fetch(opened_way(found, request))


async def test_it_takes_what_is_the_browsers_and_nothing_else(lab: Labs) -> None:
    async with lab() as found:
        fetches, page = fetches_of(found), Request("http://site.example/")
        assert not fetches.takes(page)
        opened_way(found, page)
        assert fetches.takes(page)
        assert fetches.takes(page.replace(method="POST"))
        assert not fetches.takes(page.replace(meta={"captcha_bypass": False}))
        assert not fetches.takes(page.replace(meta={"captcha_bypass": "cookies"}))
        assert not fetches.takes(Request("data:,x"))


async def test_answer_is_a_download_of_scrapys(lab: Labs, site: BoundSite) -> None:
    async with lab() as found:
        await fetched(found, Request(f"{site.url}/page/1"))
        request = Request(f"{site.url}/blob.bin")

        response = await fetched(found, request)

        assert (response.status, response.body, response.url) == (200, BLOB, request.url)
        assert 0 < request.meta["download_latency"] < 5
        assert request_state.was_fetched(request)
        assert found.stat("fetch/count") == 2
        assert found.stat("fetch/solved") == 1


async def test_time_of_a_solve_is_not_taken_for_the_sites(lab: Labs, site: BoundSite) -> None:
    """AutoThrottle would slow down for it."""
    async with lab() as found:
        request = Request(f"{site.url}/page/1")
        await fetched(found, request)
        assert "download_latency" not in request.meta
        probe = Request(f"{site.url}/page/2")
        request_state.mark_probe(probe)
        await fetched(found, probe)
        assert "download_latency" not in probe.meta


async def test_crawls_have_sessions_of_their_own(
    lab: Labs, site: BoundSite, fake: FakeService
) -> None:
    for _ in range(2):
        async with lab() as found:
            await fetched(found, Request(f"{site.url}/page/1"))
    assert fake.browser.sessions == 2


async def test_answer_opens_its_site_for_all_that_wait(lab: Labs, site: BoundSite) -> None:
    async with lab() as found:
        probe = Request(f"{site.url}/status/500")
        request_state.mark_probe(probe)
        found.solves.prove(key_of(probe))

        await fetched(found, probe)

        assert not found.solves.busy()


async def test_failure_lets_the_next_one_go(lab: Labs, fake: FakeService) -> None:
    async with lab() as found:
        probe = Request("http://127.0.0.1:9/")
        request_state.mark_probe(probe)
        key = key_of(probe)
        found.solves.prove(key, 100.0)
        state = found.solves._sites[key]
        state.mark_probed()

        with pytest.raises(DownloadConnectionRefusedError):
            await fetched(found, probe)

        assert state.probe_in <= 0
        assert state.unproven
        assert found.stat("fetch/error/connection_refused") == 1


@pytest.mark.parametrize("by", ["meta", "settings"])
async def test_bounds_of_the_download_hold(lab: Labs, site: BoundSite, by: str) -> None:
    async with lab() as found:
        meta: dict[str, Any] = {"download_maxsize": 1000} if by == "meta" else {}
        if by == "settings":
            fetches_of(found)._maxsize = 1000
        await fetched(found, Request(f"{site.url}/page/1"))
        for path in ("blob.bin", "large"):
            with pytest.raises(DownloadCancelledError, match="larger than 1000 bytes"):
                await fetched(found, Request(f"{site.url}/{path}", meta=meta))


async def test_large_answer_is_warned_of(
    lab: Labs, site: BoundSite, caplog: pytest.LogCaptureFixture
) -> None:
    async with lab() as found:
        with caplog.at_level(logging.WARNING, "captcha_bypass_scrapy"):
            await fetched(found, Request(f"{site.url}/page/1", meta={"download_warnsize": 10**6}))
            assert "warn size" not in caplog.text
            await fetched(found, Request(f"{site.url}/blob.bin", meta={"download_warnsize": 1000}))
        assert "larger than the download warn size (1000)" in caplog.text


@pytest.mark.parametrize(
    ("meta", "probing", "timeout"),
    [
        ({}, False, 60.0),
        ({"download_timeout": 5.0}, False, 5.0),
        ({"download_timeout": 500.0}, False, 60.0),
        ({"download_timeout": 0}, False, 60.0),
        ({"download_timeout": 5.0}, True, 60.0),
        ({"captcha_bypass": {"timeout": 7}}, False, 7.0),
    ],
)
async def test_timeout_is_the_downloads_but_for_the_one_that_opens_a_site(
    lab: Labs,
    site: BoundSite,
    fake: FakeService,
    meta: dict[str, Any],
    probing: bool,
    timeout: float,
) -> None:
    async with lab() as found:
        request = Request(f"{site.url}/page/1", meta=meta)
        if probing:
            request_state.mark_probe(request)
        await fetched(found, request)
    assert [asked["timeout"] for asked in fake.browser.asked] == [timeout]


async def test_short_timeout_may_have_cut_a_solve_so_the_next_one_has_the_time(
    lab: Labs, site: BoundSite
) -> None:
    async with lab() as found:
        await fetched(found, Request(f"{site.url}/page/1"))
        slow = Request(f"{site.url}/slow?seconds=20", meta={"download_timeout": 0.1})
        with pytest.raises(DownloadTimeoutError):
            await fetched(found, slow)
        assert found.solves.busy()
        following = Request(f"{site.url}/page/2")
        assert await found.holder.hold(following, first=True) is None
        assert request_state.is_probe(following)


async def test_clearance_that_it_had_for_its_old_way_is_not_sent(
    lab: Labs, site: BoundSite, fake: FakeService
) -> None:
    async with lab(SHARE_PROXY=False) as found:
        request = Request(f"{site.url}/page/1", headers={"Cookie": "mine=1"})
        clearance = found.cleared(key=key_of(request))
        found.middleware.attachments.attach(request)
        assert request.headers["User-Agent"] == str(clearance.user_agent).encode()

        await fetched(found, request)

    (asked,) = fake.browser.asked
    assert asked["cookies"] == [{"name": "mine", "value": "1"}]
    assert "User-Agent" not in request.headers
    assert "proxy" not in asked


async def test_challenge_that_is_not_passed_is_for_our_own_middleware(
    lab: Labs, site: BoundSite, fake: FakeService
) -> None:
    fake.browser.stuck = True
    async with lab() as found:
        with pytest.raises(NotFetched, match="was not passed") as raised:
            await fetched(found, Request(f"{site.url}/page/1"))
        assert isinstance(raised.value.error, SolveError)
        assert raised.value.error.evidence == Evidence(("no_challenge",), (WIDGET,))
        assert isinstance(raised.value, IgnoreRequest)  # which is no ban to plugins


@pytest.mark.parametrize(("method", "probing"), [("GET", True), ("POST", True), ("GET", False)])
async def test_closing_spider_gives_up_only_what_opens_a_site_and_changes_nothing(
    lab: Labs,
    site: BoundSite,
    fake: FakeService,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    probing: bool,
) -> None:
    fake.browser.seconds = 0.5
    async with lab() as found:
        client = fetches_of(found)._service._fetcher
        monkeypatch.setattr(client, "_long_poll", 0.02)
        monkeypatch.setattr(client, "_closing", lambda: True)
        request = Request(f"{site.url}/echo", method=method)
        if probing:  # it, or another that was in the download slot before
            found.solves.prove(key_of(request))
        asking = asyncio.create_task(fetched(found, request))
        await asyncio.wait({asking})
        if method == "GET" and probing:
            error = asking.exception()
            assert isinstance(error, NotFetched)
            assert isinstance(error.error, CrawlEnding)
        else:
            assert asking.result().status == 200
