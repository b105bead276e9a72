"""A TLS server that knows its clients by their ClientHello, which no cookie or header can imitate.

The first bytes of a connection are only looked at (MSG_PEEK); TLS itself then finds them as if nobody had.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from types import TracebackType
from typing import Self
from weakref import WeakSet

#: Seconds in which a ClientHello must be there.
HELLO_SECONDS = 10.0

_HANDSHAKE, _CLIENT_HELLO = 22, 1
#: Extensions that a client sends on some of its connections, and not on others: padding, early data, and
#: those by which it resumes a session (Firefox then sends 41 in place of 35) or tries again.
_SOMETIMES = frozenset({21, 35, 41, 42, 44})
#: Extensions whose lists tell clients apart: groups, signature algorithms, ALPN, versions.
_TELLING = (10, 13, 16, 43)


@dataclass(frozen=True)
class ClientHello:
    """What a client offers, by the numbers of the TLS registries."""

    ciphers: tuple[int, ...]
    #: Type -> content.
    extensions: dict[int, bytes]

    @classmethod
    def parse(cls, data: bytes) -> Self | None:
        """Read it from the first bytes of a connection; None: more of them are needed.

        Raises:
            ValueError: they are no ClientHello.
        """
        message = b""
        while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4]):
            if data[:1] not in (b"", bytes([_HANDSHAKE])):
                raise ValueError("no ClientHello")
            size = 5 + int.from_bytes(data[3:5])
            if len(data) < 5 or len(data) < size:
                return None
            message, data = message + data[5:size], data[size:]
            if message[:1] != bytes([_CLIENT_HELLO]):
                raise ValueError("no ClientHello")
        try:
            return cls._parse(_Reader(message[4:]))
        except IndexError:
            raise ValueError("a ClientHello that is cut off") from None

    @classmethod
    def _parse(cls, reader: "_Reader") -> Self:
        reader.take(2 + 32)  # an old version number, and what is random
        reader.vector(1)  # the session's name
        ciphers = _numbers(reader.vector(2))
        reader.vector(1)  # compression
        extensions = {}
        rest = _Reader(reader.vector(2) if reader.data else b"")
        while rest.data:
            kind = int.from_bytes(rest.take(2))
            extensions[kind] = rest.vector(2)
        return cls(tuple(ciphers), extensions)

    @property
    def fingerprint(self) -> str:
        """The same for each connection of a client, whatever order it shuffles its extensions into."""
        told = [
            sorted(
                kind for kind in self.extensions if not _is_grease(kind) and kind not in _SOMETIMES
            ),
            [cipher for cipher in self.ciphers if not _is_grease(cipher)],
            *(self._list(kind) for kind in _TELLING),
        ]
        return sha256(repr(told).encode()).hexdigest()[:16]

    def _list(self, kind: int) -> list[int] | bytes:
        content = self.extensions.get(kind, b"")
        if kind == 16:  # names, not numbers
            return content
        # Versions have one byte for their length, the others two.
        numbers = _numbers(content[1 if kind == 43 else 2 :])
        return [number for number in numbers if not _is_grease(number)]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, size: int) -> bytes:
        if size > len(self.data):
            raise IndexError
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def vector(self, size_bytes: int) -> bytes:
        return self.take(int.from_bytes(self.take(size_bytes)))


def _numbers(data: bytes) -> Iterator[int]:
    return (number for (number,) in struct.iter_unpack(">H", data[: len(data) // 2 * 2]))


def _is_grease(number: int) -> bool:
    """Whether it is one that clients mix in at random (RFC 8701)."""
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF


class HelloServer:
    """Accepts TLS connections and hands each to a protocol. Used as `async with HelloServer(...)`.

    Args:
        protocol: Makes a connection's protocol, for example an aiohttp runner's `server`.
        hellos: Where it keeps what clients have sent, by their addresses.
    """

    def __init__(
        self,
        protocol: Callable[[], asyncio.BaseProtocol],
        context: ssl.SSLContext,
        host: str,
        port: int,
        hellos: dict[object, ClientHello],
    ) -> None:
        self._protocol = protocol
        self._context = context
        self._socket = socket.create_server((host, port))
        self._socket.setblocking(False)
        self._connecting: set[asyncio.Task[None]] = set()
        self._connected: WeakSet[asyncio.Transport] = WeakSet()
        self._hellos = hellos
        self.port: int = self._socket.getsockname()[1]

    async def __aenter__(self) -> Self:
        self._accepting = asyncio.create_task(self._accept())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        tasks = {self._accepting, *self._connecting}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._socket.close()
        for (
            transport
        ) in self._connected:  # one that is being closed waits for its client's farewell
            transport.abort()
        await asyncio.sleep(0)  # the event loop closes them in its next round

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, address = await loop.sock_accept(self._socket)
            task = loop.create_task(self._connect(connection, address))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: socket.socket, address: object) -> None:
        connection.setblocking(False)
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                self._hellos[address] = await _peek(connection)
        except (ValueError, OSError, TimeoutError, asyncio.CancelledError):
            connection.close()
            return
        loop = asyncio.get_running_loop()
        with suppress(OSError):  # a client that does not trust us, or left
            transport, _ = await loop.connect_accepted_socket(
                self._protocol, connection, ssl=self._context
            )
            self._connected.add(transport)


async def _peek(connection: socket.socket) -> ClientHello:
    """Return what a client has sent first, and leave it there."""
    while True:
        with suppress(BlockingIOError):
            data = connection.recv(65536, socket.MSG_PEEK)
            if not data:
                raise ConnectionResetError
            if (hello := ClientHello.parse(data)) is not None:
                return hello
        await asyncio.sleep(
            0.005
        )  # what is there stays there, so a socket that is ready tells nothing
