"""POST /fetch as the middleware asks for it: what comes back, and what each failure is."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

import captcha_bypass_scrapy.fetch_client as fetch_client_module
from captcha_bypass_scrapy.connection import Connection
from captcha_bypass_scrapy.errors import (
    CrawlEnding,
    Evidence,
    FetchFailed,
    SolveError,
    SolverUnavailable,
)
from captcha_bypass_scrapy.fetch_client import FetchClient, Fetched
from tests.captcha_bypass_scrapy.fake_site import serving
from tests.support.scripted_queue import until

Json = dict[str, Any]
FINE: Json = {
    "status": 201,
    "headers": [["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"], ["X-Latin", "Zo\xeb"]],
    "url": "http://site.example/",
    "body": base64.b64encode(b"\x00body\xff").decode(),
    "decoded": "gzip",
    "solved": "anubis",
    "user_agent": "Firefox",
    "elapsed": 0.1,
}
BODY = {"url": "http://site.example/", "timeout": 5.0}


class Scripted:
    """Answers as told."""

    def __init__(self) -> None:
        self.url = ""
        self.status, self.answer = 200, json.dumps(FINE)
        self.headers: dict[str, str] = {}
        self.asked: list[Json] = []
        self.hold: asyncio.Event | None = None
        self.hung_up = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/fetch", self._fetch)
        return app

    async def _fetch(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        if self.hold is not None:
            try:
                while not self.hold.is_set():
                    await asyncio.sleep(0.01)
                    if request.transport is None or request.transport.is_closing():
                        self.hung_up.set()
                        break
            except asyncio.CancelledError:
                self.hung_up.set()
                raise
        headers = {"Content-Type": "application/json", **self.headers}
        return web.Response(status=self.status, text=self.answer, headers=headers)

    def fails(self, status: int, code: str, message: str = "it is so") -> None:
        self.status = status
        self.answer = json.dumps({"error": {"code": code, "message": message}})


@pytest.fixture
async def service() -> AsyncIterator[Scripted]:
    service = Scripted()
    async with serving(service.app(), "127.0.0.1") as service.url:
        yield service


class Asking:
    def __init__(self, url: str) -> None:
        self.ending = False
        self.connection = Connection(url, None, read_seconds=5)
        self.client = FetchClient(self.connection, long_poll=0.02, closing=lambda: self.ending)

    async def __call__(self, *, most: int = 0, leaves: bool = False, **more: object) -> Fetched:
        return await self.client.fetch({**BODY, **more}, most=most, leaves=leaves)


@pytest.fixture
async def ask(service: Scripted) -> AsyncIterator[Asking]:
    asking = Asking(service.url)
    yield asking
    await asking.connection.close()


@pytest.mark.parametrize("leaves", [False, True])
async def test_answer_is_read_as_it_is(ask: Asking, service: Scripted, leaves: bool) -> None:
    answer = await ask(leaves=leaves)
    assert answer == Fetched(
        201,
        [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Latin", "Zo\xeb")],
        b"\x00body\xff",
        "gzip",
        "anubis",
    )
    assert service.asked == [BODY]
    assert "body" not in repr(answer)


async def test_large_answer_is_read_whole(ask: Asking, service: Scripted) -> None:
    content = bytes(range(256)) * 4000
    service.answer = json.dumps({**FINE, "body": base64.b64encode(content).decode()})
    assert (await ask()).body == content


async def test_answer_over_the_bound_is_not_read_to_its_end(
    ask: Asking, service: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_client_module, "_REST_BYTES", 1000)
    service.answer = json.dumps({**FINE, "body": "A" * 3_000_000})
    with pytest.raises(FetchFailed, match="larger than 1000 bytes") as raised:
        await ask(most=1000)
    assert raised.value.code == "answer_too_large"
    assert len((await ask(most=3_000_000)).body) == 2_250_000


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((502, code) for code in ("dns_error", "connection_refused", "browser_crashed")),
        *((502, code) for code in ("answer_too_large", "answer_unreadable", "proxy_error")),
        (504, "timeout"),
        (500, "internal_error"),
        (408, "body_timeout"),
    ],
)
async def test_failures_on_the_way_to_the_site_have_the_services_code(
    ask: Asking, service: Scripted, status: int, code: str
) -> None:
    service.fails(status, code)
    with pytest.raises(FetchFailed, match=f"{code}: it is so") as raised:
        await ask()
    assert raised.value.code == code


async def test_challenge_that_was_not_passed_is_no_failure_of_the_way(
    ask: Asking, service: Scripted
) -> None:
    service.fails(502, "challenge_not_passed")
    with pytest.raises(SolveError) as raised:
        await ask()
    assert (raised.value.kind, str(raised.value)) == ("unsolved", "it is so")


@pytest.mark.parametrize(("status", "code"), [(502, "challenge_not_passed"), (504, "timeout")])
async def test_what_the_browser_had_where_it_did_not_get_through_is_told(
    ask: Asking, service: Scripted, status: int, code: str
) -> None:
    hint = {"code": "text_hidden", "message": "Nobody sees it.", "value": "Welcome"}
    error = {"code": code, "message": "It is so.", "unmet": ["success_text"], "hints": [hint]}
    service.status, service.answer = status, json.dumps({"error": error})
    with pytest.raises(SolveError) as raised:
        await ask()
    assert (raised.value.kind, str(raised.value)) == ("unsolved", "It is so. Nobody sees it")
    assert raised.value.evidence == Evidence(("success_text",), (hint,))


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "invalid_request"), (413, "body_too_large"), (502, "blocked_address")],
)
async def test_request_that_is_not_taken_is_told_with_the_reason(
    ask: Asking, service: Scripted, status: int, code: str
) -> None:
    service.fails(status, code)
    with pytest.raises(SolveError, match="it is so") as raised:
        await ask()
    assert raised.value.kind == "rejected"


async def test_fields_at_fault_are_named(ask: Asking, service: Scripted) -> None:
    fields = [{"field": "timeout", "message": "must be at most 60"}]
    error = {"code": "invalid_request", "message": "no", "fields": fields}
    service.status, service.answer = 400, json.dumps({"error": error})
    with pytest.raises(SolveError, match="refuses the request: timeout: must be at most 60"):
        await ask()


@pytest.mark.parametrize("code", ["too_many_waiting", "browser_unavailable", "shutting_down"])
async def test_busy_service_says_when_to_come_back(
    ask: Asking, service: Scripted, code: str
) -> None:
    service.fails(503, code)
    service.headers = {"Retry-After": "7"}
    with pytest.raises(SolverUnavailable, match="takes no requests: it is so") as raised:
        await ask()
    assert (raised.value.state, raised.value.pause) == ("busy", 7.0)


@pytest.mark.parametrize(
    ("status", "answer", "state"),
    [
        (401, '{"error": {"code": "unauthorized", "message": "no"}}', "refusing"),
        (404, "not here", "refusing"),
        (302, "", "refusing"),
        (502, "<h1>Bad gateway</h1>", "away"),
        (503, "", "away"),
        (200, "<h1>Welcome</h1>", "refusing"),
        (200, '{"status": 200}', "refusing"),
        (200, json.dumps({**FINE, "body": "no base64!"}), "refusing"),
        (200, json.dumps({**FINE, "headers": [["one"]]}), "refusing"),
        (200, "[" * 100_000, "refusing"),
    ],
)
async def test_answers_of_others_are_told_from_the_services(
    ask: Asking, service: Scripted, status: int, answer: str, state: str
) -> None:
    service.status, service.answer = status, answer
    with pytest.raises(SolverUnavailable) as raised:
        await ask()
    assert raised.value.state == state


async def test_service_that_is_not_there_is_away() -> None:
    asking = Asking("http://127.0.0.1:9")
    with pytest.raises(SolverUnavailable, match=r"no answer .* is it running") as raised:
        await asking()
    assert raised.value.state == "away"
    await asking.connection.close()


async def test_service_that_is_silent_beyond_the_timeout_is_away(
    ask: Asking, service: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask()  # a connection is there then: the little time is for the answer alone
    monkeypatch.setattr(fetch_client_module, "GRACE_SECONDS", 0.2)
    service.hold = asyncio.Event()
    with pytest.raises(SolverUnavailable, match="in time"):
        await ask(timeout=0.05)
    await asyncio.wait_for(service.hung_up.wait(), 60)


async def test_service_that_waits_for_a_person_may_be_silent_for_longer(
    ask: Asking, service: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_client_module, "GRACE_SECONDS", 0.05)
    service.hold = asyncio.Event()
    asking = asyncio.create_task(ask(timeout=0.05, on_challenge="wait"))
    await asyncio.wait({asking}, timeout=0.3)
    assert not asking.done()
    service.hold.set()
    assert (await asking).status == 201


async def test_closing_spider_gives_up_a_request_that_may_be(
    ask: Asking, service: Scripted
) -> None:
    service.hold = asyncio.Event()
    asking = asyncio.create_task(ask(leaves=True))
    await until(lambda: bool(service.asked))
    ask.ending = True
    with pytest.raises(CrawlEnding):
        await asking
    await asyncio.wait_for(service.hung_up.wait(), 60)


async def test_closing_spider_waits_for_what_must_not_be_given_up(
    ask: Asking, service: Scripted
) -> None:
    service.hold = asyncio.Event()
    asking = asyncio.create_task(ask())
    await until(lambda: bool(service.asked))
    ask.ending = True
    await asyncio.sleep(0.1)
    service.hold.set()
    assert (await asking).status == 201


async def test_request_that_is_cancelled_hangs_up(ask: Asking, service: Scripted) -> None:
    service.hold = asyncio.Event()
    asking = asyncio.create_task(ask(leaves=True))
    await until(lambda: bool(service.asked))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(service.hung_up.wait(), 60)
