"""Bodies of urllib3, which requests reads from: read ahead, and made of what the browser got."""

from __future__ import annotations

from email.message import Message
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any

from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from captcha_bypass.client.results import FetchResult


class ReadAhead:
    """A body whose start was read ahead; `read` gives that first, and then the rest.

    What goes wrong ahead is raised to whoever reads on to there, as if nobody had read ahead.
    """

    def __init__(self, raw: HTTPResponse) -> None:
        self._raw = raw
        self.bytes = b""
        self._place = 0
        self._error: HTTPError | None = None
        self._ended = self._cut = self.closed = False

    @property
    def more(self) -> bool:
        """Whether there may be more to read ahead."""
        return not self._ended and self._error is None

    @property
    def touched(self) -> bool:
        """Whether something was read ahead, so that the body is here and no longer where it was."""
        return bool(self.bytes) or not self.more

    def ahead(self, amount: int) -> None:
        """Read on by at most so many bytes, as they came; in `bytes` there are more then, or no `more`."""
        try:
            piece = self._more(amount)
        except HTTPError as error:
            self._error = error
            return
        self._ended = not piece
        self.bytes += piece

    def keep(self, most: int) -> None:
        """Read all, or so many bytes, and let go of the connection."""
        while self.more and len(self.bytes) < most:
            self.ahead(most - len(self.bytes))
        if self.more:
            self._cut = self._ended = True
            self._raw.close()
        self._raw.release_conn()

    def response(self, method: str | None) -> HTTPResponse:
        """Return the response with this body."""
        raw = self._raw
        headers = HTTPHeaderDict(raw.headers)
        if self._cut:
            headers.discard("Content-Length")
        return HTTPResponse(
            body=self,  # type: ignore[arg-type]  # whatever has `read`
            headers=headers,
            status=raw.status,
            version=raw.version,
            reason=raw.reason,
            preload_content=False,
            decode_content=False,
            original_response=raw._original_response,
            request_method=method,
        )

    def read(self, amount: int | None = None) -> bytes:
        """Return the next bytes."""
        left = self.bytes[self._place :]
        if left:
            piece = left if amount is None else left[:amount]
            self._place += len(piece)
            return piece if amount is not None else piece + self.read()
        if self._error is not None:
            raise self._error
        if self._ended:
            return b""
        return self._raw.read(decode_content=False) if amount is None else self._more(amount)

    read1 = read

    def close(self) -> None:
        """Close the response that it came from, and give up its place in the pool."""
        self.closed = True
        self._raw.close()
        self._raw.release_conn()

    def _more(self, amount: int) -> bytes:
        # `read1` gives what is there and does not wait for all; urllib3 1 has none.
        read: Any = getattr(self._raw, "read1", self._raw.read)
        piece: bytes = read(amount, decode_content=False)
        return piece


class _Original:
    """What requests takes cookies from."""

    def __init__(self, headers: HTTPHeaderDict) -> None:
        self.msg = Message()
        for name, value in headers.iteritems():
            self.msg[name] = value

    def isclosed(self) -> bool:
        return True

    def close(self) -> None:
        """Do nothing: there is no connection."""


def response_of(found: FetchResult, method: str) -> HTTPResponse:
    """Return what the browser got as a response of urllib3's."""
    undone = {"content-encoding", "content-length"} if found.decoded is not None else set()
    headers = HTTPHeaderDict()
    for name, value in found.headers:
        if name.lower() not in undone:
            headers.add(name, value)
    original: Any = _Original(headers)
    return HTTPResponse(
        body=BytesIO(found.content),
        headers=headers,
        status=found.status_code,
        version=11,
        reason=_reason(found.status_code),
        preload_content=False,
        decode_content=False,
        original_response=original,
        request_method=method,
    )


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
