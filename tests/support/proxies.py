"""Local HTTP proxies that want a login, each with an address of its own towards the site."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Proxy:
    """A forward proxy for plain http.

    Attributes:
        address: The loopback address its requests come from.
        wants_login: Whether it asks for one.
        refused: How many requests came without the right login.
    """

    address: str
    username: str
    password: str = "pass:word"  # a colon, which a careless rebuild would cut at
    port: int = 0
    wants_login: bool = True
    served: int = 0
    refused: int = 0

    @property
    def url(self) -> str:
        """Its address with the login, as people write it into meta["proxy"]."""
        return f"http://{self.username}:{self.password.replace(':', '%3A')}@127.0.0.1:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                answer = await self._forward(head, reader)
                writer.write(answer)
                await writer.drain()
        finally:  # also where the test ends before its client says anything
            writer.close()

    async def _forward(self, head: bytes, reader: asyncio.StreamReader) -> bytes:
        line, *fields = head.decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (f.partition(": ") for f in fields)}
        login = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        if self.wants_login and headers.get("proxy-authorization") != f"Basic {login}":
            self.refused += 1
            return (
                b"HTTP/1.1 407 Proxy Authentication Required\r\nConnection: close\r\n"
                b'Proxy-Authenticate: Basic realm="p"\r\nContent-Length: 0\r\n\r\n'
            )
        self.served += 1
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, url, version = line.split(" ")
        parts = urlsplit(url)
        kept = [f for f in fields if not f.lower().startswith(("proxy-", "connection:"))]
        path = parts._replace(scheme="", netloc="").geturl()
        lines = [f"{method} {path} {version}", *kept, "Connection: close", "", ""]
        site_reader, site_writer = await asyncio.open_connection(
            parts.hostname, parts.port, local_addr=(self.address, 0)
        )
        try:
            site_writer.write("\r\n".join(lines).encode("latin-1") + body)
            return await site_reader.read()
        finally:
            site_writer.close()


@asynccontextmanager
async def running_proxies(count: int) -> AsyncIterator[list[Proxy]]:
    """Run proxies that go out by 127.0.0.11, 127.0.0.12 ..."""
    async with AsyncExitStack() as stack:
        proxies = [Proxy(f"127.0.0.{11 + n}", f"user{n}") for n in range(count)]
        for proxy in proxies:
            server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
            stack.push_async_callback(server.wait_closed)
            stack.callback(server.close)
            proxy.port = server.sockets[0].getsockname()[1]
        yield proxies
