"""What the users of one guard have moved, and whether that is more than they may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Traffic:
    """Bytes to and from sites, since the last of the users began.

    Args:
        most: Bytes that one may move, both directions together.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._bytes = 0
        #: Requests that are being sent that no task sends.
        self._beside = 0

    def begin(self) -> None:
        """Begin anew for the next task."""
        self._bytes = 0

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Let one request more, that no task sends, move as much within the block.

        Whose bytes they are cannot be told: what several may move they may move together, and what
        was moved before one began or ended does not count any more.
        """
        self._beside += 1
        self._bytes = 0
        try:
            yield
        finally:
            self._beside -= 1
            self._bytes = 0

    def is_too_much(self, size: int) -> bool:
        """Count bytes; whether they are more than may be moved."""
        self._bytes += size
        return self._bytes > self.most * max(1, self._beside)
