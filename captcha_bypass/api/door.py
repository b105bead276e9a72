"""Who may have a connection to the API, and for how long without saying or taking anything.

aiohttp bounds neither: half a request without a key would hold a connection for an hour, and enough
of them all open files. What a connection says is passed on to aiohttp's own protocol as it is.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from aiohttp import web
from aiohttp.typedefs import Middleware

from captcha_bypass.api.connection import Connection
from captcha_bypass.api.errors import Handler
from captcha_bypass.api.refusals import Refusals
from captcha_bypass.errors import ConnectionErrorCode

#: Connections at once, of all clients, where there are files enough for four times as many.
MOST_CONNECTIONS = 4096
#: What part of them one address may have.
SHARE_OF_ONE = 0.75

_TEXTS: dict[ConnectionErrorCode, str] = {
    "too_many_connections": "a connection was refused: too many are in use",
    "idle_connection": "a connection was closed that had no request, to make room for another",
    "slow_request": "a connection was closed that did not send a request in time",
    "large_head": "a connection was closed whose request had too many headers",
    "slow_reader": "a connection was closed whose client did not read its answer",
}


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
                self.tell("too_many_connections", connection.peer)
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
            connection.asked()

    def _end(self, request: web.Request) -> None:
        """Note that there is an answer; some of it may still have to be sent."""
        connection = self._open.get(request.protocol)
        if connection is not None:
            self.rest(connection)
            connection.answered()

    def tell(self, reason: ConnectionErrorCode, client: str) -> None:
        """Say that a connection is refused or closed, and whose."""
        self._refusals.connection(reason, _TEXTS[reason], client)
