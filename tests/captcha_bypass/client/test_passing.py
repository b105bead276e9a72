"""Requests of users' HTTP libraries past the challenge site's challenges; nothing but the browser is a stand-in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from aiohttp.test_utils import TestServer, unused_port

from captcha_bypass.errors import TaskError, TaskErrorCode
from demo import fingerprint_site
from demo.challenge_pages import SUCCESS_TEXT
from demo.challenge_site import STATS, SiteOptions, create_site
from tests.support.clients import Clock
from tests.support.flaresolverr_service import V1, FakeSessions, serving
from tests.support.http_libraries import ALL_KINDS, KINDS, Library, using
from tests.support.scripted_queue import until
from tests.support.stand_in_browser import USER_AGENT, StandInBrowser

MANY = 200
OPTIONS = SiteOptions(work=0, cookie="cf_clearance")
EVERY = pytest.mark.parametrize("library", ALL_KINDS, indirect=True)


@dataclass
class Stage:
    library: Library
    browser: StandInBrowser
    service: V1
    #: The challenge site, and its counters.
    url: str
    stats: Any
    #: The site's.
    clock: Clock


@pytest.fixture
async def browser() -> AsyncIterator[StandInBrowser]:
    made = StandInBrowser()
    yield made
    await made.close()


@pytest.fixture
async def service(browser: StandInBrowser) -> AsyncIterator[V1]:
    async with serving(browser, FakeSessions(), browser) as running:
        yield running


@pytest.fixture(params=KINDS)
async def library(request: pytest.FixtureRequest, service: V1) -> AsyncIterator[Library]:
    async with using(request.param, service.url) as running:
        yield running


@pytest.fixture
async def stage(library: Library, browser: StandInBrowser, service: V1) -> AsyncIterator[Stage]:
    clock = Clock()
    app = create_site(replace(OPTIONS, clock=clock.monotonic))
    async with TestServer(app) as server:
        url = f"http://127.0.0.1:{server.port}"
        yield Stage(library, browser, service, url, app[STATS], clock)


@pytest.fixture
async def strict(library: Library, browser: StandInBrowser, service: V1) -> AsyncIterator[Stage]:
    """A site whose clearances fit no client but the browser."""
    async with fingerprint_site.serving(OPTIONS) as (url, app):
        yield Stage(library, browser, service, url, app[STATS], Clock())


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


@EVERY
async def test_many_at_once_share_one_solve(stage: Stage) -> None:
    urls = [f"{stage.url}/page/{number}" for number in range(MANY)]
    answers = await asyncio.gather(*map(stage.library.get, urls))
    assert [answer.status_code for answer in answers] == [200] * MANY
    assert len(stage.browser.solves) == 1
    assert stage.stats.passes.total() == 1


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


def _jar(library: Library) -> Any:  # noqa: ANN401
    cookies = library.client.cookies
    return cookies if library.kind == "requests" else cookies.jar


async def test_a_refusal_is_the_sites_own_answer_and_nothing_is_solved(stage: Stage) -> None:
    answer = await stage.library.get(f"{stage.url}/denied/1")
    assert (answer.status_code, "Access denied" in answer.text) == (403, True)
    assert stage.browser.solves == []


async def test_a_challenge_that_is_not_passed_is_the_sites_own_answer(stage: Stage) -> None:
    stage.browser.stuck = True
    urls = [f"{stage.url}/page/{number}" for number in range(20)]
    answers = await asyncio.gather(*map(stage.library.get, urls))
    assert {answer.status_code for answer in answers} == {403}
    assert all("Just a moment" in answer.text for answer in answers)
    assert answers[0].headers["cf-mitigated"] == "challenge"
    # Others that come soon after do not try it again.
    assert (await stage.library.get(urls[0])).status_code == 403
    assert len(stage.browser.solves) == 1


async def test_a_challenge_that_the_browsers_requests_meet_is_the_sites_own_answer(
    strict: Stage,
) -> None:
    await strict.library.get(f"{strict.url}/page/1")
    code: Any = "challenge_not_passed"
    strict.browser.fetch_error = TaskError(code, "Told by the service.")
    answer = await strict.library.get(f"{strict.url}/page/2")
    assert (answer.status_code, "Just a moment" in answer.text) == (403, True)


@EVERY
async def test_a_service_that_goes_down_leaves_open_pages_alone_and_is_told_at_challenges(
    stage: Stage,
) -> None:
    assert (await stage.library.get(f"{stage.url}/open/1")).status_code == 200
    service = stage.service.url
    await stage.service.client.close()
    assert (await stage.library.get(f"{stage.url}/open/1")).status_code == 200
    with pytest.raises(stage.library.connection_error) as raised:
        await stage.library.get(f"{stage.url}/page/1")
    assert service in str(raised.value)
    response: Any = getattr(raised.value, "response", None)
    body = response.text if stage.library.kind == "requests" else await _read(response)
    assert (response.status_code, "Just a moment" in body) == (403, True)


async def _read(response: Any) -> str:  # noqa: ANN401
    await response.aread()
    return str(response.text)


async def test_a_service_that_goes_down_is_told_where_the_browser_sends(strict: Stage) -> None:
    await strict.library.get(f"{strict.url}/page/1")
    service = strict.service.url
    await strict.service.client.close()
    with pytest.raises(strict.library.connection_error) as raised:
        await strict.library.get(f"{strict.url}/page/2")
    assert service in str(raised.value)


async def test_a_service_that_goes_down_in_the_middle_fails_all_who_wait(stage: Stage) -> None:
    stage.browser.go_on.clear()
    urls = [f"{stage.url}/page/{number}" for number in range(20)]
    asked = [asyncio.ensure_future(stage.library.get(url)) for url in urls]
    await until(lambda: stage.stats.challenges.total() == len(urls) and stage.browser.solves != [])
    await stage.service.queue.stop(0)
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(one) for one in found} == {stage.library.connection_error}


@pytest.mark.parametrize("library", ["httpx async"], indirect=True)
async def test_where_who_solves_is_cancelled_another_one_solves(stage: Stage) -> None:
    stage.browser.go_on.clear()
    first = asyncio.ensure_future(stage.library.get(f"{stage.url}/page/1"))
    await until(lambda: len(stage.browser.solves) == 1)
    second = asyncio.ensure_future(stage.library.get(f"{stage.url}/page/2"))
    await until(lambda: stage.stats.challenges["/page/2"] == 1)
    first.cancel()
    await until(lambda: len(stage.browser.solves) == 2)
    stage.browser.go_on.set()
    assert (await second).status_code == 200
    assert stage.stats.passes.total() == 1  # the first solve was cancelled with who wanted it
    assert first.cancelled()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wrong_address_is_told_before_anything_is_sent_to_a_site(kind: str) -> None:
    app = create_site(OPTIONS)
    port = unused_port()
    async with TestServer(app) as site, using(kind, f"http://127.0.0.1:{port}") as library:
        with pytest.raises(library.connection_error, match=f"127.0.0.1:{port}"):
            await library.get(f"http://127.0.0.1:{site.port}/page/1")
    assert app[STATS].challenges.total() == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wrong_key_is_told_before_anything_is_sent_to_a_site(
    kind: str, browser: StandInBrowser
) -> None:
    app = create_site(OPTIONS)
    async with (
        TestServer(app) as site,
        serving(browser, FakeSessions(), api_key=("the-right-key",)) as service,
        using(kind, service.url, api_key="CANARY-wrong") as library,
    ):
        with pytest.raises(library.connection_error, match="CAPTCHA_BYPASS_API_KEY") as raised:
            await library.get(f"http://127.0.0.1:{site.port}/page/1")
    assert "CANARY" not in str(raised.value)
    assert app[STATS].challenges.total() == 0


async def test_a_site_that_is_not_there_is_the_librarys_own_error(stage: Stage) -> None:
    with pytest.raises(stage.library.connection_error) as raised:
        await stage.library.get(f"http://127.0.0.1:{unused_port()}/")
    assert stage.service.url not in str(raised.value)


async def test_timeouts_of_a_request_are_for_its_own_bytes(stage: Stage) -> None:
    with pytest.raises(stage.library.read_timeout):
        await stage.library.get(f"{stage.url}/slow/1?seconds=20", timeout=0.2)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("timeout", ("ReadTimeout", "ReadTimeout")),
        ("tls_error", ("SSLError", "ConnectError")),
        ("proxy_error", ("ProxyError", "ProxyError")),
        ("connection_reset", ("ConnectionError", "ReadError")),
        ("answer_unreadable", ("ContentDecodingError", "DecodingError")),
    ],
)
async def test_what_goes_wrong_for_the_browser_is_the_librarys_own_error(
    strict: Stage, code: TaskErrorCode, name: tuple[str, str]
) -> None:
    await strict.library.get(f"{strict.url}/page/1")
    strict.browser.fetch_error = TaskError(code, "Told by the service.")
    with pytest.raises(Exception, match="Told by the service") as raised:
        await strict.library.get(f"{strict.url}/page/2")
    assert type(raised.value).__name__ == name[strict.library.kind != "requests"]
