"""Requests of users' HTTP libraries past the challenge site's challenges; nothing but the browser is a stand-in."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from demo.challenge_pages import SUCCESS_TEXT
from demo.challenge_site import create_site
from tests.support.flaresolverr_service import V1
from tests.support.http_libraries import ALL_KINDS, KINDS, Library, using
from tests.support.passing_stage import OPTIONS, Stage
from tests.support.stand_in_browser import USER_AGENT, StandInBrowser

MANY = 200
EVERY = pytest.mark.parametrize("library", ALL_KINDS, indirect=True)


async def test_an_open_page_is_fetched_directly_as_ever(stage: Stage) -> None:
    answer = await stage.library.get(f"{stage.url}/headers", headers={"X-Mine": "1"})
    told = json.loads(answer.text)
    assert told["X-Mine"] == "1"
    assert told["User-Agent"].startswith(("python-requests", "python-httpx"))
    assert stage.browser.solves == []


@EVERY
async def test_a_challenged_page_is_solved_once_and_all_go_on_with_its_cookies(
    stage: Stage,
) -> None:
    first = await stage.library.get(f"{stage.url}/page/1")
    assert (first.status_code, SUCCESS_TEXT in first.text) == (200, True)
    second = await stage.library.get(f"{stage.url}/page/2")
    assert second.status_code == 200
    assert stage.browser.solves == [f"{stage.url}/page/1"]
    assert stage.stats.challenges == {"/page/1": 2}  # ours, and the browser's
    told = json.loads((await stage.library.get(f"{stage.url}/headers")).text)
    assert told["User-Agent"] == USER_AGENT
    assert "cf_clearance=" in told["Cookie"]


@pytest.mark.parametrize("kind", KINDS)
async def test_any_text_of_several_is_enough(
    kind: str, browser: StandInBrowser, solving: V1
) -> None:
    texts = ["Welcome back", SUCCESS_TEXT]
    async with (
        TestServer(create_site(OPTIONS)) as site,
        using(kind, solving.url, success_text=texts) as library,
    ):
        answer = await library.get(str(site.make_url("/page/1")))
    assert answer.status_code == 200
    assert [task["success_text"] for task in browser.tasks] == [texts]


@EVERY
async def test_many_at_once_share_one_solve(stage: Stage) -> None:
    urls = [f"{stage.url}/page/{number}" for number in range(MANY)]
    answers = await asyncio.gather(*map(stage.library.get, urls))
    assert [answer.status_code for answer in answers] == [200] * MANY
    assert len(stage.browser.solves) == 1
    assert stage.stats.passes.total() == 1


@pytest.mark.parametrize("kind", ["httpx", "httpx2"])
async def test_connections_that_many_threads_have_used_are_kept(kind: str, solving: V1) -> None:
    """To close some would end requests of other threads: httpcore#1110."""
    many, connections = asyncio.Barrier(60), set()

    async def page(request: web.Request) -> web.Response:
        assert request.transport is not None
        connections.add(request.transport.get_extra_info("peername"))
        async with many:
            return web.Response(text="open")

    app = web.Application()
    app.router.add_get("/", page)
    async with TestServer(app) as site, using(kind, solving.url) as library:
        for _ in range(2):
            await asyncio.gather(*(library.get(str(site.make_url("/"))) for _ in range(60)))
    assert len(connections) == 60


@EVERY
async def test_where_the_cookies_are_refused_the_browser_sends_and_that_is_remembered(
    strict: Stage,
) -> None:
    urls = [f"{strict.url}/page/{number}" for number in range(50)]
    answers = await asyncio.gather(*map(strict.library.get, urls))
    assert [answer.status_code for answer in answers] == [200] * 50
    assert len(strict.browser.solves) == 1
    # One request has shown for all others that the cookies are refused.
    assert strict.stats.rejected.total() == 1
    answer = await strict.library.get(f"{strict.url}/json/7")
    assert json.loads(answer.text) == {"page": 7, "message": SUCCESS_TEXT}
    assert answer.headers["Content-Type"].startswith("application/json")
    assert strict.stats.rejected.total() == 1
    assert len(strict.browser.fetches) == 51


async def test_each_site_has_a_clearance_of_its_own(stage: Stage) -> None:
    async with TestServer(create_site(OPTIONS)) as other:
        for url in (stage.url, f"http://127.0.0.1:{other.port}"):
            assert (await stage.library.get(f"{url}/page/1")).status_code == 200
    assert len(stage.browser.solves) == 2


async def test_an_expired_clearance_is_got_anew(stage: Stage) -> None:
    url = f"{stage.url}/page/1"
    assert (await stage.library.get(url)).status_code == 200
    stage.clock.now += 2 * OPTIONS.clearance_seconds
    assert (await stage.library.get(url)).status_code == 200
    assert len(stage.browser.solves) == 2
    assert stage.browser.fetches == []


async def test_a_body_is_sent_again_after_the_challenge(stage: Stage) -> None:
    answer = await stage.library("POST", f"{stage.url}/post/1", data={"a": "1", "b": "ü"})
    assert '[["a", "1"], ["b", "ü"]]' in answer.text.replace("\\u00fc", "ü")
    assert stage.browser.solves == [f"{stage.url}/post/1"]


@EVERY
async def test_a_body_is_sent_by_the_browser_where_that_sends(strict: Stage) -> None:
    for _ in range(2):
        answer = await strict.library("POST", f"{strict.url}/post/1", data={"a": "1"})
        assert '[["a", "1"]]' in answer.text
    assert [request.method for request in strict.browser.fetches] == ["POST", "POST"]


async def test_a_body_that_cannot_be_sent_again_leaves_the_sites_own_answer(stage: Stage) -> None:
    def pieces() -> Any:  # noqa: ANN401
        yield b"a=1"

    async def pieces_async() -> Any:  # noqa: ANN401
        yield b"a=1"

    content = pieces_async() if "async" in stage.library.kind else pieces()
    url = f"{stage.url}/post/1"
    answer = await stage.library("POST", url, **stage.library.content(content))
    assert answer.status_code == 403
    assert stage.browser.solves == []


async def test_redirects_are_followed_by_the_library(stage: Stage) -> None:
    answer = await stage.library.get(f"{stage.url}/redirect/5")
    assert (answer.status_code, str(answer.url)) == (200, f"{stage.url}/page/5")
    assert [old.status_code for old in answer.history] == [302]


@EVERY
async def test_redirects_of_the_browsers_answers_are_followed_by_the_library(strict: Stage) -> None:
    await strict.library.get(f"{strict.url}/page/1")
    answer = await strict.library.get(f"{strict.url}/redirect/5")
    assert (answer.status_code, str(answer.url)) == (200, f"{strict.url}/page/5")
    assert [old.status_code for old in answer.history] == [302]


async def test_the_users_own_cookies_go_along_and_the_browsers_stay_out_of_them(
    stage: Stage,
) -> None:
    stage.library.client.cookies.set("login", "me")
    url = f"{stage.url}/cookies/1"
    assert json.loads((await stage.library.get(url)).text)["login"] == "me"
    (task,) = stage.browser.tasks
    assert [cookie["name"] for cookie in task["cookies"]] == ["login"]
    assert [cookie.name for cookie in _jar(stage.library)] == ["login"]


async def test_the_users_own_cookies_go_along_with_what_the_browser_sends(strict: Stage) -> None:
    strict.library.client.cookies.set("login", "me")
    for _ in range(2):
        answer = await strict.library.get(f"{strict.url}/cookies/1")
        assert json.loads(answer.text)["login"] == "me"


async def test_the_sites_cookies_are_newer_in_the_browser_and_the_users_own_win(
    library: Library, browser: StandInBrowser
) -> None:
    """A site that answers the browser alone, and counts its visits in a cookie."""
    app = web.Application()

    async def count(request: web.Request) -> web.Response:
        if "Connection" in request.headers:  # of all clients here only the browser sends none
            page = "<title>Just a moment...</title>"
            headers = {"cf-mitigated": "challenge"}
            return web.Response(text=page, status=403, headers=headers, content_type="text/html")
        visits = int(request.cookies.get("visits", "0")) + 1
        response = web.Response(text=str(visits))
        response.set_cookie("visits", str(visits))
        return response

    app.router.add_get("/", count)
    async with TestServer(app) as server:
        url = f"http://127.0.0.1:{server.port}/"
        # The first visit was that of the page for the clearance.
        assert [(await library.get(url)).text for _ in range(3)] == ["2", "3", "4"]
        stale = await library.get(url, headers={"Cookie": "visits=2"})  # as another thread has it
        assert stale.text == "5"
        mine = await library.get(url, headers={"Cookie": "visits=100"})
        assert mine.text == "101"


def _jar(library: Library) -> Any:  # noqa: ANN401
    cookies = library.client.cookies
    return cookies if library.kind == "requests" else cookies.jar
