"""Sites on loopback, an internet in which they have public addresses, and browsers of bare bytes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import pytest
from aiohappyeyeballs import start_connection

from captcha_bypass.egress import routes
from captcha_bypass.egress.guard import Guard
from captcha_bypass.egress.guards import Egress
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination, Rules
from captcha_bypass.egress.upstream import Upstream

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Listens on loopback; a handler that ends closes its connection."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        #: Connections taken so far.
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def destination(self) -> Destination:
        return Destination("127.0.0.1", self.port)

    async def idle(self) -> None:
        """Wait until no connection is open."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, EOFError):
                await self._handle(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            failures = await asyncio.gather(*self._tasks, return_exceptions=True)
            assert [f for f in failures if isinstance(f, Exception)] == []


def serving(
    handle: Handler, tls: ssl.SSLContext | None = None
) -> contextlib.AbstractAsyncContextManager[Server]:
    return Server(handle).running(tls)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, and the end of it."""
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection off with a TCP reset."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Internet:
    """Replaces resolver and dialling: no packet leaves loopback, and everything asked is kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        #: Addresses by name: one answer after the other, the last again and again.
        self.names: dict[str, list[list[str]]] = {}
        #: Which port of loopback is behind a public address, whatever port is dialled.
        self.places: dict[str, int] = {}
        self.asked: list[str] = []
        self.dialled: list[tuple[str, int]] = []
        self._resolve = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)
        monkeypatch.setattr(routes, "start_connection", self._start_connection)

    def site(self, name: str, address: str, server: Server) -> None:
        """Put a server behind a name and an address."""
        self.names[name] = [[address]]
        self.places[address] = server.port

    def _getaddrinfo(self, host: str, port: Any, *args: Any, **kwargs: Any) -> list[Any]:  # noqa: ANN401 - as the original
        if kwargs.get("flags") == socket.AI_NUMERICHOST:
            return list(self._resolve(host, port, *args, **kwargs))
        self.asked.append(host)
        if host not in self.names:  # an address, or a name that does not exist
            return list(self._resolve(host, port, type=kwargs["type"], flags=socket.AI_NUMERICHOST))
        answers = self.names[host]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        found: list[Any] = []
        for address in answer:
            found += self._resolve(address, port, type=kwargs["type"])
        return found

    async def _start_connection(self, infos: list[Any], **kwargs: Any) -> socket.socket:  # noqa: ANN401 - as the original
        real = []
        for info in infos:
            address, port = info[4][:2]
            self.dialled.append((address, port))
            if address in self.places:
                here = ("127.0.0.1", self.places[address])
                real.append((socket.AF_INET, socket.SOCK_STREAM, 6, "", here))
            elif ip_address(address).is_loopback:
                real.append(info)
        if not real:
            raise ConnectionRefusedError
        return await start_connection(real, **kwargs)


LOCAL = Rules(trust_named=True)


@asynccontextmanager
async def guarding(
    named: Destination | str = "http://nothing.example/",
    *,
    upstream: Upstream | None = None,
    rules: Rules = LOCAL,
    max_task_bytes: int = 1024**3,
) -> AsyncIterator[Guard]:
    """Open a guard for a task that names that URL or place."""
    if isinstance(named, str):
        named = Destination.of(named)
    async with Egress(rules, max_task_bytes) as egress:
        guard = await egress.guard()
        guard.admit(Permit(named, upstream))
        yield guard


class Browser:
    """One connection to a guard, as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        """Read a head."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def answer(self, *, body: bool = True) -> tuple[bytes, bytes]:
        """Read an answer that says its length: head and body."""
        head = await self.head()
        length = re.search(rb"(?i)content-length: (\d+)", head)
        size = int(length[1]) if length and body else 0
        return head, await self.reader.readexactly(size)

    async def get(self, url: str, method: str = "GET") -> tuple[bytes, bytes]:
        """Ask for a page in plain http."""
        await self.send(request(url, method))
        return await self.answer(body=method != "HEAD")

    async def connect(self, destination: object) -> bytes:
        """Ask for a tunnel; the first line of what was answered."""
        await self.send(b"CONNECT %b HTTP/1.1\r\n\r\n" % str(destination).encode())
        return (await self.head()).split(b"\r\n")[0]


def request(url: str, method: str = "GET", lines: bytes = b"") -> bytes:
    host = re.sub(r"^http://|/.*", "", url)
    return f"{method} {url} HTTP/1.1\r\nHost: {host}\r\n".encode() + lines + b"\r\n"


@asynccontextmanager
async def browsing(guard: Guard) -> AsyncIterator[Browser]:
    """Connect to a guard."""
    port = int(guard.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Browser(reader, writer)
    finally:
        writer.transport.abort()


async def start_tunnel(browser: Browser, server: Server) -> None:
    assert (await browser.connect(server.destination)).endswith(b"established")
    await browser.send(b"\r\n\r\n")


async def start_download(browser: Browser, server: Server) -> None:
    await browser.send(request(server.url))


START = {"tunnel": start_tunnel, "plain": start_download}


async def read_to_the_end(browser: Browser) -> int:
    """Return how many bytes came before the connection was cut."""
    size = 0
    try:
        while chunk := await browser.reader.read(65536):
            size += len(chunk)
    except ConnectionResetError:
        pass
    return size


async def answer_with_name(
    name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer every request with a name and what was asked for."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        body = name.encode() + b" " + head.split(b" ")[1]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
