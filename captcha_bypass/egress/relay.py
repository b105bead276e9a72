"""One connection of a browser to its guard: a tunnel, or plain http requests one after another."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from captcha_bypass.concurrency import Background, uninterrupted
from captcha_bypass.egress import upstream as proxies
from captcha_bypass.egress.answers import CHUNK_BYTES, MAX_INTERIM, Answers
from captcha_bypass.egress.heads import Head, read_head
from captcha_bypass.egress.routes import Router
from captcha_bypass.egress.rules import Destination
from captcha_bypass.egress.upstream import Streams, Upstream
from captcha_bypass.errors import TaskError

logger = logging.getLogger(__name__)

_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
#: Firefox shows its own error page for it; why is kept by the guard.
_NOT_ESTABLISHED = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


class Books(Protocol):
    """Where a relay accounts for what it does; see Guard."""

    async def admits(self, destination: Destination) -> bool:
        """Whether a connection may be made now; returns once that is decided."""

    async def connect(self, destination: Destination, opening: Awaitable[Streams]) -> Streams:
        """Wait for a connection; TaskError if there is none."""

    def failed(self, destination: Destination, error: TaskError) -> None:
        """Take note that a destination cannot be reached."""

    def count_sent(self, size: int) -> None:
        """Account for bytes to a site; OSError if that is more than may be moved."""

    def count_received(self, size: int) -> None:
        """Account for bytes from a site; OSError if that is more than may be moved."""


@dataclass
class _Link:
    """A connection to a site, or to a proxy for it, over which plain requests go."""

    destination: Destination
    streams: Streams
    #: Whether it leads to the task's proxy.
    to_proxy: bool
    #: The method of the request that waits for its answer; None: there is none.
    asked: bytes | None = None
    #: Nothing waits for an answer.
    idle: asyncio.Event = field(default_factory=asyncio.Event)


class Relay:
    """Serves one connection of the browser.

    What cannot be reached ends the connection without an answer where a page is asked for in plain
    http: the browser shows its own error, and a page that probes ports learns nothing.
    """

    def __init__(self, books: Books, router: Router, browser: Streams) -> None:
        self._books = books
        self._router = router
        self._reader, self._writer = browser
        self._background = Background()
        self._link: _Link | None = None

    async def run(self) -> None:
        """Serve until one of the two ends hangs up; the caller then drops the connection."""
        try:
            head = await self._next_head()
            if head is not None and head.is_connect:
                await self._tunnel(head.destination)
            while head is not None and not head.is_connect:
                await self._forward(head)
                head = await self._next_head()
        except ValueError as error:
            logger.debug("a browser sent what a proxy does not take: %s", error)
        except (OSError, TaskError):
            pass  # an end hung up, or there was no connection: the guard knows why
        finally:
            await self._unlink()

    async def _next_head(self) -> Head | None:
        """Return what the browser asks for next, once it may; None if it has hung up, or may not."""
        head = await read_head(self._reader)
        admitted = head is not None and await self._books.admits(head.destination)
        return head if admitted else None

    async def _tunnel(self, destination: Destination) -> None:
        try:
            site = await self._books.connect(destination, self._router.open(destination))
        except TaskError:
            self._writer.write(_NOT_ESTABLISHED)
            await self._finish()
            return
        try:
            self._writer.write(_ESTABLISHED)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(self._reader, site[1], self._books.count_sent))
                group.create_task(_pump(site[0], self._writer, self._books.count_received))
            await self._finish()
        except* OSError:  # reset by one end
            _reset(self._writer)
            _reset(site[1])
        finally:
            site[1].transport.abort()

    async def _finish(self) -> None:
        """Hang up once the browser has got all that was written."""
        self._writer.close()
        await self._writer.wait_closed()

    async def _forward(self, head: Head) -> None:
        """Send one request on; its answer is passed on beside."""
        if self._link is not None:
            await self._link.idle.wait()
        proxy = self._router.upstream
        to_proxy = proxy if proxy is not None and proxy.is_http else None
        link = await self._link_to(head.destination, to_proxy)
        link.asked = head.method
        link.idle.clear()
        text = head.for_site() if to_proxy is None else head.for_proxy(to_proxy.credentials)
        self._books.count_sent(len(text))
        link.streams[1].write(text)
        await self._copy_body(head.body_bytes, link.streams[1])

    async def _link_to(self, destination: Destination, proxy: Upstream | None) -> _Link:
        """Return a connection to a site; a proxy gets one for each, too, and mixes up no answers."""
        if self._link is not None and self._link.destination == destination:
            return self._link
        await self._unlink()
        if proxy is None:
            opening = self._router.open(destination)
        else:
            opening = self._router.to_proxy(proxy, destination)
        streams = await self._books.connect(destination, opening)
        self._link = _Link(destination, streams, to_proxy=proxy is not None)
        self._background.run(self._answer(self._link))
        return self._link

    async def _unlink(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            try:
                await uninterrupted(self._background.close())
            finally:
                link.streams[1].transport.abort()

    async def _copy_body(self, size: int, site: asyncio.StreamWriter) -> None:
        while size > 0:
            chunk = await self._reader.read(min(size, CHUNK_BYTES))
            if not chunk:
                raise ConnectionResetError
            size -= len(chunk)
            self._books.count_sent(len(chunk))
            site.write(chunk)
            await site.drain()

    async def _answer(self, link: _Link) -> None:
        """Pass answers on as long as nobody can mistake one for another; then hang up."""
        answers = Answers(link.streams[0])
        try:
            while await answers.begun() and link.asked is not None:
                if not await self._pass_on(link, link.asked, answers):
                    break
                link.asked = None
                link.idle.set()
        except OSError:
            _reset(self._writer)
        else:
            self._writer.close()

    async def _pass_on(self, link: _Link, method: bytes, answers: Answers) -> bool:
        """Pass one answer on; False if there can be no other on this connection."""
        for _ in range(MAX_INTERIM):
            head = await answers.head(method)
            if link.to_proxy and head.status == proxies.WRONG_LOGIN:
                self._books.failed(link.destination, proxies.refusal(proxies.WRONG_LOGIN))
                self._writer.transport.abort()
                return False
            await self._write(head.text)
            if not head.is_interim:
                break
        else:
            raise ConnectionResetError
        async for chunk in answers.body(head.body_bytes):
            await self._write(chunk)
        return head.body_bytes is not None

    async def _write(self, chunk: bytes) -> None:
        self._books.count_received(len(chunk))
        self._writer.write(chunk)
        await self._writer.drain()


async def _pump(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, count: Callable[[int], None]
) -> None:
    while chunk := await source.read(CHUNK_BYTES):
        count(len(chunk))
        sink.write(chunk)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
    else:
        sink.close()  # TLS, to an https proxy, cannot be closed one way only


def _reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection off, so that nobody takes what came so far for all there is."""
    sock = writer.get_extra_info("socket")
    with suppress(OSError):  # closed already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
