"""Whose turn it is to send a request to a host."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class _Host:
    def __init__(self) -> None:
        self.sending = 0
        self.waiting: deque[asyncio.Future[None]] = deque()


class Turns:
    """At most so many requests to one host at once; others wait, in order.

    Args:
        most: For each host.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def turn(self, host: str, *, first: bool = False) -> AsyncIterator[None]:
        """Have a turn within the block.

        Args:
            first: Before all that wait: it had a turn before, and no answer.
        """
        entry = self._hosts.setdefault(host, _Host())
        if entry.sending >= self._most or (entry.waiting and not first):
            await self._wait(host, entry, first=first)
        else:
            entry.sending += 1
        try:
            yield
        finally:
            self._release(host, entry)

    async def _wait(self, host: str, entry: _Host, *, first: bool) -> None:
        turn = asyncio.get_running_loop().create_future()
        if first:
            entry.waiting.appendleft(turn)
        else:
            entry.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release(host, entry)
            elif turn in entry.waiting:
                entry.waiting.remove(turn)
            raise

    def _release(self, host: str, entry: _Host) -> None:
        entry.sending -= 1
        while entry.waiting and entry.sending < self._most:
            turn = entry.waiting.popleft()
            if not turn.done():
                entry.sending += 1
                turn.set_result(None)
        if not entry.sending and not entry.waiting:
            self._hosts.pop(host, None)
