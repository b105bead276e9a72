"""Proxies on loopback as people have them: HTTP and SOCKS5, with and without a login."""

from __future__ import annotations

import asyncio
import base64
import socket
from abc import ABC, abstractmethod
from urllib.parse import urlsplit

from captcha_bypass.egress.guard import Guard
from captcha_bypass.egress.upstream import Upstream
from tests.captcha_bypass.egress.servers import Server, browsing, request


async def join(
    one: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    other: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Pass bytes both ways until both have ended."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    try:
        await asyncio.gather(pump(one[0], other[1]), pump(other[0], one[1]))
    finally:
        other[1].transport.abort()


class _Proxy(Server, ABC):
    """What it is asked for is on loopback in truth, whatever it is called."""

    def __init__(self, username: str | None = None, password: str = "") -> None:
        super().__init__(self.handle)
        self.username = username
        self.password = password
        #: Host and port of each request that had the right login.
        self.asked: list[tuple[str, int]] = []
        #: Requests that had another.
        self.refused = 0
        #: Where requests really go.
        self.behind: Server | None = None

    @abstractmethod
    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert self.behind is not None
        return await asyncio.open_connection("127.0.0.1", self.behind.port)


class HttpProxy(_Proxy):
    """Takes CONNECT, and plain http in absolute form."""

    def __init__(self, username: str | None = None, password: str = "") -> None:
        super().__init__(username, password)
        #: Heads of plain requests, as they came.
        self.heads: list[bytes] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if not self._may(head):
                self.refused += 1
                writer.write(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                    b'Proxy-Authenticate: Basic realm="p"\r\nContent-Length: 0\r\n\r\n'
                )
                continue
            method, target, _ = head.decode("latin-1").split(" ", 2)
            if method == "CONNECT":
                host, _, port = target.rpartition(":")
                self.asked.append((host, int(port)))
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                await join((reader, writer), await self.dial())
                return
            await self._forward(head, target, writer)

    def _may(self, head: bytes) -> bool:
        if self.username is None:
            return b"proxy-authorization" not in head.lower()
        pair = base64.b64encode(f"{self.username}:{self.password}".encode())
        return b"\r\nProxy-Authorization: Basic " + pair + b"\r\n" in head

    async def _forward(self, head: bytes, target: str, writer: asyncio.StreamWriter) -> None:
        self.heads.append(head)
        parts = urlsplit(target)
        self.asked.append((parts.hostname or "", parts.port or 80))
        first, *lines = head.split(b"\r\n")
        kept = [line for line in lines if not line.startswith(b"Proxy-")]
        site_reader, site_writer = await self.dial()
        try:
            site_writer.write(b"\r\n".join([first.replace(target.encode(), b"/"), *kept]))
            site_writer.write_eof()
            writer.write(await site_reader.read())
            await writer.drain()
        finally:
            site_writer.close()


class SocksProxy(_Proxy):
    """SOCKS5 (RFC 1928), with a login (RFC 1929) if it has one."""

    def __init__(self, username: str | None = None, password: str = "", reply: int = 0) -> None:
        super().__init__(username, password)
        #: What CONNECT is answered with.
        self.reply = reply
        #: How destinations were written: 1 IPv4, 3 name, 4 IPv6.
        self.kinds: list[int] = []
        #: How the proxy writes its own end.
        self.bound = b"\x01\x7f\x00\x00\x01\x00\x50"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = 0 if self.username is None else 2
        if version != 5 or wanted not in methods:
            self.refused += 1
            writer.write(b"\x05\xff")
            return
        writer.write(bytes([5, wanted]))
        if wanted == 2 and not await self._login(reader, writer):
            return
        _, command, _, kind = await reader.readexactly(4)
        assert command == 1
        host = await self._host(reader, kind)
        self.kinds.append(kind)
        self.asked.append((host, int.from_bytes(await reader.readexactly(2))))
        writer.write(bytes([5, self.reply, 0]) + self.bound)
        if self.reply == 0:
            await join((reader, writer), await self.dial())

    async def _login(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        assert await reader.readexactly(1) == b"\x01"
        username = await reader.readexactly((await reader.readexactly(1))[0])
        password = await reader.readexactly((await reader.readexactly(1))[0])
        right = (username.decode(), password.decode()) == (self.username, self.password)
        self.refused += not right
        writer.write(b"\x01\x00" if right else b"\x01\x01")
        return right

    async def _host(self, reader: asyncio.StreamReader, kind: int) -> str:
        if kind == 3:
            return (await reader.readexactly((await reader.readexactly(1))[0])).decode("ascii")
        family, size = {1: (socket.AF_INET, 4), 4: (socket.AF_INET6, 16)}[kind]
        return socket.inet_ntop(family, await reader.readexactly(size))


class Site(Server):
    """Answers every request with `hello`, and keeps the heads it was sent."""

    def __init__(self) -> None:
        super().__init__(self.handle)
        self.heads: list[bytes] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            await writer.drain()


def upstream(proxy: HttpProxy | SocksProxy, *, tls: bool = False) -> Upstream:
    """Return what a task says to use that proxy."""
    scheme = "socks5" if isinstance(proxy, SocksProxy) else "https" if tls else "http"
    return Upstream(scheme, proxy.destination, proxy.username, proxy.password)


def reason(guard: Guard, host: str) -> tuple[str, str]:
    """Return code and text of what is known about a host."""
    failure = guard.failure(f"http://{host}/")
    return ("", "") if failure is None else (failure.code, str(failure))


async def fails(guard: Guard, host: str = "site.example") -> tuple[str, str]:
    """Ask for a page and a tunnel; neither comes, and why is known."""
    async with browsing(guard) as browser:
        await browser.send(request(f"http://{host}/"))
        assert await browser.reader.read() == b""
    plain = reason(guard, host)
    place = host if host.rpartition(":")[2].isdigit() else f"{host}:80"
    async with browsing(guard) as browser:
        assert await browser.connect(place) == b"HTTP/1.1 502 Bad Gateway"
        assert await browser.reader.read() == b""
    assert reason(guard, host)[0] == plain[0]
    return reason(guard, host)
