"""The internal service that attacks aim at: it notes whatever reaches it, and tells a secret."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

#: Stands on every page of the internal service. Seen anywhere else, it was read.
SECRET = "canary-51c2e07ab9"

_PAGE = f"<!doctype html><title>internal</title><p>{SECRET}</p>".encode()
#: Readable for every page, as of a service that relies on nobody reaching it.
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nAccess-Control-Allow-Origin: *\r\n"
    b"Access-Control-Allow-Headers: *\r\nAccess-Control-Allow-Methods: *\r\n"
    b"Access-Control-Allow-Private-Network: true\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_PAGE), _PAGE)
)


class Target:
    """Listens until the block is left; every attack leaves a trace under its own name.

    Attacks by HTTP are told apart by their path, `/hit/<name>`. Those that cannot choose a path
    have a port of their own, given to the constructor.

    Args:
        hosts: Addresses to listen on, with the same port numbers on all of them.
        tcp: Names of attacks with a TCP port of their own.
        udp: Names of attacks with a UDP port of their own.
        port: Port for HTTP; 0 picks a free one.
    """

    def __init__(
        self, hosts: Iterable[str], tcp: Iterable[str], udp: Iterable[str], port: int = 0
    ) -> None:
        self._hosts = list(hosts)
        self._names = {"tcp": list(tcp), "udp": list(udp)}
        self._stack = AsyncExitStack()
        self._news = asyncio.Event()
        #: Names of the attacks that got here.
        self.hits: set[str] = set()
        #: First lines of what came in by HTTP.
        self.requests: list[str] = []
        #: TCP connections, whatever for.
        self.connections = 0
        #: UDP packets.
        self.packets = 0
        #: The port for HTTP, and the ports of the attacks that have their own.
        self.port = port
        self.ports: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.port = await self._listen(stack, None, self.port)
            for name in self._names["tcp"]:
                self.ports[name] = await self._listen(stack, name, 0)
            for name in self._names["udp"]:
                self.ports[name] = await self._receive(stack, name)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def url(self, name: str, host: str) -> str:
        """Return where the attack `name` aims, with the host spelled as given."""
        return f"http://{host}:{self.ports.get(name, self.port)}/hit/{name}"

    async def until_hit(self, names: set[str], seconds: float) -> set[str]:
        """Wait until all of these attacks got here; return those that did not in time."""
        try:
            async with asyncio.timeout(seconds):
                while not names <= self.hits:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass
        return names - self.hits

    async def _listen(self, stack: AsyncExitStack, name: str | None, port: int) -> int:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(name, reader, writer)

        for host in self._hosts:
            server = await asyncio.start_server(accept, host, port)
            # Not wait_closed(), which waits for what a browser keeps open.
            stack.callback(server.close)
            port = server.sockets[0].getsockname()[1]
        return port

    async def _serve(
        self, name: str | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        if name is not None:
            self._note(name)
        try:
            async with asyncio.timeout(20):
                head = await reader.readuntil(b"\r\n\r\n")
            first = head.split(b"\r\n", 1)[0].decode("latin-1")
            self.requests.append(first)
            if found := re.search(r"/hit/([\w.-]+)", first):
                self._note(found.group(1))
            writer.write(_ANSWER)
            await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # it spoke no HTTP: the connection is what counts
        finally:
            writer.close()

    async def _receive(self, stack: AsyncExitStack, name: str) -> int:
        target = self

        class Receiver(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: object) -> None:
                target.packets += 1
                target._note(name)

        port = 0
        for host in self._hosts:
            sock = socket.socket(
                socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM
            )
            sock.bind((host, port))
            port = sock.getsockname()[1]
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(Receiver, sock=sock)
            stack.callback(transport.close)
        return port

    def _note(self, name: str) -> None:
        self.hits.add(name)
        self._news.set()
