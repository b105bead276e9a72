"""A SOCKS5 proxy for local sites (RFC 1928: CONNECT, no login)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Socks:
    port: int = 0
    served: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                _, methods = await reader.readexactly(2)
                await reader.readexactly(methods)
                writer.write(b"\x05\x00")
                *_, kind = await reader.readexactly(4)
                size = 4 if kind == 1 else (await reader.readexactly(1))[0]
                address = await reader.readexactly(size)
                port = int.from_bytes(await reader.readexactly(2), "big")
                host = ".".join(map(str, address)) if kind == 1 else address.decode()
                site_reader, site_writer = await asyncio.open_connection(host, port)
                self.served += 1
                try:
                    writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
                    await asyncio.gather(_pipe(reader, site_writer), _pipe(site_reader, writer))
                finally:  # also where the browser resets its side, or the test ends first
                    site_writer.close()
        finally:
            writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def socks_proxy() -> AsyncIterator[Socks]:
    proxy = Socks()
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
