"""An end that does not read holds the other back; the guard keeps little of what is between."""

from __future__ import annotations

import asyncio

import pytest

from tests.captcha_bypass.egress.servers import (
    START,
    browsing,
    echo,
    guarding,
    read_to_the_end,
    serving,
)


@pytest.mark.parametrize("kind", START)
async def test_browser_that_does_not_read_holds_the_site_back(kind: str) -> None:
    size, sent = 64 * 1024**2, 0

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        if sent == 0:  # for the browser that does not read
            while sent < size:
                sent += 65536
                writer.write(bytes(65536))
                await writer.drain()
        else:
            for _ in range(size // 65536):
                writer.write(bytes(65536))
                await writer.drain()

    async with (
        serving(send) as server,
        guarding(server.destination) as guard,
        browsing(guard) as lazy,
        browsing(guard) as eager,
    ):
        await START[kind](lazy, server)
        await lazy.reader.readexactly(1)
        # In the time in which another takes all of it, twice, what is sent to this one stops.
        await START[kind](eager, server)
        assert await read_to_the_end(eager) >= size
        assert 0 < sent < size / 2


async def test_site_that_does_not_read_holds_the_browser_back() -> None:
    async def lazy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await asyncio.Future()

    async with (
        serving(lazy) as server,
        serving(echo) as other,
        guarding(server.destination) as guard,
        guarding(other.destination) as second,
        browsing(guard) as held_back,
        browsing(second) as eager,
    ):
        await held_back.connect(server.destination)
        size, sent = 64 * 1024**2, 0

        async def send() -> None:
            nonlocal sent
            while sent < size:
                sent += 65536
                await held_back.send(bytes(65536))

        sending = asyncio.create_task(send())
        await eager.connect(other.destination)
        chunk = bytes(65536)
        for _ in range(size // len(chunk)):
            await eager.send(chunk)
            await eager.reader.readexactly(len(chunk))
        assert 0 < sent < size / 2
        sending.cancel()
        await asyncio.wait({sending})
