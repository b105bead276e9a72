"""Each refused request is a line in the log, up to a bound, and whatever it is nothing is lost."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from captcha_bypass.api import refusals as module
from captcha_bypass.api.application import middlewares
from captcha_bypass.api.dashboard.access import DashboardAccess
from captcha_bypass.api.dashboard.logins import Logins
from captcha_bypass.api.refusals import MAX_LINES, MAX_MESSAGE_CHARS, Refusals
from captcha_bypass.config import Config
from captcha_bypass.errors import FieldError, InvalidRequest, QueueFull, RequestError
from tests.support.scripted_queue import until

KEY = {"X-API-Key": "canary-key-1"}


@dataclass
class Api:
    client: TestClient[web.Request, web.Application]
    counts: Counter[str]
    #: What `POST /solve/{name}` raises.
    error: RequestError

    async def ask(self, path: str = "/solve/canary", **headers: str) -> ClientResponse:
        return await self.client.post(path, headers={**KEY, **headers})


@pytest.fixture
async def api(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Api]:
    caplog.set_level(logging.WARNING)
    counts: Counter[str] = Counter()
    refusals = Refusals(lambda code: counts.update([code]))
    config = Config(api_key=("canary-key-1",))
    access = DashboardAccess(config, Logins())
    app = web.Application(middlewares=middlewares(config, refusals, access))

    async def solve(request: web.Request) -> web.Response:
        raise found.error

    app.router.add_post("/solve/{name}", solve)
    async with TestClient(TestServer(app)) as client:
        found = Api(client, counts, QueueFull("full"))
        yield found
        refusals.close()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: record.__dict__[name] for name in ("status", "code", "client")}


async def test_a_line_tells_route_and_reason_and_never_the_path_or_the_key(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    await api.ask("/solve/canary?canary=1")
    await api.ask(**{"X-API-Key": "canary-key-2"})
    await api.ask("/canary-path")
    assert lines(caplog)[0] == "request refused: POST /solve/{name}: full"
    client = {"client": "127.0.0.1"}
    assert [fields(record) for record in caplog.records] == [
        {"status": 503, "code": "queue_full", **client},
        {"status": 401, "code": "unauthorized", **client},
        {"status": 404, "code": "not_found", **client},
    ]
    assert "canary" not in caplog.text
    assert api.counts == {"queue_full": 1, "unauthorized": 1, "not_found": 1}


async def test_a_line_stays_one_and_short_whatever_a_field_is_called(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    name = "a\r\n2026-01-01 ERROR forged\x1b[2J\u202e" * 100
    api.error = InvalidRequest([FieldError(name, "is not a known field")])
    assert (await api.ask()).status == 400
    (line,) = lines(caplog)
    assert line.isprintable()
    assert len(line) <= MAX_MESSAGE_CHARS + 3


async def test_lines_are_bounded_and_one_more_counts_what_was_left_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW_SECONDS", 0.05)
    counts: Counter[str] = Counter()
    refusals = Refusals(lambda code: counts.update([code]))
    for code in [*["slow_reader"] * (MAX_LINES + 5), "large_head"]:
        refusals.connection(code, "closed", "::1")  # type: ignore[arg-type]
    assert lines(caplog) == ["closed"] * MAX_LINES
    await until(lambda: len(lines(caplog)) > MAX_LINES)
    assert lines(caplog)[-1] == "6 more were refused, without a line: slow_reader 5, large_head 1"
    refusals.connection("slow_request", "there is room again", "::1")
    assert lines(caplog)[-1] == "there is room again"
    assert counts == {"slow_reader": MAX_LINES + 5, "large_head": 1, "slow_request": 1}


async def test_what_was_left_out_is_told_at_the_end_at_the_latest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = Refusals(lambda code: None)
    for _ in range(MAX_LINES + 2):
        refusals.connection("slow_request", "closed", "::1")
    refusals.close()
    refusals.close()
    assert len(lines(caplog)) == MAX_LINES + 1
    assert lines(caplog)[-1] == "2 more were refused, without a line: slow_request 2"
