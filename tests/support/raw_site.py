"""A site whose answers are bytes that a test writes, and that keeps the bytes it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self

Handler = Callable[["Seen", asyncio.StreamWriter], Awaitable[None]]


class Seen(NamedTuple):
    """A request as it came."""

    #: Its first line.
    line: str
    #: Names as they were written, values as Latin-1.
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]

    def header(self, name: str) -> str | None:
        """The only value of a header; None: it was not sent."""
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        assert len(values) < 2, values
        return values[0] if values else None


def answer(
    status: str = "200 OK",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    length: int | None = None,
) -> bytes:
    """An answer's bytes; `length` is declared in place of the body's own, -1: none is."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    if length != -1:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@dataclass
class RawSite:
    """Used as `async with RawSite() as site`; each path answers what `answers` has for it."""

    answers: dict[str, bytes | Handler] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    #: Requests whose connection was closed by the client while they were answered.
    hung_up: list[str] = field(default_factory=list)
    origin: str = ""
    _serving: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._server.close()
        for writer in self._serving.values():
            writer.transport.abort()
        if self._serving:
            await asyncio.wait(self._serving)

    def url(self, path: str) -> str:
        return self.origin + path

    def requests(self, path: str) -> list[Seen]:
        """The requests for a path, whatever their query."""
        return [seen for seen in self.seen if seen.path.partition("?")[0] == path]

    def last(self, path: str) -> Seen:
        return self.requests(path)[-1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving[task] = writer
        try:
            while True:
                seen = await _read(reader)
                self.seen.append(seen)
                wanted = self.answers.get(seen.path.partition("?")[0], answer("404 Not Found"))
                if isinstance(wanted, bytes):
                    writer.write(wanted)
                    await writer.drain()
                else:
                    await self._handle(wanted, seen, reader, writer)
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()
            del self._serving[task]

    async def _handle(
        self,
        handler: Handler,
        seen: Seen,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Let a handler answer, until it is done or the client hangs up."""
        answering = asyncio.create_task(_finish(handler(seen, writer)))
        # A client that waits for its answer sends nothing.
        gone = asyncio.create_task(_gone(reader))
        await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
        for task in (answering, gone):
            task.cancel()
        await asyncio.wait({answering, gone})
        if answering.cancelled() or isinstance(answering.exception(), ConnectionError):
            self.hung_up.append(seen.path)
            raise ConnectionResetError
        answering.result()


async def _finish(answering: Awaitable[None]) -> None:
    await answering


async def _gone(reader: asyncio.StreamReader) -> None:
    while not reader.at_eof():
        if reader.exception() is not None:
            return
        await asyncio.sleep(0.02)


async def _read(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = [line.split(":", 1) for line in head[1:] if line]
    headers = [(name, value.strip(" \t")) for name, value in pairs]
    length = next((int(v) for n, v in headers if n.lower() == "content-length"), 0)
    return Seen(head[0], headers, await reader.readexactly(length))
