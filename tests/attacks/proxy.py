"""A proxy somewhere in the net, which a task may bring along; it notes what it is asked for."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """Relays plain HTTP to `hosts`, by name, and refuses the rest; used as `async with`.

    Args:
        address: Where it listens, and where the hosts really are.
        hosts: The names it relays for.
        port: Where it listens; 0 picks a free one.
    """

    def __init__(self, address: str, hosts: set[str], port: int = 0) -> None:
        self._address = address
        self._hosts = hosts
        self._server: asyncio.Server
        self.port = port
        #: The hosts it was asked for, as they were spelled.
        self.asked: set[str] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._address, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, url, _ = head.decode("latin-1").split(" ", 2)
            where = urlsplit(f"//{url}" if method == "CONNECT" else url)
            self.asked.add(where.hostname or "")
            if where.hostname not in self._hosts:
                writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            await self._relay(reader, writer, method, head, where.port or 80)
        except (OSError, asyncio.IncompleteReadError):
            pass  # its client went away
        finally:
            writer.close()

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        method: str,
        head: bytes,
        port: int,
    ) -> None:
        beyond, out = await asyncio.open_connection(self._address, port)
        try:
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                out.write(_for_the_site(head))
            await asyncio.gather(_pump(reader, out), _pump(beyond, writer))
        finally:
            out.close()


def _for_the_site(head: bytes) -> bytes:
    """Return a request's head with the path instead of the URL; it ends its connection."""
    first, *fields = head.decode("latin-1").strip().split("\r\n")
    method, url, version = first.split(" ")
    path = url.split("/", 3)[3]
    kept = [f for f in fields if f.split(":")[0].lower() not in ("connection", "proxy-connection")]
    lines = [f"{method} /{path} {version}", *kept, "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1")


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
