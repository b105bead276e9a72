"""Cookies go into the browser and come out of it as they are: in the real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestServer

from tests.support.hard_site import SEEN
from tests.support.solve_client import Client, Json

pytestmark = pytest.mark.browser

ODD: list[Json] = [
    {"name": "город", "value": "Москва"},
    {"name": "naïve", "value": "é北京😀", "httpOnly": True, "path": "/echo"},
    {"name": "my cookie", "value": "a=b==", "sameSite": "Strict"},
    {"name": "n" * 300, "value": "1"},
]


def sent(hard: TestServer) -> set[str]:
    """The cookies of the last request for the page that is given them."""
    headers = [headers for path, headers in hard.app[SEEN] if path == "/echo"]
    return set(headers[-1]["Cookie"].split("; "))


async def test_cookies_in_any_script_are_sent_told_and_taken_again_as_they_are(
    client: Client, hard: TestServer
) -> None:
    request: Json = {"url": str(hard.make_url("/echo")), "success_text": "Agent", "timeout": 20}
    wanted = {f"{cookie['name']}={cookie['value']}" for cookie in ODD}
    first = await client.solved(**request, cookies=ODD)
    assert sent(hard) == wanted
    told = {cookie["name"]: cookie for cookie in first["cookies"]}
    for cookie in ODD:
        assert {**told[cookie["name"]], **cookie} == told[cookie["name"]]
    again = await client.solved(**request, cookies=first["cookies"])
    assert sent(hard) == wanted
    assert again["cookies"] == first["cookies"]
    # What set them is no part of what the task has opened.
    assert [path for path, _ in hard.app[SEEN] if path != "/favicon.ico"] == ["/echo"] * 2


class Net:
    """A plain proxy that is the whole internet: site.test has a frame of part.test."""

    def __init__(self) -> None:
        self.url = ""
        #: Cookies that part.test got.
        self.cookies: list[str] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        cookies = {name.lower(): value for name, value in fields.items()}.get("cookie", "")
        body, more = "<p>site words</p><iframe src='http://part.test/'></iframe>", ""
        if fields["Host"] == "part.test":
            body = f"<p>got {cookies or 'none'}</p>"
            more = "Set-Cookie: part=1; Path=/\r\n"
            self.cookies.append(cookies)
        answer = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{answer}Connection: close\r\n{more}\r\n{body}".encode())
        writer.close()


@pytest.fixture
async def net() -> AsyncIterator[Net]:
    net = Net()
    server = await asyncio.start_server(net.handle, "127.0.0.1", 0)
    async with server:
        net.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield net


async def test_cookies_of_a_part_of_a_page_stay_with_that_page(client: Client, net: Net) -> None:
    request: Json = {"url": "http://site.test/", "timeout": 20, "proxy": {"server": net.url}}
    first = await client.solved(**request, success_text="got none")
    (cookie,) = first["cookies"]
    assert (cookie["domain"], cookie["partitionKey"]) == ("part.test", "http://site.test")
    again = await client.solved(**request, success_text="got part=1", cookies=[cookie])
    assert again["timeout_reached"] is False
    assert again["cookies"] == [cookie]
