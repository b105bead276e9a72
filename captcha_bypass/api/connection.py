"""One connection to the API: aiohttp's own, but its end where it says or takes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

from aiohttp import web

from captcha_bypass.errors import ConnectionErrorCode

#: Seconds within which a request's head must be there, from the connection's beginning or the end
#: of the request before; proxies keep connections open for a minute.
HEAD_SECONDS, IDLE_SECONDS = 20.0, 75.0
#: Bytes of a request's head; aiohttp by itself takes a megabyte, before it knows of a key.
HEAD_BYTES = 64 * 1024
#: Seconds for the answer to one that is larger.
ANSWER_SECONDS = 1.0
#: Seconds in which a client that has an answer coming must take 48 KiB of it.
STALL_SECONDS = 30.0


class Doorkeeper(Protocol):
    """Decides which connections there are; see api.door.Door."""

    #: Makes aiohttp's protocols.
    server: web.Server

    def admit(self, connection: Connection) -> bool:
        """Take in a connection, or not."""

    def rest(self, connection: Connection) -> None:
        """Note that a connection has no request now."""

    def leave(self, connection: Connection) -> None:
        """Forget a connection."""

    def tell(self, reason: ConnectionErrorCode, client: str) -> None:
        """Say that a connection is refused or closed, and whose."""


class Connection(asyncio.Protocol):
    """One connection: everything is aiohttp's, but its end where it says or takes nothing."""

    def __init__(self, door: Doorkeeper) -> None:
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._admitted = self._answered = self._asking = False
        self.handler = door.server()
        #: Bytes of a head whose end has not come yet; None once it has.
        self._head_bytes: int | None = 0
        self._tail = b""
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
        self._await_head(HEAD_SECONDS)

    def _head_fits(self, data: bytes) -> bool:
        """Whether the head that comes is not too large; of what comes after it, anything does."""
        if self._head_bytes is None:
            return True
        seen = self._tail + data
        if b"\r\n\r\n" in seen or b"\n\n" in seen:
            self._head_bytes = None
            return True
        fits = self._head_bytes <= HEAD_BYTES
        self._head_bytes += len(data)
        self._tail = seen[-3:]
        if fits and self._head_bytes > HEAD_BYTES:
            # aiohttp gets this piece, and a moment to say what is wrong with it.
            self._set_timer(ANSWER_SECONDS, partial(self.end, "large_head"))
        return fits

    def asked(self) -> None:
        """Note that the head of its request is there, and an answer is being made."""
        self._stop_timer()

    def answered(self) -> None:
        """Note that its request has an answer."""
        self._answered, self._asking = True, False
        self._head_bytes, self._tail = 0, b""
        self._await_head(IDLE_SECONDS)

    def _await_head(self, seconds: float) -> None:
        """Have so many seconds for the next request's head."""
        self._set_timer(seconds, self._end_if_silent)

    def _set_timer(self, seconds: float, then: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(seconds, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

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
            self._await_head(IDLE_SECONDS)
        elif self._answered and not self._asking and self._transport is not None:
            self._door.leave(self)
            self._transport.close()  # it was kept for another request, as connections are
        else:
            self.end("slow_request")

    def end(self, reason: ConnectionErrorCode) -> None:
        """Close it at once."""
        self._door.tell(reason, self.peer)
        self._door.leave(self)
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._asking = True
        if self._admitted and self._head_fits(data):
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
        self._stop_timer()
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
