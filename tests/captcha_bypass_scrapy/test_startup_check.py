"""What is told of the service when the spider opens: one line, and nothing waits for it."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from aiohttp import web

import captcha_bypass_scrapy.startup_check as module
from captcha_bypass.api.native.openapi import document
from captcha_bypass_scrapy.connection import Connection
from captcha_bypass_scrapy.reporting import Reporter
from captcha_bypass_scrapy.settings import Config
from captcha_bypass_scrapy.startup_check import StartupCheck
from tests.captcha_bypass_scrapy.engines import crawler_with, opened
from tests.captcha_bypass_scrapy.fake_service import FakeService
from tests.captcha_bypass_scrapy.fake_site import serving
from tests.support.scripted_queue import until

LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Told:
    """A service that answers one thing, and what a check of it tells."""

    def __init__(self, caplog: pytest.LogCaptureFixture, status: int, body: object) -> None:
        caplog.set_level(logging.INFO, "captcha_bypass_scrapy")
        self._log = caplog
        self._status, self._body = status, body
        self.asked: list[str] = []

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.path} {request.headers.get('Authorization')}")
        return web.Response(status=self._status, text=json.dumps(self._body))

    async def line(self, **settings: Any) -> tuple[int, str]:  # noqa: ANN401 - Config's
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        async with serving(app, "127.0.0.1") as url:
            return await checked(self._log, Config(url=url, **settings))


async def checked(caplog: pytest.LogCaptureFixture, config: Config) -> tuple[int, str]:
    connection = Connection(config.url, config.api_key, read_seconds=5)
    try:
        await StartupCheck(connection, config, Reporter(crawler_with())).run()
    finally:
        await connection.close()
    (record,) = (r for r in caplog.records if r.name == "captcha_bypass_scrapy")
    return record.levelno, record.getMessage()


async def test_service_that_is_as_it_should_be_is_told_with_its_version(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told(caplog, 200, document(300.0))
    level, line = await told.line(api_key="the-key-1", timeout_seconds=300.0)
    assert level == logging.INFO
    assert line.endswith("can be used")
    assert document()["info"]["version"] in line
    assert told.asked == ["/openapi.json Bearer the-key-1"]


@pytest.mark.parametrize(
    ("status", "body", "level", "part"),
    [
        (
            200,
            document(30.0),
            "error",
            "CAPTCHA_BYPASS_TIMEOUT is 60 s, and the service takes at most 30",
        ),
        (
            401,
            {"error": {"code": "unauthorized", "message": "no"}},
            "error",
            "set CAPTCHA_BYPASS_API_KEY",
        ),
        (404, {}, "error", "answered 404; is CAPTCHA_BYPASS_URL right?"),
        (
            200,
            {"info": {"title": "another"}},
            "error",
            "answered 200; is CAPTCHA_BYPASS_URL right?",
        ),
        (200, ["no", "object"], "error", "is CAPTCHA_BYPASS_URL right?"),
        (502, {"error": "bad gateway"}, "warning", "answered 502"),
        (503, {"error": {"code": "x", "message": "too many"}}, "warning", "answered 503, too many"),
    ],
)
async def test_what_a_person_has_to_change_is_told_in_one_line(
    caplog: pytest.LogCaptureFixture, status: int, body: object, level: str, part: str
) -> None:
    found, line = await Told(caplog, status, body).line()
    assert found == LEVELS[level]
    assert line.startswith("Challenges will not be solved: ")
    assert part in line
    assert line.isprintable()


async def test_service_that_is_not_there_is_told_without_its_login(
    caplog: pytest.LogCaptureFixture,
) -> None:
    level, line = await checked(caplog, Config(url="http://user:secret@127.0.0.1:9"))
    assert level == logging.WARNING
    assert "no answer from the service at http://127.0.0.1:9" in line
    assert "secret" not in line


def hanging(asked: asyncio.Event) -> web.Application:
    async def hang(request: web.Request) -> web.Response:
        asked.set()
        await asyncio.Future()
        raise AssertionError

    app = web.Application()
    app.router.add_get("/openapi.json", hang)
    return app


async def test_service_that_says_nothing_is_not_waited_for(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.05)
    async with serving(hanging(asyncio.Event()), "127.0.0.1") as url:
        level, line = await checked(caplog, Config(url=url))
    assert (level, "is it running?" in line) == (logging.WARNING, True)


async def test_check_ends_with_the_crawl_that_is_over_before_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = asyncio.Event()
    async with serving(hanging(asked), "127.0.0.1") as url:
        connection = Connection(url, None, read_seconds=60)
        check = StartupCheck(connection, Config(url=url), Reporter(crawler_with()))
        await check.close()  # before it began
        check.begin()
        async with asyncio.timeout(10):
            await asked.wait()
            await check.close()
        await connection.close()
    assert [r for r in caplog.records if r.name == "captcha_bypass_scrapy"] == []


async def test_crawl_asks_when_its_spider_opens_and_tells_one_line(
    fake: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "captcha_bypass_scrapy")
    addon = {"captcha_bypass_scrapy.Addon": 500}
    async with opened(CAPTCHA_BYPASS_URL=fake.url, ADDONS=addon):
        await until(lambda: fake.url in caplog.text)
    assert f"The captcha-bypass service 1.2.3 at {fake.url} can be used" in caplog.text
