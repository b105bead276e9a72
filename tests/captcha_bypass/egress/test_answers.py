"""No byte that a site sends past its answer reaches a browser as something else's answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from captcha_bypass.egress.answers import HEAD_BYTES, MAX_INTERIM
from captcha_bypass.egress.upstream import Upstream
from tests.captcha_bypass.egress.servers import (
    Browser,
    Server,
    answer_with_name,
    browsing,
    guarding,
    read_to_the_end,
    request,
)

FAKE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake"
OK = b"HTTP/1.1 200 OK\r\n"

#: Heads of which a guard and a browser could think differently, or that give no length; each with a
#: body of two bytes, `hi`, as far as a browser may see one.
UNCLEAR = {
    "chunked": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunked and a length": OK
    + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "no length": OK + b"\r\nhi",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
    "list of lengths": OK + b"Content-Length: 2, 2\r\n\r\nhi",
    "signed length": OK + b"Content-Length: +2\r\n\r\nhi",
    "hex length": OK + b"Content-Length: 0x2\r\n\r\nhi",
    "empty length": OK + b"Content-Length:\r\n\r\nhi",
    "long length": OK + b"Content-Length: 0000000000000000000002\r\n\r\nhi",
    "bare lf": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "one bare lf": OK + b"Content-Length: 2\r\nX: 1\n\r\nhi",
    "bare cr": OK + b"X: a\rContent-Length: 9\r\nContent-Length: 2\r\n\r\nhi",
    "nul": OK + b"X: \0\r\nContent-Length: 2\r\n\r\nhi",
    "folded": OK + b"X: a\r\n Content-Length: 9\r\nContent-Length: 2\r\n\r\nhi",
    "blank before the colon": OK + b"Content-Length : 2\r\n\r\nhi",
    "no colon": OK + b"Content-Length\r\nContent-Length: 2\r\n\r\nhi",
    "http 1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi",
    "lower case": b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "icy": b"ICY 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhi",
    "says so itself": OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nhi",
}


class Sender(Server):
    """Answers the first request of each connection with given bytes, and then waits."""

    def __init__(self, data: bytes, *, piece: int = 1 << 20) -> None:
        super().__init__(self.answer)
        self._data = data
        self._piece = piece
        self.requests = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        for start in range(0, len(self._data), self._piece):
            writer.write(self._data[start : start + self._piece])
            await writer.drain()
            await asyncio.sleep(0)
        while await reader.read(65536):
            self.requests += 1


async def ask_twice(browser: Browser, url: str) -> bytes:
    """Ask as a browser that keeps its connections, and return all that came: a body of `hi` at least."""
    await browser.send(request(url))
    got = await browser.head()
    await browser.send(request(url + "/second"))
    async with asyncio.timeout(10):
        while b"hi" not in got:
            chunk = await browser.reader.read(65536)
            assert chunk, got
            got += chunk
    with suppress(TimeoutError):  # the site itself never hangs up
        async with asyncio.timeout(0.2):
            while chunk := await browser.reader.read(65536):
                got += chunk
    return got


@pytest.mark.parametrize("name", UNCLEAR)
async def test_unclear_answer_is_the_last_of_its_connection(name: str) -> None:
    server = Sender(UNCLEAR[name] + FAKE)
    async with server.running(), guarding(server.url) as guard, browsing(guard) as browser:
        got = await ask_twice(browser, server.url)
    first, _, rest = got.partition(b"\n")
    # Right after the first line, whatever a browser takes for the end of the head.
    assert rest.startswith(b"Connection: close\r\n") or b"\r\nConnection: close\r\n" in got
    assert b"hi" in got
    assert b"keep-alive" not in got or name in ("http 1.0", "icy")
    assert server.requests == 1, first


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
async def test_what_follows_a_clear_answer_never_reaches_the_browser(piece: int) -> None:
    answer = OK + b"Content-Length: 2\r\n\r\nhi"
    server = Sender(answer + FAKE, piece=piece)
    async with server.running(), guarding(server.url) as guard, browsing(guard) as browser:
        await browser.send(request(server.url))
        assert await browser.reader.read() == answer


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", OK + b"Content-Length: 99\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 99\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"),
    ],
)
async def test_answer_without_a_body_has_none(method: str, head: bytes) -> None:
    server = Sender(head + FAKE)
    async with server.running(), guarding(server.url) as guard, browsing(guard) as browser:
        await browser.send(request(server.url, method))
        assert await browser.reader.read() == head


async def test_junk_before_the_first_answer_is_left_out() -> None:
    answer = OK + b"Content-Length: 2\r\n\r\nhi"
    server = Sender(b"\r\n junk\n" + answer)
    async with server.running(), guarding(server.url) as guard, browsing(guard) as browser:
        assert b"".join(await browser.get(server.url)) == answer


async def test_junk_before_a_second_answer_is_not_skipped_as_browsers_do() -> None:
    async def junk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"junk" + FAKE)

    server = Server(junk)
    async with server.running(), guarding(server.url) as guard, browsing(guard) as browser:
        await browser.send(request(server.url))
        await browser.head()
        await browser.send(request(server.url))
        assert await read_to_the_end(browser) == 0


async def test_interim_answers_come_before_the_one_that_counts() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * (MAX_INTERIM - 1)
    answer = interim + OK + b"Content-Length: 2\r\n\r\nhi"
    server = Sender(answer)
    async with server.running(), guarding(server.url) as guard, browsing(guard) as browser:
        await browser.send(request(server.url))
        assert await browser.reader.readexactly(len(answer)) == answer


async def test_interim_answers_without_end_are_cut_off() -> None:
    server = Sender(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)
    async with server.running(), guarding(server.url) as guard, browsing(guard) as browser:
        await browser.send(request(server.url))
        assert await read_to_the_end(browser) <= MAX_INTERIM * 28


async def test_head_that_never_ends_is_passed_on_and_is_the_last() -> None:
    server = Sender(OK + b"X: " + b"x" * 2 * HEAD_BYTES + b"\r\n\r\n")
    async with server.running(), guarding(server.url) as guard, browsing(guard) as browser:
        await browser.send(request(server.url))
        assert await browser.reader.readline() == OK
        assert await browser.reader.readline() == b"Connection: close\r\n"


async def test_site_that_hangs_up_between_two_answers_hangs_up_on_the_browser() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 2\r\n\r\nhi")

    server = Server(once)
    async with server.running(), guarding(server.url) as guard, browsing(guard) as browser:
        await browser.send(request(server.url))
        assert await browser.reader.read() == OK + b"Content-Length: 2\r\n\r\nhi"


async def test_request_that_comes_before_the_last_answer_waits_for_it() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 2\r\n\r\nh")
        await asyncio.sleep(0.05)
        assert not reader._buffer  # type: ignore[attr-defined]
        writer.write(b"i")
        await answer_with_name("a", reader, writer)

    server = Server(slow)
    async with server.running(), guarding(server.url) as guard, browsing(guard) as browser:
        await browser.send(request(server.url) + request(server.url + "/next"))
        assert (await browser.answer())[1] == b"hi"
        assert (await browser.answer())[1] == b"a /next"


@pytest.mark.parametrize("size", [b"Content-Length: 73\r\n", b""])
async def test_page_about_http_comes_whole_through_an_http_proxy(size: bytes) -> None:
    line = b"HTTP/1.1 407 Proxy Authentication Required\r\n"

    async def pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + size + b"\r\n<p>answers:</p>")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(line + b"<p>the end</p>")

    server = Server(pieces)
    async with (
        server.running(),
        guarding(upstream=Upstream("http", server.destination)) as guard,
        browsing(guard) as browser,
    ):
        await browser.send(request("http://site.example/"))
        assert (await browser.reader.read()).endswith(line + b"<p>the end</p>")
        assert guard.failure("http://site.example/") is None


async def test_sites_own_407_is_its_page() -> None:
    data = b'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 2\r\n\r\nhi'
    server = Sender(data)
    async with server.running(), guarding(server.url) as guard, browsing(guard) as browser:
        # What is meant for a proxy's client would make the browser give the page up.
        assert await browser.get(server.url) == (
            b"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\n",
            b"hi",
        )
        assert guard.failure(server.url) is None
