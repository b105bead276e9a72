"""Answers of sites to plain http requests: what of them the browser gets, and when that is all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

#: Bytes passed on in one piece.
CHUNK_BYTES = 64 * 1024
#: Firefox takes no longer head either (network.http.max_response_header_size).
HEAD_BYTES = 384 * 1024
#: Interim answers (100, 103) before the one that counts; a site may send any number.
MAX_INTERIM = 20
#: Firefox looks so far into an answer for the beginning of its status line.
_JUNK_BYTES = 11
_STATUS_LINE = re.compile(rb"(?i)HTTP/|ICY ")
_STATUS = re.compile(rb"(?i)(?:HTTP/[0-9.]+|ICY) +([0-9]{3})")
_END = re.compile(rb"\n\r?\n")
#: A head of which no two readers can think differently (RFC 9112, sections 2.2 to 5.2).
_CLEAR = re.compile(
    rb"HTTP/1\.1 [0-9]{3} [^\r\n\0]*+\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[^\r\n\0]*+\r\n)*+\r\n"
)
_FOR_PROXY = re.compile(rb"(?im)^proxy-authenticate[^\n]*\n")
_CLOSE = b"Connection: close\r\n"
_HOP_BY_HOP = (b"connection:", b"keep-alive:", b"proxy-connection:")


@dataclass(frozen=True)
class AnswerHead:
    """The head of one answer."""

    #: As the browser gets it.
    text: bytes
    #: None where there is no status line.
    status: int | None
    #: Bytes that follow; None: until the site hangs up, and the browser knows that.
    body_bytes: int | None

    @property
    def is_interim(self) -> bool:
        """Whether the answer that counts is still to come."""
        return self.status is not None and 100 <= self.status < 200 and self.status != 101


@dataclass
class Answers:
    """Reads one answer after the other from a connection.

    What one site sends past the end of its answer must never be taken for another's: a browser uses
    its connections to a proxy for all sites. So the next answer may come over the same connection
    only where everybody counts this one's bytes alike; else the browser is told to hang up.
    """

    site: asyncio.StreamReader
    _rest: bytearray = field(default_factory=bytearray)
    #: Answers that were read whole.
    _passed: int = 0

    async def begun(self) -> bool:
        """Wait for the next answer; False if the site hangs up instead."""
        await self._fill(1)
        return bool(self._rest)

    async def head(self, method: bytes) -> AnswerHead:
        """Read the head of the answer that has begun, to a request with that method.

        Raises:
            ConnectionResetError: it is no answer, and must not be taken for one.
        """
        await self._fill(_JUNK_BYTES + 4)
        start = _STATUS_LINE.search(self._rest, 0, _JUNK_BYTES + 4)
        if start is None or start.start() > 0:
            if self._passed:
                raise ConnectionResetError
            if start is None:
                return AnswerHead(b"", None, None)  # HTTP/0.9: all of it is the page
            del self._rest[: start.start()]
        seen = 0
        while (end := _END.search(self._rest, seen)) is None and len(self._rest) < HEAD_BYTES:
            seen = max(0, len(self._rest) - 2)
            if not await self._more():
                break
        size = len(self._rest) if end is None else end.end()
        text = bytes(self._rest[:size])
        del self._rest[:size]
        # Not the browser's business: its own proxy wants no login.
        return _parsed(_FOR_PROXY.sub(b"", text), method)

    async def body(self, size: int | None) -> AsyncIterator[bytes]:
        """Yield a body of that many bytes, or all until the site hangs up.

        Raises:
            ConnectionResetError: the site hung up before the end.
        """
        while size is None or size > 0:
            if not self._rest and not await self._more():
                if size is None:
                    return
                raise ConnectionResetError
            chunk = bytes(self._rest if size is None else self._rest[:size])
            del self._rest[: len(chunk)]
            if size is not None:
                size -= len(chunk)
            yield chunk
        self._passed += 1

    async def _fill(self, size: int) -> None:
        while len(self._rest) < size and await self._more():
            pass

    async def _more(self) -> bool:
        chunk = await self.site.read(CHUNK_BYTES)
        self._rest += chunk
        return bool(chunk)


def _parsed(text: bytes, method: bytes) -> AnswerHead:
    found = _STATUS.match(text)
    status = int(found[1]) if found else None
    if _CLEAR.fullmatch(text) is None:
        # After the first line it is seen by whoever finds the end of the head elsewhere.
        first, end, others = text.partition(b"\n")
        return AnswerHead(first + end + _CLOSE + others, status, None)
    lines = text.split(b"\r\n")
    if status is not None and 100 <= status < 200 and status != 101:
        return AnswerHead(text, status, 0)
    size = _body_bytes(lines[1:], status, method)
    if size is None:
        lines = [line for line in lines if not line.lower().startswith(_HOP_BY_HOP)]
        lines.insert(1, _CLOSE.rstrip())
    return AnswerHead(b"\r\n".join(lines), status, size)


def _body_bytes(lines: list[bytes], status: int | None, method: bytes) -> int | None:
    """Return a body's length where its head says it in the one clear way (RFC 9112, section 6.3)."""
    lengths = []
    for line in lines:
        name, _, value = line.lower().partition(b":")
        if name == b"transfer-encoding" or (name.endswith(b"connection") and b"close" in value):
            return None
        if name == b"content-length":
            lengths.append(value.strip(b" \t"))
    if method == b"HEAD" or status in (204, 304):
        return 0
    if status == 101 or len(lengths) != 1 or not re.fullmatch(rb"[0-9]{1,15}", lengths[0]):
        return None
    return int(lengths[0])
