"""Who may have a connection to the API, and for how long without saying or taking anything.

aiohttp bounds neither: half a request without a key would hold a connection for an hour, and enough
of them all open files. What a connection says is passed on to aiohttp's own protocol as it is.
"""

from __future__ import annotations

import asyncio
import json
import resource
from collections import Counter
from typing import Literal, cast

from aiohttp import web
from aiohttp.typedefs import Middleware

from captcha_bypass.api.errors import Handler
from captcha_bypass.api.refusals import Refusals

#: Open files that the service takes care to have; more are no use, and some programs look at all.
MOST_FILES = 65_536
#: Connections at once, of all clients, where there are files enough for four times as many.
MOST_CONNECTIONS = 4096
#: What part of them one address may have.
SHARE_OF_ONE = 0.75
#: Seconds within which a request's head must be there, from the connection's beginning or the end
#: of the request before; proxies keep connections open for a minute.
HEAD_SECONDS, IDLE_SECONDS = 20.0, 75.0
#: Seconds in which a client that has an answer coming must take 48 KiB of it.
STALL_SECONDS = 30.0

#: Why a connection is refused or closed: there are too many that are all in use; it made room for
#: another; it did not say what it wants in time; it did not take its answer.
Reason = Literal["too_many_connections", "idle_connection", "slow_request", "slow_reader"]
_TEXTS: dict[Reason, str] = {
    "too_many_connections": "a connection was refused: too many are in use",
    "idle_connection": "a connection was closed that had no request, to make room for another",
    "slow_request": "a connection was closed that did not send a request in time",
    "slow_reader": "a connection was closed whose client did not read its answer",
}


def raise_file_limit() -> int:
    """Raise how many files this process may have open, and return how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft


class Door:
    """Makes the protocol of each connection; given to `loop.create_server`.

    Args:
        refusals: Told of each connection that is refused or closed.
    """

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        #: Makes aiohttp's protocols; set before the first connection comes.
        self.server: web.Server
        #: Connections at once.
        self.most = MOST_CONNECTIONS
        self._of: Counter[str] = Counter()
        #: By aiohttp's protocol, the oldest first.
        self._open: dict[asyncio.BaseProtocol, Connection] = {}
        #: Those without a request, the one that has been so for longest first.
        self._idle: dict[Connection, None] = {}

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self)

    def open_to(self, server: web.Server, files: int) -> None:
        """Say who makes aiohttp's protocols, and how many files may be open in all."""
        self.server = server
        self.most = min(MOST_CONNECTIONS, max(16, files // 4))

    def middleware(self) -> Middleware:
        """Return what tells of each request; it must be the outermost."""

        @web.middleware
        async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._begin(request)
            try:
                return await handler(request)
            finally:
                self._end(request)

        return watch

    @property
    def count(self) -> int:
        """Connections that are open."""
        return len(self._open)

    def buffers(self) -> list[int]:
        """Return the bytes that each connection's client has still to take."""
        return [connection.waiting_bytes for connection in self._open.values()]

    def admit(self, connection: Connection) -> bool:
        """Take in a connection, at the cost of one without a request if there are too many."""
        full = len(self._open) >= self.most
        if full or self._of[connection.peer] >= int(self.most * SHARE_OF_ONE):
            mine = (c for c in self._idle if full or c.peer == connection.peer)
            idle = next((c for c in mine if not c.is_sending), None)
            if idle is None:
                self.tell("too_many_connections")
                return False
            idle.end("idle_connection")
        self._open[connection.handler] = connection
        self._of[connection.peer] += 1
        return True

    def rest(self, connection: Connection) -> None:
        """Note that a connection has no request now."""
        self._idle[connection] = None

    def leave(self, connection: Connection) -> None:
        """Forget a connection."""
        self._idle.pop(connection, None)
        if self._open.pop(connection.handler, None) is not None:
            self._of[connection.peer] -= 1
            if not self._of[connection.peer]:
                del self._of[connection.peer]

    def _begin(self, request: web.Request) -> None:
        """Note that a connection's request is being answered."""
        connection = self._open.get(request.protocol)
        if connection is not None:
            self._idle.pop(connection, None)
            connection.wait(None)

    def _end(self, request: web.Request) -> None:
        """Note that there is an answer; some of it may still have to be sent."""
        connection = self._open.get(request.protocol)
        if connection is not None:
            self.rest(connection)
            connection.answered()

    def tell(self, reason: Reason) -> None:
        """Say that a connection is refused or closed."""
        self._refusals.bound(reason, _TEXTS[reason])


class Connection(asyncio.Protocol):
    """One connection: everything is aiohttp's, but its end where it says or takes nothing."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._admitted = self._answered = self._asking = False
        self.handler = door.server()
        #: The client's address.
        self.peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)
        self.peer = (transport.get_extra_info("peername") or ("",))[0]
        self._admitted = self._door.admit(self)
        if not self._admitted:
            self._transport.write(_BUSY)
            self._transport.close()
            return
        self.handler.connection_made(transport)
        self._door.rest(self)
        self.wait(HEAD_SECONDS)

    def answered(self) -> None:
        """Note that its request has an answer."""
        self._answered, self._asking = True, False
        self.wait(IDLE_SECONDS)

    def wait(self, seconds: float | None) -> None:
        """Have so many seconds for the next request's head; None: it is there."""
        if self._timer is not None:
            self._timer.cancel()
        later = self._loop.call_later
        self._timer = None if seconds is None else later(seconds, self._end_if_silent)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of an answer that the client has still to take."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def is_sending(self) -> bool:
        """Whether an answer is on its way."""
        return self.waiting_bytes > 0

    def _end_if_silent(self) -> None:
        if self.is_sending:
            self.wait(IDLE_SECONDS)
        elif self._answered and not self._asking and self._transport is not None:
            self._door.leave(self)
            self._transport.close()  # it was kept for another request, as connections are
        else:
            self.end("slow_request")

    def end(self, reason: Reason) -> None:
        """Close it at once."""
        self._door.tell(reason)
        self._door.leave(self)
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._asking = True
        if self._admitted:
            self.handler.data_received(data)

    def eof_received(self) -> None:
        """See asyncio.Protocol."""
        if self._admitted:
            self.handler.eof_received()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._admitted:
            self._stall = self._loop.call_later(STALL_SECONDS, self.end, "slow_reader")
            self.handler.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._stall is not None:
            self._stall.cancel()
        if self._admitted:
            self.handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.wait(None)
        if self._stall is not None:
            self._stall.cancel()
        self._door.leave(self)
        if self._admitted:
            self.handler.connection_lost(exc)


def _busy() -> bytes:
    error = {
        "code": "too_many_connections",
        "message": "Too many connections are in use; try again later.",
    }
    body = json.dumps({"error": error}).encode()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


_BUSY = _busy()
