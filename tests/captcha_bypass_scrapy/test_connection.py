"""The HTTP session to the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from captcha_bypass_scrapy.connection import Connection
from tests.captcha_bypass_scrapy.fake_site import serving


class Told:
    """Answers with what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.held = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/told", self._told)
        app.router.add_get("/away", self._away)
        app.router.add_get("/text", self._text)
        app.router.add_get("/hold", self._hold)
        return app

    async def _told(self, request: web.Request) -> web.Response:
        response = web.json_response(
            {
                "method": request.method,
                "authorization": request.headers.get("Authorization"),
                "cookies": dict(request.cookies),
                "body": (await request.read()).decode(),
            }
        )
        response.set_cookie("a", "1")
        return response

    async def _away(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("/told")

    async def _text(self, request: web.Request) -> web.Response:
        return web.Response(status=418, body=b"\xff no JSON")

    async def _hold(self, request: web.Request) -> web.Response:
        await self.held.wait()
        return web.Response()


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    told = Told()
    async with serving(told.app(), "127.0.0.1") as told.url:
        yield told
        told.held.set()


@pytest.fixture
async def connection(told: Told) -> AsyncIterator[Connection]:
    connection = Connection(told.url, "the-key", read_seconds=0.2)
    yield connection
    await connection.close()


async def test_call_sends_the_key_and_returns_status_object_and_headers(
    connection: Connection,
) -> None:
    status, answer, headers = await connection.call("POST", "/told", json={"a": 1})
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert answer["authorization"] == "Bearer the-key"
    assert (answer["method"], answer["body"]) == ("POST", '{"a": 1}')


async def test_cookies_are_not_kept_and_redirects_not_followed(connection: Connection) -> None:
    for _ in range(2):
        _, answer, _ = await connection.call("GET", "/told")
        assert answer["cookies"] == {}
    status, _, headers = await connection.call("GET", "/away")
    assert (status, headers["Location"]) == (302, "/told")


async def test_what_is_no_json_is_an_empty_object(connection: Connection) -> None:
    assert (await connection.call("GET", "/text"))[:2] == (418, {})


async def test_proxies_of_the_environment_are_not_used(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert (await connection.call("GET", "/told"))[0] == 200


async def test_without_a_key_no_header_is_sent(told: Told) -> None:
    connection = Connection(told.url, None, read_seconds=1)
    _, answer, _ = await connection.call("GET", "/told")
    assert answer["authorization"] is None
    await connection.close()


async def test_silent_service_is_waited_for_as_long_as_is_said(connection: Connection) -> None:
    with pytest.raises(TimeoutError):
        await connection.call("GET", "/hold")
    with pytest.raises(TimeoutError):
        await connection.call("GET", "/hold", timeout=aiohttp.ClientTimeout(total=0.05))


async def test_hundreds_may_be_asked_at_once(told: Told) -> None:
    """Scrapy bounds them, by CONCURRENT_REQUESTS."""
    connection = Connection(told.url, None, read_seconds=5)
    asking = [asyncio.create_task(connection.call("GET", "/hold")) for _ in range(150)]
    asking.append(asyncio.create_task(connection.call("GET", "/told")))
    await asyncio.wait({asking[-1]}, timeout=5)
    assert asking[-1].done()
    told.held.set()
    await asyncio.gather(*asking)
    await connection.close()


async def test_login_in_the_url_is_not_shown() -> None:
    connection = Connection("http://user:word@127.0.0.1:1/x", None, read_seconds=1)
    assert connection.shown == "http://127.0.0.1:1/x"
    await connection.close()
