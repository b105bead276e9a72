"""Bodies of httpx and httpx2 that are read ahead, to tell challenges from pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captcha_bypass.client.looking import KEPT_BYTES, Look

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from captcha_bypass.challenges import Challenge


class Start:
    """The start of a body, and what it tells."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.bytes = b""
        self.challenge: Challenge | None = None
        #: What went wrong after it; whoever reads on to there gets it.
        self.error: Exception | None = None
        self.ended = False

    def is_short(self) -> bool:
        """Whether more bytes are needed: to tell, or to keep a challenge."""
        if self.look.wants(self.bytes) > len(self.bytes):
            return True
        self.challenge = self.challenge or self.look.challenge(self.bytes)
        return self.challenge is not None and len(self.bytes) < KEPT_BYTES

    @property
    def settled(self) -> bool:
        """Whether nothing more is read from where it came."""
        if self.ended or self.error is not None:
            self.challenge = self.challenge or self.look.challenge(self.bytes)
        return self.ended or self.challenge is not None


class Rest:
    """A body whose start was read ahead; with the library's own class for such beside it."""

    def __init__(self, start: Start, pieces: Iterator[bytes], stream: Any) -> None:  # noqa: ANN401
        self._start = start
        self._pieces = pieces
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield self._start.bytes
        if self._start.error is not None:
            raise self._start.error
        yield from self._pieces

    def close(self) -> None:
        """Close what it came from."""
        self._stream.close()


class AsyncRest:
    """The same for an event loop."""

    def __init__(self, start: Start, pieces: AsyncIterator[bytes], stream: Any) -> None:  # noqa: ANN401
        self._start = start
        self._pieces = pieces
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._start.bytes
        if self._start.error is not None:
            raise self._start.error
        async for piece in self._pieces:
            yield piece

    async def aclose(self) -> None:
        """Close what it came from."""
        await self._stream.aclose()
