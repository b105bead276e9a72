"""Plain http through a guard: the site and the browser get each other's bytes, and nothing else."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from tests.captcha_bypass.egress.servers import (
    Internet,
    answer_with_name,
    browsing,
    guarding,
    request,
    reset,
    serving,
)

FIVE_MB = random.Random(5).randbytes(5_000_000)  # noqa: S311 - not for secrets


async def _echo(request: web.Request) -> web.StreamResponse:
    return web.Response(body=await request.read())


async def _big(_: web.Request) -> web.StreamResponse:
    return web.Response(body=FIVE_MB)


@pytest.fixture
async def site() -> AsyncIterator[BaseTestServer]:
    app = web.Application(client_max_size=10_000_000)
    app.add_routes([web.get("/big", _big), web.post("/echo", _echo)])
    async with TestServer(app) as server:
        yield server


async def test_body_comes_from_the_site_byte_for_byte(site: BaseTestServer) -> None:
    url = site.make_url("/big")
    async with (
        guarding(str(url)) as guard,
        aiohttp.ClientSession(proxy=guard.url) as session,
        session.get(url) as answer,
    ):
        assert await answer.read() == FIVE_MB


async def test_body_goes_to_the_site_and_back_byte_for_byte(site: BaseTestServer) -> None:
    url = site.make_url("/echo")
    async with guarding(str(url)) as guard, aiohttp.ClientSession(proxy=guard.url) as session:
        for body in (FIVE_MB, b"", b"x"):
            async with session.post(url, data=io.BytesIO(body)) as answer:
                assert await answer.read() == body


async def test_requests_to_one_site_share_its_connection() -> None:
    async with (
        serving(lambda *streams: answer_with_name("a", *streams)) as server,
        guarding(server.url) as guard,
        browsing(guard) as browser,
    ):
        for number in range(5):
            _, body = await browser.get(f"{server.url}/{number}")
            assert body == f"a /{number}".encode()
        assert server.connections == 1


async def test_each_request_goes_to_the_site_it_names(internet: Internet) -> None:
    async with (
        serving(lambda *streams: answer_with_name("a", *streams)) as a,
        serving(lambda *streams: answer_with_name("b", *streams)) as b,
        guarding() as guard,
        browsing(guard) as browser,
    ):
        internet.site("a.example", "1.1.1.1", a)
        internet.site("b.example", "1.0.0.1", b)
        for name in "aabab":
            assert (await browser.get(f"http://{name}.example/"))[1] == f"{name} /".encode()
        assert (a.connections, b.connections) == (2, 2)


async def test_site_gets_the_lines_as_the_browser_wrote_them() -> None:
    lines = b"user-AGENT: x  y\r\nAccept:*/*\r\nX-B: 1\r\nX-A: \xff\r\nX-B: 2\r\n"
    seen = asyncio.get_running_loop().create_future()

    async def look(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        seen.set_result(await reader.readuntil(b"\r\n\r\n"))

    async with serving(look) as server, guarding(server.url) as guard, browsing(guard) as browser:
        hidden = b"Proxy-Connection: keep-alive\r\n"
        await browser.send(request(f"{server.url}/a?b", lines=lines + hidden))
        host = f"127.0.0.1:{server.port}".encode()
        expected = b"GET /a?b HTTP/1.1\r\nHost: " + host + b"\r\n" + lines + b"\r\n"
        assert await seen == expected


async def test_site_that_closes_after_an_answer_closes_the_browsers_connection() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nonce")

    async with serving(once) as server, guarding(server.url) as guard:
        for _ in range(2):
            async with browsing(guard) as browser:
                assert (await browser.get(server.url))[1] == b"once"
                assert await browser.reader.read() == b""
        assert server.connections == 2


async def test_answer_without_length_ends_where_the_site_ends_it() -> None:
    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + FIVE_MB)
        await writer.drain()

    async with serving(stream) as server, guarding(server.url) as guard, browsing(guard) as browser:
        await browser.send(request(server.url))
        assert await browser.head() == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
        assert await browser.reader.read() == FIVE_MB


async def test_answer_that_the_site_breaks_off_is_not_taken_for_a_whole_one() -> None:
    async def torn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf a")
        await writer.drain()
        await seen.wait()
        reset(writer)

    seen = asyncio.Event()
    async with serving(torn) as server, guarding(server.url) as guard, browsing(guard) as browser:
        await browser.send(request(server.url))
        await browser.reader.readuntil(b"half a")
        seen.set()
        with pytest.raises(ConnectionResetError):
            await browser.reader.read()


async def test_site_that_wants_to_see_the_head_first_gets_the_body_then() -> None:
    async def cautious(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(4)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body)

    async with (
        serving(cautious) as server,
        guarding(server.url) as guard,
        browsing(guard) as browser,
    ):
        lines = b"Content-Length: 4\r\nExpect: 100-continue\r\n"
        await browser.send(request(server.url, "POST", lines))
        assert await browser.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await browser.send(b"body")
        assert (await browser.answer())[1] == b"body"


async def test_answer_that_comes_before_the_body_is_passed_on_at_once() -> None:
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")
        await reader.readexactly(1000)
        await answer_with_name("a", reader, writer)

    async with serving(hasty) as server, guarding(server.url) as guard, browsing(guard) as browser:
        await browser.send(request(server.url, "POST", b"Content-Length: 1000\r\n"))
        assert (await browser.answer())[1] == b"no!"
        await browser.send(bytes(1000))
        assert (await browser.get(server.url + "/next"))[1] == b"a /next"


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n'),
    ],
)
async def test_answer_without_a_body_leaves_the_connection_for_the_next(
    method: str, head: bytes
) -> None:
    async def bodiless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        await answer_with_name("a", reader, writer)

    async with serving(bodiless) as server, guarding(server.url) as guard:
        async with browsing(guard) as browser:
            await browser.send(request(server.url, method))
            assert await browser.head() == head
            assert (await browser.get(server.url + "/next"))[1] == b"a /next"
        assert server.connections == 1


async def test_browser_that_leaves_in_the_middle_of_a_body_leaves_the_site_too() -> None:
    gone = asyncio.Event()

    async def patient(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await reader.readexactly(1000)
        finally:
            gone.set()

    async with serving(patient) as server, guarding(server.url) as guard:
        async with browsing(guard) as browser:
            await browser.send(request(server.url, "POST", b"Content-Length: 1000\r\n") + b"x")
        await gone.wait()


async def test_browser_that_leaves_stops_a_download() -> None:
    gone = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            while True:
                writer.write(bytes(65536))
                await writer.drain()
        finally:
            gone.set()

    async with serving(endless) as server, guarding(server.url) as guard:
        async with browsing(guard) as browser:
            await browser.send(request(server.url))
            await browser.reader.readexactly(1_000_000)
        await gone.wait()


@pytest.mark.parametrize("first", [True, False])
async def test_what_is_no_request_to_a_proxy_ends_the_connection(first: bool) -> None:
    async with serving(lambda *streams: answer_with_name("a", *streams)) as server:
        async with guarding(server.url) as guard, browsing(guard) as browser:
            if not first:
                await browser.get(server.url)
            await browser.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert await browser.reader.read() == b""
        assert server.connections == (0 if first else 1)
