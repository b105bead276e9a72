"""Programs that share clearances: clients that ask for it, and adapters that do it by themselves."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from captcha_bypass.client import ClientError, SolveResult
from demo import fingerprint_site
from demo.challenge_site import create_site
from tests.support.clients import Clock, calling
from tests.support.flaresolverr_service import V1
from tests.support.http_libraries import KINDS, Library, using
from tests.support.native_tasks import SOLUTION
from tests.support.passing_stage import OPTIONS
from tests.support.scripted_queue import until
from tests.support.stand_in_browser import StandInBrowser

BOTH = pytest.mark.parametrize("kind", ["sync", "async"])
EACH = pytest.mark.parametrize("kind", KINDS)


async def programs(stack: AsyncExitStack, kind: str, service: V1, **options: Any) -> list[Library]:  # noqa: ANN401
    """Return two programs of the same kind that know nothing of each other."""
    return [await stack.enter_async_context(using(kind, service.url, **options)) for _ in range(2)]


# Clients


@BOTH
async def test_result_says_what_is_shared_and_a_later_one_is_of_it(
    kind: str, browser: StandInBrowser, solving: V1
) -> None:
    async with TestServer(create_site(OPTIONS)) as site, calling(kind, solving.url) as caller:
        url = str(site.make_url("/page/1"))
        first = await caller.solve(url)
        second = await caller.solve(url, reuse=600)
        assert first.clearance is not None
        assert second.clearance is not None
        assert second.clearance.id == first.clearance.id
        assert (first.clearance.reused, second.clearance.reused) == (False, True)
        assert (second.cookie_list, second.html) == (first.cookie_list, "")
        assert [await caller.refused(second) for _ in range(2)] == [True, False]
        third = await caller.solve(url, reuse=600)
        assert third.clearance is not None
        assert not third.clearance.reused
    assert len(browser.solves) == 2


@BOTH
async def test_result_that_is_shared_with_nobody_has_nothing_to_refuse(
    kind: str, browser: StandInBrowser, solving: V1
) -> None:
    async with TestServer(create_site(OPTIONS)) as site, calling(kind, solving.url) as caller:
        result = await caller.solve(str(site.make_url("/page/1")), session="mine")
        assert result.clearance is None
        assert await caller.refused(result) is False


async def test_another_server_that_hears_of_it_is_told_apart() -> None:
    async def anything(request: web.Request) -> web.Response:
        return web.json_response({"ended": "perhaps"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", anything)
    shared = {"id": "one", "age": 0.0, "reused": False}
    result = SolveResult.read(SOLUTION | {"clearance": shared})
    async with TestServer(app) as server, calling("async", str(server.make_url("/"))) as caller:
        with pytest.raises(ClientError) as raised:
            await caller.refused(result)
    assert raised.value.code == "not_the_service"


# Adapters


@EACH
async def test_programs_that_start_together_make_one_solve(
    kind: str, browser: StandInBrowser, solving: V1
) -> None:
    browser.go_on.clear()
    async with TestServer(create_site(OPTIONS)) as site, AsyncExitStack() as stack:
        url = str(site.make_url("/page/1"))
        both = await programs(stack, kind, solving, reuse=600)
        calls = [asyncio.create_task(one.get(url)) for one in both]
        await until(lambda: len(solving.shared._seated) == 2)
        browser.go_on.set()
        answers = await asyncio.gather(*calls)
        assert [answer.status_code for answer in answers] == [200, 200]
    assert len(browser.solves) == 1


@EACH
async def test_clearance_that_expires_once_costs_all_programs_one_more_solve(
    kind: str, browser: StandInBrowser, solving: V1
) -> None:
    clock = Clock()
    app = create_site(replace(OPTIONS, clock=clock.monotonic))
    async with TestServer(app) as site, AsyncExitStack() as stack:
        url = str(site.make_url("/page/1"))
        both = await programs(stack, kind, solving, reuse=600)
        for expected in (1, 2):
            for _ in range(2):
                for one in both:
                    assert (await one.get(url)).status_code == 200
            assert len(browser.solves) == expected
            clock.now += 2 * OPTIONS.clearance_seconds
    assert browser.fetches == []


@EACH
async def test_old_clearance_that_is_over_is_not_taken_for_a_site_that_refuses_cookies(
    kind: str, browser: StandInBrowser, solving: V1
) -> None:
    clock = Clock()
    app = create_site(replace(OPTIONS, clock=clock.monotonic))
    async with TestServer(app) as site, AsyncExitStack() as stack:
        url = str(site.make_url("/page/1"))
        first, second = await programs(stack, kind, solving, reuse=600)
        assert (await first.get(url)).status_code == 200
        clock.now += 2 * OPTIONS.clearance_seconds
        assert (await second.get(url)).status_code == 200
        assert (await first.get(url)).status_code == 200
    assert len(browser.solves) == 2
    assert browser.fetches == []


@EACH
async def test_site_that_refuses_cookies_is_still_told(
    kind: str, browser: StandInBrowser, solving: V1
) -> None:
    async with fingerprint_site.serving(OPTIONS) as (url, _), AsyncExitStack() as stack:
        for one in await programs(stack, kind, solving, reuse=600):
            answer = await one.get(f"{url}/page/1")
            assert answer.status_code == 200
    assert len(browser.fetches) == 2  # each has it sent by the browser
    assert len(browser.solves) <= 2


async def test_programs_that_do_not_ask_for_it_share_nothing(
    browser: StandInBrowser, solving: V1
) -> None:
    async with TestServer(create_site(OPTIONS)) as site, AsyncExitStack() as stack:
        for one in await programs(stack, KINDS[0], solving):
            assert (await one.get(str(site.make_url("/page/1")))).status_code == 200
    assert len(browser.solves) == 2
    assert not any("reuse" in task for task in browser.tasks)
