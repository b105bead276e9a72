"""Until when a request may take, where the time that a person is waited for does not count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Deadline:
    """A moment on the event loop's clock that moves on while it is held.

    Args:
        at: Where it begins.
    """

    def __init__(self, at: float) -> None:
        self._at = at
        self._clock = asyncio.get_running_loop().time
        self._held_since: float | None = None
        self._scope: asyncio.Timeout | None = None

    @property
    def at(self) -> float:
        """Where it would be if it were held no longer."""
        held = 0.0 if self._held_since is None else self._clock() - self._held_since
        return self._at + held

    def hold(self) -> None:
        """Let it move on from here."""
        if self._held_since is None:
            self._held_since = self._clock()
            self._apply(None)

    def release(self) -> None:
        """Let it stay where it is now."""
        self._at, self._held_since = self.at, None
        self._apply(self._at)

    def _apply(self, when: float | None) -> None:
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(when)

    @asynccontextmanager
    async def scope(self) -> AsyncIterator[None]:
        """End what is done within the block by it, with a TimeoutError; one block at a time."""
        try:
            async with asyncio.timeout_at(self._at) as self._scope:
                yield
        finally:
            self._scope = None
