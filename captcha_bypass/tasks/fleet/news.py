"""Who waits for word of what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds between two looks at what is usually told: words of Redis may be lost.
POLL_SECONDS = 5.0


class News:
    """Events by name, for as long as somebody listens."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Event]] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set when there is word of that name."""
        event = asyncio.Event()
        self._listeners.setdefault(name, set()).add(event)
        try:
            yield event
        finally:
            self._listeners[name].discard(event)
            if not self._listeners[name]:
                del self._listeners[name]

    def tell(self, name: str) -> None:
        """Set the events of all who listen."""
        for event in self._listeners.get(name, ()):
            event.set()


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; False: the time is up."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
