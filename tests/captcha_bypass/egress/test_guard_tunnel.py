"""Tunnels through a guard: two ends that get each other's bytes, ends and breaks."""

from __future__ import annotations

import asyncio
import hashlib
import random
import struct

import pytest

from captcha_bypass.egress.guard import Guard
from tests.captcha_bypass.egress.conftest import Certificate
from tests.captcha_bypass.egress.servers import Browser, browsing, echo, guarding, reset, serving

ESTABLISHED = b"HTTP/1.1 200 Connection established"
FIVE_MB = random.Random(6).randbytes(5_000_000)  # noqa: S311 - not for secrets


async def test_tls_is_between_the_browser_and_the_site(certificate: Certificate) -> None:
    async with (
        serving(echo, certificate.server()) as server,
        guarding(server.destination) as guard,
        browsing(guard) as browser,
    ):
        assert await browser.connect(server.destination) == ESTABLISHED
        await browser.writer.start_tls(certificate.client(), server_hostname="localhost")
        seen = browser.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert seen == certificate.der()
        await browser.send(FIVE_MB[:100_000])
        assert await browser.reader.readexactly(100_000) == FIVE_MB[:100_000]


async def test_bytes_go_both_ways_at_once_unchanged() -> None:
    async with (
        serving(echo) as server,
        guarding(server.destination) as guard,
        browsing(guard) as browser,
    ):
        await browser.connect(server.destination)

        async def send() -> None:
            await browser.send(FIVE_MB)
            browser.writer.write_eof()

        _, back = await asyncio.gather(send(), browser.reader.read(-1))
        assert back == FIVE_MB


async def test_bytes_sent_along_with_the_request_reach_the_site() -> None:
    async with (
        serving(echo) as server,
        guarding(server.destination) as guard,
        browsing(guard) as browser,
    ):
        await browser.send(b"CONNECT %b HTTP/1.1\r\n\r\nhello" % str(server.destination).encode())
        assert (await browser.head()).startswith(ESTABLISHED)
        assert await browser.reader.readexactly(5) == b"hello"


async def test_site_may_answer_after_the_browser_has_sent_its_last() -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        digest = hashlib.sha256(await reader.read(-1))
        writer.write(digest.digest())

    async with (
        serving(count) as server,
        guarding(server.destination) as guard,
        browsing(guard) as browser,
    ):
        await browser.connect(server.destination)
        await browser.send(FIVE_MB)
        browser.writer.write_eof()
        assert await browser.reader.read() == hashlib.sha256(FIVE_MB).digest()


async def test_browser_may_send_after_the_site_has_sent_its_last() -> None:
    got = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"last words")
        writer.write_eof()
        got.set_result(await reader.read(-1))

    async with (
        serving(listen) as server,
        guarding(server.destination) as guard,
        browsing(guard) as browser,
    ):
        await browser.connect(server.destination)
        assert await browser.reader.read() == b"last words"
        await browser.send(FIVE_MB)
        browser.writer.write_eof()
        assert await got == FIVE_MB


@pytest.mark.parametrize("words", [b"", b"some words"])
async def test_reset_by_the_site_is_one_for_the_browser(words: bytes) -> None:
    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await reader.readexactly(1)
        reset(writer)

    async with (
        serving(slam) as server,
        guarding(server.destination) as guard,
        browsing(guard) as browser,
    ):
        await browser.connect(server.destination)
        assert await browser.reader.readexactly(len(words)) == words
        await browser.send(b"x")
        with pytest.raises(ConnectionResetError):
            await browser.reader.read()


async def test_reset_by_the_browser_is_one_for_the_site() -> None:
    broken = asyncio.get_running_loop().create_future()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x")
        try:
            broken.set_result(await reader.read())
        except OSError as error:
            broken.set_result(type(error))

    async with serving(wait) as server, guarding(server.destination) as guard:
        async with browsing(guard) as browser:
            await browser.connect(server.destination)
            await browser.reader.readexactly(1)
            reset(browser.writer)
        assert await broken is ConnectionResetError


async def test_tunnel_after_plain_requests_has_a_connection_of_its_own() -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async with serving(page) as server, guarding(server.url) as guard, browsing(guard) as browser:
        await browser.get(server.url)
        await browser.send(b"CONNECT %b HTTP/1.1\r\n\r\n" % str(server.destination).encode())
        assert await browser.reader.read() == b""
        assert server.connections == 1


async def test_many_tunnels_at_once_do_not_mix() -> None:
    async with serving(echo) as server, guarding(server.destination) as guard:

        async def one(number: int) -> bytes:
            async with browsing(guard) as browser:
                return await talk(browser, number)

        async def talk(browser: Browser, number: int) -> bytes:
            await browser.connect(server.destination)
            await browser.send(struct.pack("I", number) * 50_000)
            browser.writer.write_eof()
            return await browser.reader.read()

        answers = await asyncio.gather(*(one(number) for number in range(50)))
        assert [set(struct.unpack("50000I", answer)) for answer in answers] == [
            {number} for number in range(50)
        ]
        assert counted(guard) == 2 * 50 * 200_000


def counted(guard: Guard) -> int:
    counts = guard._counts
    assert counts.connections == 50
    return counts.bytes_sent + counts.bytes_received
