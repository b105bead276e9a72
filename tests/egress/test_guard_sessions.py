"""A guard that serves one task of a session after the other."""

from __future__ import annotations

import asyncio

import pytest

from captcha_bypass.egress.routes import Permit
from tests.egress.servers import (
    START,
    browsing,
    echo,
    guarding,
    read_to_the_end,
    serving,
)


async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 40,000 bytes to each request, and keep the connection."""
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + bytes(40_000))


@pytest.mark.parametrize("kind", START)
async def test_next_task_gets_no_connection_of_the_last(kind: str) -> None:
    async with (
        serving(page) as server,
        serving(echo) as other,
        guarding(server.destination) as guard,
        browsing(guard) as browser,
    ):
        await START[kind](browser, server)
        await browser.reader.readexactly(1)
        guard.admit(Permit(other.destination))
        assert await read_to_the_end(browser) <= 41_000
        await server.idle()
        async with browsing(guard) as later:
            assert b"502" in await later.connect(server.destination)  # the last task's host


async def test_each_task_may_move_as_much() -> None:
    async with (
        serving(page) as server,
        guarding(server.destination, max_task_bytes=50_000) as guard,
    ):
        for _ in range(3):
            async with browsing(guard) as browser:
                await browser.get(server.url)
            guard.admit(Permit(server.destination))
        assert guard.overrun is None
        async with browsing(guard) as browser:
            await browser.get(server.url)
            await START["plain"](browser, server)
            await read_to_the_end(browser)
        assert guard.overrun is not None
