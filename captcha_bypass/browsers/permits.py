"""Who uses a session's context at once: those who may reach the same, and others after them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from captcha_bypass.egress.routes import Permit


class Permits:
    """Lets any number in whose permits are equal; others wait until they have left, in order.

    Nobody overtakes: who comes after one that waits, waits behind it.
    """

    def __init__(self) -> None:
        self._current: Permit | None = None
        self._users = 0
        self._waiting: deque[tuple[Permit, asyncio.Future[None]]] = deque()

    async def acquire(self, permit: Permit) -> None:
        """Return once it may be used by that permit, until `release`."""
        if not self._waiting and (not self._users or permit == self._current):
            self._admit(permit)
            return
        turn = asyncio.get_running_loop().create_future()
        entry = permit, turn
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            else:
                if entry in self._waiting:
                    self._waiting.remove(entry)
                self._admit_next()  # it may have stood between others and the one who is in
            raise

    def release(self) -> None:
        """Leave; once for each `acquire` that has returned."""
        self._users -= 1
        self._admit_next()

    @asynccontextmanager
    async def using(self, permit: Permit) -> AsyncIterator[None]:
        """Use it by that permit within the block."""
        await self.acquire(permit)
        try:
            yield
        finally:
            self.release()

    def _admit(self, permit: Permit) -> None:
        self._current = permit
        self._users += 1

    def _admit_next(self) -> None:
        while self._waiting:
            permit, turn = self._waiting[0]
            if turn.cancelled():
                self._waiting.popleft()
            elif not self._users or permit == self._current:
                self._waiting.popleft()
                self._admit(permit)
                turn.set_result(None)
            else:
                return
