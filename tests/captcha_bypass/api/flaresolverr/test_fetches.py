"""Raw bodies and downloads, as FlareSolverr's forks have them, are sent by /fetch."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from captcha_bypass.api.flaresolverr.fetches import THREAD_BYTES, solution
from captcha_bypass.errors import CaptchaBypassError, FieldError, InvalidRequest, TooManyWaiting
from captcha_bypass.fetching.messages import AnswerTooLarge, TimeIsUp
from captcha_bypass.wire.fetch import Fetched, FetchRequest
from tests.captcha_bypass.api.flaresolverr.scripted import CANARY, GET, PREFIX, URL
from tests.support.fetch_site import FetchSite, some_bytes
from tests.support.flaresolverr_service import V1, FakeSessions, Json, serving
from tests.support.scripted_queue import Script, until
from tests.support.service import Service

RAW: Json = {"cmd": "request.post", "url": URL, "postDataRaw": '{"a": 1}'}
HEADERS = (
    ("Content-Type", "image/png"),
    ("Vary", "a"),
    ("vary", "b"),
    ("Set-Cookie", "a=b"),
)
ANSWER = Fetched(418, HEADERS, f"{URL}final", b"\x89PNG\xff", None, None, "the browser's")


class Asked:
    """Answers with what a test has put in, and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[FetchRequest] = []
        self.answer: Fetched | Exception | None = ANSWER
        self.waiting = 0

    async def fetch(self, request: FetchRequest, owner: str) -> Fetched:
        self.requests.append(request)
        self.waiting += 1
        try:
            if self.answer is None:
                await asyncio.Event().wait()
        finally:
            self.waiting -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def v1(asked: Asked) -> AsyncIterator[V1]:
    async with serving(Script(), FakeSessions(), asked, max_waiting=2) as running:
        yield running


# What is sent


async def test_raw_body_is_sent_as_it_is_with_its_type(v1: V1, asked: Asked) -> None:
    await v1.ok(**RAW, postDataContentType="application/json", maxTimeout=5000)
    assert asked.requests == [
        FetchRequest.model_validate(
            {
                "url": URL,
                "method": "POST",
                "body": '{"a": 1}',
                "headers": {"Content-Type": "application/json"},
                "timeout": 5.0,
            }
        )
    ]


@pytest.mark.parametrize(
    ("more", "sent"),
    [
        ({}, {"Content-Type": "application/x-www-form-urlencoded"}),
        ({"headers": ["content-type: text/xml"]}, {"content-type": "text/xml"}),
        (
            {"headers": ["content-type: text/xml", "A: b"], "postDataContentType": "text/plain"},
            {"A": "b", "Content-Type": "text/plain"},
        ),
        (
            {"headers": {"contentType": "application/json"}},
            {"Content-Type": "application/x-www-form-urlencoded"},
        ),
    ],
    ids=str,
)
async def test_type_of_the_body_is_the_one_that_is_named(
    v1: V1, asked: Asked, more: Json, sent: Json
) -> None:
    await v1.ok(**RAW, **more)
    assert asked.requests[0].headers == sent


async def test_download_takes_everything_along_that_a_task_has(v1: V1, asked: Asked) -> None:
    await v1.ok(
        **GET | {"url": "http://site.test/a file.png"},
        download=True,
        session="mine",
        cookies=[{"name": "a", "value": "b"}],
        proxy={"url": "http://proxy.test:3128", "username": "u", "password": CANARY},
        headers=[{"name": "Accept", "value": "image/*"}],
    )
    expected: Json = {
        "url": "http://site.test/a%20file.png",
        "timeout": 60.0,
        "session": "mine",
        "cookies": [{"name": "a", "value": "b"}],
        "proxy": {"server": "http://proxy.test:3128", "username": "u", "password": CANARY},
        "headers": {"Accept": "image/*"},
    }
    assert asked.requests == [FetchRequest.model_validate(expected)]


async def test_form_can_be_answered_with_a_download(v1: V1, asked: Asked) -> None:
    await v1.ok(cmd="request.post", url=URL, postData="?a=b", download=True)
    (request,) = asked.requests
    assert (request.method, request.body) == ("POST", "a=b")
    assert request.headers == {"Content-Type": "application/x-www-form-urlencoded"}


# What is answered


async def test_download_is_base64_with_the_sites_own_status_and_headers(v1: V1) -> None:
    answer = await v1.ok(**GET, download=True)
    assert answer["message"] == "Challenge not detected!"
    assert answer["solution"] == {
        "url": f"{URL}final",
        "status": 418,
        "cookies": [],
        "userAgent": "the browser's",
        "turnstile_token": None,
        "headers": {"content-type": "image/png", "vary": "a, b"},
        "response": base64.b64encode(ANSWER.body).decode(),
        "isBinary": True,
    }
    assert v1.reports == [("site.test", "not_detected")]


async def test_answer_to_a_raw_body_is_text(v1: V1, asked: Asked) -> None:
    body = '{"\N{SNOWMAN}": "'.encode() + b'\xff"}'
    asked.answer = Fetched(200, (), URL, body, None, "cloudflare", "ua")
    answer = await v1.ok(**RAW)
    assert answer["message"] == "Challenge solved!"
    assert answer["solution"]["response"] == '{"\N{SNOWMAN}": "\ufffd"}'
    assert "isBinary" not in answer["solution"]
    assert v1.reports == [("site.test", "solved")]


async def test_only_cookies_has_neither_headers_nor_response(v1: V1) -> None:
    answer = await v1.ok(**GET, download=True, returnOnlyCookies=True)
    assert {"headers", "response", "isBinary"}.isdisjoint(answer["solution"])


@given(st.binary(max_size=100), st.sampled_from([0, THREAD_BYTES]))
async def test_any_bytes_come_as_they_are(body: bytes, more: int) -> None:
    body += bytes(more)
    found = await solution(
        Fetched(200, (), URL, body, None, None, "ua"), only_cookies=False, as_base64=True
    )
    assert base64.b64decode(found["response"], validate=True) == body


# What fails


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (TimeIsUp("x"), PREFIX + "Timeout after 60.0 seconds."),
        (AnswerTooLarge("The answer is larger than 5 bytes."), PREFIX + "The answer is larger"),
        (
            InvalidRequest([FieldError("headers.Origin", "is set by the browser itself")]),
            "Error: Request parameter 'headers.Origin' is invalid: is set by the browser itself.",
        ),
        (TooManyWaiting("Try again later."), "Error: Try again later."),
    ],
    ids=["time", "large", "refused", "busy"],
)
async def test_what_fails_is_said_as_flaresolverr_does(
    v1: V1, asked: Asked, error: CaptchaBypassError, message: str
) -> None:
    asked.answer = error
    assert (await v1.message(**GET, download=True)).startswith(message)
    assert v1.reports == [("site.test", "error")]


async def test_cookies_that_cannot_be_set_are_refused(v1: V1, asked: Asked) -> None:
    cookies = [{"name": "a", "value": f"{CANARY}\u00fc"}]
    message = await v1.message(**GET, download=True, cookies=cookies)
    assert "'cookies' is invalid: values must be ASCII" in message
    assert CANARY not in message
    assert asked.requests == []


async def test_requests_that_wait_are_bounded_and_leave_with_their_clients(
    v1: V1, asked: Asked
) -> None:
    asked.answer = None
    waiting = [asyncio.create_task(v1.post(**GET, download=True)) for _ in range(2)]
    await until(lambda: asked.waiting == 2)
    assert "--max-waiting" in await v1.message(**GET, download=True)
    for task in waiting:
        task.cancel()
    await until(lambda: asked.waiting == 0)
    asked.answer = ANSWER
    await v1.ok(**GET, download=True)
    assert [result for _, result in v1.reports] == ["error", "unknown", "unknown", "not_detected"]


async def test_log_has_a_line_for_each_and_nothing_secret(
    v1: V1, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "captcha_bypass")
    await v1.ok(**RAW | {"postDataRaw": CANARY}, headers=[f"Authorization: {CANARY}"])
    assert caplog.messages.count("fetch ended") == 1
    assert CANARY not in caplog.text


# With the real service


@pytest.fixture
async def site() -> AsyncIterator[tuple[FetchSite, str]]:
    site = FetchSite()
    async with TestServer(site.app) as server:
        yield site, f"http://127.0.0.1:{server.port}"


@pytest.mark.browser
async def test_browser_posts_json_and_downloads_from_a_challenged_site(
    service: Service, http: aiohttp.ClientSession, site: tuple[FetchSite, str]
) -> None:
    stats, url = site

    async def command(**fields: object) -> Json:
        async with http.post(f"{service.url}/v1", json={"maxTimeout": 30_000, **fields}) as answer:
            body: Json = await answer.json()
            assert body["status"] == "ok", body
            return body

    posted = await command(
        cmd="request.post",
        url=f"{url}/echo",
        postDataRaw='{"a": 1}',
        postDataContentType="application/json",
        headers=["X-Mine: yes"],
    )
    assert posted["message"] == "Challenge solved!"
    told = json.loads(posted["solution"]["response"])
    assert (told["method"], told["size"]) == ("POST", 8)
    assert ["Content-Type", "application/json"] in told["headers"]
    assert ["X-Mine", "yes"] in told["headers"]
    file = await command(cmd="request.get", url=f"{url}/bytes/100000", download=True)
    assert base64.b64decode(file["solution"]["response"]) == some_bytes(100_000)
    assert file["message"] == "Challenge not detected!"
    assert stats.solves == 1
    async with TestServer(FetchSite(is_open=True).app) as server:
        open_url = f"http://127.0.0.1:{server.port}/echo"
        page = await command(cmd="request.get", url=open_url, headers=["X-Page: yes"])
    assert "X-Page" in page["solution"]["response"]
