"""Users get the site's own answer where nothing helps, and their library's own errors."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import TestServer, unused_port

from captcha_bypass.errors import TaskError, TaskErrorCode
from demo.challenge_site import STATS, create_site
from tests.support.flaresolverr_service import FakeSessions, serving
from tests.support.http_libraries import ALL_KINDS, KINDS, using
from tests.support.passing_stage import OPTIONS, Stage
from tests.support.scripted_queue import until
from tests.support.stand_in_browser import StandInBrowser

EVERY = pytest.mark.parametrize("library", ALL_KINDS, indirect=True)


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
    assert all(stage.service.url in str(one) for one in found)


async def test_a_service_without_a_browser_is_told_and_asked_again(stage: Stage) -> None:
    stage.browser.error = {"code": "browser_unavailable", "message": "No Firefox."}
    for _ in range(2):
        with pytest.raises(stage.library.connection_error, match="No Firefox") as raised:
            await stage.library.get(f"{stage.url}/page/1")
        assert stage.service.url in str(raised.value)
    stage.browser.error = None
    assert (await stage.library.get(f"{stage.url}/page/1")).status_code == 200


@pytest.mark.parametrize("library", ["httpx async"], indirect=True)
async def test_where_who_solves_is_cancelled_another_one_solves(stage: Stage) -> None:
    stage.browser.go_on.clear()
    first = asyncio.ensure_future(stage.library.get(f"{stage.url}/page/1"))
    await until(lambda: len(stage.browser.solves) == 1)
    second = asyncio.ensure_future(stage.library.get(f"{stage.url}/page/2"))
    await until(lambda: stage.stats.challenges["/page/2"] == 1)
    first.cancel()
    await until(lambda: (len(stage.browser.solves), stage.browser.cancelled) == (2, 1))
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
