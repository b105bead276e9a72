"""What a guard does while a task's own headers are on their way: others have to wait."""

from __future__ import annotations

import asyncio

import pytest

from captcha_bypass.egress.guard import Guard
from captcha_bypass.egress.rules import Destination
from tests.captcha_bypass.egress.servers import (
    Browser,
    Internet,
    Server,
    answer_with_name,
    browsing,
    guarding,
    request,
    serving,
)

OWN = Destination("own.example", 80)
ASK = {
    "plain": request("http://other.example/"),
    "tunnel": b"CONNECT other.example:443 HTTP/1.1\r\n\r\n",
}


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await answer_with_name("a", reader, writer)


def place(internet: Internet, server: Server) -> None:
    internet.site("own.example", "1.1.1.1", server)
    internet.site("other.example", "1.0.0.1", server)


async def ask(browser: Browser, guard: Guard, how: str) -> None:
    """Ask for the other host, and let the guard see to another request after that."""
    await browser.send(ASK[how])
    async with browsing(guard) as second:
        await second.get("http://own.example/")


@pytest.mark.parametrize("how", ASK)
async def test_other_host_waits_until_the_first_answer_is_there(
    internet: Internet, how: str
) -> None:
    async with serving(answer) as server, guarding() as guard, browsing(guard) as browser:
        place(internet, server)
        guard.gate.confine(OWN)
        await ask(browser, guard, how)
        assert internet.asked == ["own.example"]
        guard.gate.open()
        assert (await browser.head()).startswith(b"HTTP/1.1 200")
        assert internet.asked == ["own.example", "other.example"]


@pytest.mark.parametrize("how", ASK)
async def test_other_host_is_never_connected_to_once_that_is_refused(
    internet: Internet, how: str
) -> None:
    async with serving(answer) as server, guarding() as guard, browsing(guard) as browser:
        place(internet, server)
        guard.gate.confine(OWN)
        await ask(browser, guard, how)
        guard.gate.refuse()
        assert await browser.reader.read() == b""
        async with browsing(guard) as again:
            await again.send(ASK[how])
            assert await again.reader.read() == b""
        guard.gate.open()
        async with browsing(guard) as later:
            await later.send(ASK[how])
            assert (await later.head()).startswith(b"HTTP/1.1 200")
        assert internet.asked == ["own.example", "other.example"]


async def test_second_request_of_a_connection_waits_as_well(internet: Internet) -> None:
    async with serving(answer) as server, guarding() as guard, browsing(guard) as browser:
        place(internet, server)
        guard.gate.confine(OWN)
        assert (await browser.get("http://own.example/1"))[1] == b"a /1"
        await browser.send(ASK["plain"])
        guard.gate.refuse()
        assert await browser.reader.read() == b""
        assert internet.asked == ["own.example"]
