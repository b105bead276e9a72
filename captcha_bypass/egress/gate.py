"""Who may be connected to while something secret of a task is on its way."""

from __future__ import annotations

import asyncio

from captcha_bypass.egress.rules import Destination


class Gate:
    """Holds back connections to other hosts while a task's own headers or form are on their way.

    A browser that follows a redirect may take them along, and what it sends by https nobody can
    see: so it gets no connection to another host until the first answer is there. Open at first.
    """

    def __init__(self) -> None:
        self._only: frozenset[Destination] | None = None
        self._decision: asyncio.Future[bool] | None = None

    def confine(self, *only: Destination) -> None:
        """From here on hold back connections to all others."""
        self._only = frozenset(only)
        self._decision = asyncio.get_running_loop().create_future()

    def refuse(self) -> None:
        """Refuse those that are held back, and all others, until `open`; nothing if it is open."""
        if self._decision is not None and not self._decision.done():
            self._decision.set_result(False)

    def open(self) -> None:
        """Let all connections pass, also those that are held back."""
        if self._decision is not None and not self._decision.done():
            self._decision.set_result(True)
        self._only = self._decision = None

    async def admits(self, destination: Destination) -> bool:
        """Whether a connection may be made; returns once that is decided."""
        if self._only is None or self._decision is None or destination in self._only:
            return True
        return await asyncio.shield(self._decision)
