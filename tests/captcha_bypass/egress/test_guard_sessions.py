"""A guard that serves one task of a session after the other."""

from __future__ import annotations

import asyncio

import pytest

from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination
from tests.captcha_bypass.egress.proxies import HttpProxy, upstream
from tests.captcha_bypass.egress.servers import (
    START,
    Internet,
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


async def test_each_request_beside_the_tasks_may_move_as_much() -> None:
    async with (
        serving(page) as server,
        guarding(server.destination, max_task_bytes=50_000) as guard,
    ):

        async def get() -> None:
            async with browsing(guard) as browser:
                await browser.get(server.url)

        for _ in range(3):
            assert await guard.admit_beside(Permit(server.destination))
            with guard.traffic.beside():
                await get()
        with guard.traffic.beside(), guard.traffic.beside():
            await get()
            await get()
        assert guard.overrun is None
        with guard.traffic.beside():
            await get()
            with guard.traffic.beside():
                await get()
            await get()  # what the one that has ended moved is not on this one's account
        assert guard.overrun is None
        with guard.traffic.beside():
            await get()
            async with browsing(guard) as browser:
                await START["plain"](browser, server)
                await read_to_the_end(browser)
        assert guard.overrun is not None


async def test_session_that_was_abroad_is_given_no_private_host(internet: Internet) -> None:
    async with serving(page) as server, guarding("http://away.example/") as guard:
        internet.site("away.example", "1.1.1.1", server)
        internet.names["inside.example"] = [["10.1.2.3"]]
        inside = [
            Permit(Destination(host, 80)) for host in ("inside.example", "127.0.0.1", "10.1.2.3")
        ]
        for permit in inside:
            assert await guard.admit_again(permit)  # it was nowhere yet
        assert await guard.admit_again(Permit(Destination("away.example", 80)))
        async with browsing(guard) as browser:
            await browser.get("http://away.example/")
        for permit in inside:
            assert not await guard.admit_again(permit)
        assert await guard.admit_again(Permit(Destination("away.example", 80)))


async def test_session_that_was_abroad_through_a_proxy_is_given_no_private_host() -> None:
    proxy = HttpProxy()
    async with (
        serving(page) as proxy.behind,
        proxy.running(),
        guarding("http://away.example/", upstream=upstream(proxy)) as guard,
        browsing(guard) as browser,
    ):
        await browser.connect("away.example:443")
        for host in ("localhost", "10.1.2.3", "printer.local"):
            assert not await guard.admit_again(Permit(Destination(host, 80), upstream(proxy)))


async def test_name_that_cannot_be_resolved_at_first_is_no_private_host_later(
    internet: Internet,
) -> None:
    async with serving(page) as server, guarding("http://away.example/") as guard:
        internet.site("away.example", "1.1.1.1", server)
        async with browsing(guard) as browser:
            await browser.get("http://away.example/")
        assert await guard.admit_again(Permit(Destination("later.example", 80)))
        internet.site("later.example", "10.1.2.3", server)
        async with browsing(guard) as browser:
            assert b"502" in await browser.connect("later.example:80")
        error = guard.failure("http://later.example/")
        assert error is not None
        assert error.code == "blocked_address"
