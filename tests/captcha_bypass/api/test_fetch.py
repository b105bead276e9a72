"""The contract of POST /fetch over a real server; only what the site answers is scripted."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from captcha_bypass.api.application import application
from captcha_bypass.api.native.answers import FetchErrorAnswer
from captcha_bypass.browsers.sessions import Sessions
from captcha_bypass.config import Config
from captcha_bypass.errors import (
    CaptchaBypassError,
    FieldError,
    InvalidRequest,
    QueueFull,
    TaskError,
)
from captcha_bypass.fetching.messages import (
    AnswerTooLarge,
    AnswerUnreadable,
    ChallengeNotPassed,
    TimeIsUp,
)
from captcha_bypass.fetching.sender import NotSent
from captcha_bypass.logs import TextFormatter
from captcha_bypass.metrics import Metrics
from captcha_bypass.nodes.sessions import NodeSessions
from captcha_bypass.status import Egress, StatusBoard
from captcha_bypass.tasks.memory import MemoryQueue
from captcha_bypass.wire.fetch import Fetched, FetchRequest, Obstacle
from tests.support.fetch_site import some_bytes
from tests.support.scripted_queue import until
from tests.support.status import ToldBrowsers

BASE = {"url": "http://site.test/a?secret=CANARY", "timeout": 10}
CANARY = "CANARY"
Client = TestClient[web.Request, web.Application]


class Site:
    """What the site answers, and what it was asked."""

    def __init__(self) -> None:
        self.body = b"hello"
        self.error: Exception | None = None
        self.asked: list[tuple[FetchRequest, str]] = []
        self.waits = asyncio.Event()
        self.waits.set()
        self.cancelled = 0

    async def fetch(self, request: FetchRequest, owner: str) -> Fetched:
        self.asked.append((request, owner))
        try:
            await self.waits.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        headers = (("Set-Cookie", "a=CANARY"), ("Set-Cookie", "b=ü"), ("X", ""))
        return Fetched(418, headers, "http://site.test/a", self.body, "gzip", "anubis", "agent")


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def make(site: Site, metrics: Metrics) -> AsyncIterator[Callable[..., Any]]:
    clients = []

    async def make(**settings: Any) -> Client:  # noqa: ANN401
        config = Config(**settings)
        queue = MemoryQueue(max_pending=1, result_ttl=60, max_results_bytes=2**20)
        board = StatusBoard(queue, ToldBrowsers(), Egress())
        sessions = Sessions(most=1, ttl=60.0)
        app = application(config, queue, NodeSessions(sessions), board, metrics, site)
        client: Client = TestClient(TestServer(app, handler_cancellation=True))
        await client.start_server()
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
async def client(make: Callable[..., Any]) -> Client:
    made: Client = await make()
    return made


async def ask(client: Client, **fields: object) -> tuple[int, dict[str, Any]]:
    async with client.post("/fetch", json=BASE | fields) as response:
        return response.status, await response.json()


async def test_answer_is_the_sites_whatever_its_status(client: Client, site: Site) -> None:
    status, body = await ask(client)
    assert status == 200
    elapsed = body.pop("elapsed")
    assert 0 <= elapsed < 5
    assert body == {
        "status": 418,
        "headers": [["Set-Cookie", "a=CANARY"], ["Set-Cookie", "b=ü"], ["X", ""]],
        "url": "http://site.test/a",
        "body": base64.b64encode(b"hello").decode(),
        "decoded": "gzip",
        "solved": "anubis",
        "user_agent": "agent",
    }
    ((request, owner),) = site.asked
    assert (request.method, request.content, request.headers, owner) == ("GET", None, {}, "")


@pytest.mark.parametrize("size", [0, 1, 2, 3, 24 * 1024, 24 * 1024 + 1, 24 * 1024 * 3, 3_000_001])
async def test_answers_of_any_size_come_whole(client: Client, site: Site, size: int) -> None:
    site.body = some_bytes(size)
    _, body = await ask(client)
    assert base64.b64decode(body["body"]) == site.body
    assert body["status"] == 418


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ({"body": "ü"}, "ü".encode()),
        ({"body": ""}, b""),
        ({"body_base64": "AAH/"}, b"\x00\x01\xff"),
        ({"body_base64": ""}, b""),
        ({"body": None, "body_base64": None}, None),
    ],
)
async def test_body_is_text_or_bytes(
    client: Client, site: Site, fields: dict[str, object], content: bytes | None
) -> None:
    assert (await ask(client, method="POST", **fields))[0] == 200
    assert site.asked[0][0].content == content


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": "ftp://site.test/"}, "url"),
        ({"url": "http://u:p@site.test/"}, "url"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 301}, "timeout"),
        ({"method": ""}, "method"),
        ({"body": "a", "body_base64": "AAAA"}, "body_base64"),
        ({"body_base64": "AA"}, "body_base64"),
        ({"body_base64": "A A="}, "body_base64"),
        ({"headers": {"a b": "c"}}, "headers.a b"),
        ({"headers": {"a": "c\n"}}, "headers.a"),
        ({"headers": {f"h{n}": "" for n in range(101)}}, "headers"),
        ({"cookies": [{"name": "a", "value": "ü"}]}, "cookies"),
        ({"no_challenge": False}, "no_challenge"),
        ({"session": "a\n"}, "session"),
        ({"screenshot": True}, "screenshot"),
        ({"of_site": True}, "of_site"),
    ],
)
async def test_bad_fields_are_named_and_nothing_is_sent(
    client: Client, site: Site, fields: dict[str, object], field: str
) -> None:
    status, body = await ask(client, **fields)
    assert status == 400
    assert [item["field"] for item in body["error"]["fields"]] == [field]
    assert CANARY not in json.dumps(body)
    assert site.asked == []


async def test_conditions_beside_each_other_are_enough(client: Client) -> None:
    assert (await ask(client, no_challenge=False, success_text="x"))[0] == 200


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (TaskError("dns_error", "m"), 502, "dns_error"),
        (TaskError("tls_error", "m"), 502, "tls_error"),
        (TaskError("proxy_error", "m"), 502, "proxy_error"),
        (TaskError("browser_crashed", "m"), 502, "browser_crashed"),
        (TaskError("browser_unavailable", "m"), 503, "browser_unavailable"),
        (TaskError("internal_error", "m"), 500, "internal_error"),
        (NotSent("m"), 502, "session_lost"),
        (ChallengeNotPassed("m"), 502, "challenge_not_passed"),
        (AnswerTooLarge("m"), 502, "answer_too_large"),
        (AnswerUnreadable("m"), 502, "answer_unreadable"),
        (TimeIsUp("m"), 504, "timeout"),
        (QueueFull("m"), 503, "queue_full"),
        (InvalidRequest([FieldError("method", "m")]), 400, "invalid_request"),
    ],
)
async def test_our_own_failures_never_look_like_the_sites(
    client: Client, site: Site, metrics: Metrics, error: CaptchaBypassError, status: int, code: str
) -> None:
    site.error = error
    got, body = await ask(client)
    assert (got, body["error"]["code"], set(body)) == (status, code, {"error"})
    sample = f'captcha_bypass_fetches_total{{outcome="{code}"}} 1.0'
    async with client.get("/metrics") as response:
        assert sample in await response.text()


async def test_what_was_in_the_way_is_told_as_in_a_result(client: Client, site: Site) -> None:
    hint = {"code": "text_hidden", "message": "Nobody sees it.", "value": "Welcome"}
    why = {"challenge": "anubis", "challenge_kind": "human", "unmet": ["success_text"]}
    obstacle = Obstacle.model_validate({**why, "hints": [hint]})
    site.error = ChallengeNotPassed("It was not passed.", obstacle)
    status, body = await ask(client, success_text="Welcome")
    told = {"code": "challenge_not_passed", "message": "It was not passed."}
    assert (status, body) == (502, {"error": {**told, **why, "hints": [hint]}})
    FetchErrorAnswer.model_validate(body)
    site.error = TimeIsUp("It was late.")
    _, body = await ask(client)
    assert body == {"error": {"code": "timeout", "message": "It was late."}}


async def test_bug_is_an_internal_error(client: Client, site: Site) -> None:
    site.error = ValueError("bug")
    got, body = await ask(client)
    assert (got, body["error"]["code"]) == (500, "internal_error")


async def test_metrics_and_one_line_of_the_log_tell_of_it_and_no_secrets(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "captcha_bypass")
    headers = {"Authorization": f"Bearer {CANARY}"}
    await ask(client, method="POST", body=f"{CANARY}!", headers=headers)
    (record,) = (record for record in caplog.records if record.message == "fetch ended")
    assert record.levelno == logging.DEBUG
    told = record.__dict__
    assert (told["host"], told["outcome"], told["status"], told["bytes"]) == (
        "site.test",
        "answered",
        418,
        5,
    )
    assert CANARY not in str({k: v for k, v in told.items() if k != "msg"})
    assert "outcome=answered status=418 bytes=5 seconds=" in TextFormatter().format(record)
    async with client.get("/metrics") as response:
        text = await response.text()
    assert 'captcha_bypass_fetches_total{outcome="answered"} 1.0' in text
    assert 'captcha_bypass_fetch_bytes_total{direction="sent"} 7.0' in text
    assert 'captcha_bypass_fetch_bytes_total{direction="received"} 5.0' in text
    assert 'captcha_bypass_fetch_seconds_count{outcome="answered"} 1.0' in text


async def test_client_that_hangs_up_cancels_its_request(client: Client, site: Site) -> None:
    site.waits.clear()
    asked = asyncio.create_task(ask(client))
    await until(lambda: len(site.asked) == 1)
    asked.cancel()
    await until(lambda: site.cancelled == 1)
    site.waits.set()
    assert (await ask(client))[0] == 200


async def test_only_json_is_taken_and_a_key_is_needed(make: Callable[..., Any]) -> None:
    client = await make(api_key=["a-long-key"])
    async with client.post("/fetch", json=BASE) as response:
        assert response.status == 401
    key = {"X-API-Key": "a-long-key"}
    async with client.post("/fetch", data=json.dumps(BASE), headers=key) as response:
        assert response.status == 415
    async with client.post("/fetch", json=BASE, headers=key) as response:
        assert response.status == 200


async def test_requests_at_once_are_bounded(make: Callable[..., Any], site: Site) -> None:
    client = await make(max_waiting=2)
    site.waits.clear()
    first = [asyncio.create_task(ask(client)) for _ in range(2)]
    await until(lambda: len(site.asked) == 2)
    status, body = await ask(client)
    assert (status, body["error"]["code"]) == (503, "too_many_waiting")
    site.waits.set()
    assert [status for status, _ in await asyncio.gather(*first)] == [200, 200]
    assert (await ask(client))[0] == 200


async def test_what_requests_and_answers_hold_is_bounded(
    make: Callable[..., Any], site: Site
) -> None:
    client = await make(max_results_bytes=2**20)
    site.waits.clear()
    big = base64.b64encode(bytes(600_000)).decode()
    first = asyncio.create_task(ask(client, method="POST", body_base64=big))
    await until(lambda: len(site.asked) == 1)
    status, body = await ask(client, method="POST", body_base64=big)
    assert (status, body["error"]["code"]) == (503, "too_many_waiting")
    site.waits.set()
    assert (await first)[0] == 200
    assert (await ask(client, method="POST", body_base64=big))[0] == 200


@pytest.mark.parametrize("chunked", [True, False])
async def test_body_may_be_as_large_as_an_answer_and_no_larger(
    make: Callable[..., Any], site: Site, chunked: bool
) -> None:
    client = await make(max_fetch_bytes=1_000_000)

    async def post(size: int) -> int:
        data = json.dumps(
            {**BASE, "method": "POST", "body_base64": base64.b64encode(bytes(size)).decode()}
        ).encode()

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(data), 100_000):
                yield data[start : start + 100_000]

        body: Any = pieces() if chunked else io.BytesIO(data)
        async with client.post(
            "/fetch", data=body, headers={"Content-Type": "application/json"}
        ) as response:
            return int(response.status)

    assert await post(1_000_000) == 200
    assert site.asked[0][0].content == bytes(1_000_000)
    assert await post(1_300_000) == 413
    async with client.post("/solve", json={"url": "http://a.test/" + "a" * 300_000}) as response:
        assert response.status == 413  # it counts for this route alone
