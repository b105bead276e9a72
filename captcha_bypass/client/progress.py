"""A line that tells a person at a terminal what is being waited for, and for how long."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from typing import TextIO

#: Seconds between two looks at the clock.
TICK = 0.5
_CLEAR = "\r\x1b[K"
_TEXTS = {
    "busy": "the service is full; waiting for a place",
    "pending": "in the queue",
    "running": "in the browser",
    "waiting_for_human": "waiting for a person",
    "away": "the service does not answer; asking again",
}


class Progress:
    """Shown within a `with` block, where there is a terminal to show it on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.shown = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._text = "waiting for the service"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def state(self, state: str) -> None:
        """Take note of where the task stands."""
        self._text = _TEXTS.get(state, state)

    def human(self, link: str) -> None:
        """Say where a person is needed, on a line that stays."""
        clear = _CLEAR if self.shown else ""
        self._stream.write(f"{clear}A person is needed: {link}\n")
        self._stream.flush()

    def __enter__(self) -> Self:
        if self.shown:
            self._began = time.monotonic()
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.shown:
            self._over.set()
            self._thread.join()
            self._stream.write(_CLEAR)
            self._stream.flush()

    def _tick(self) -> None:
        while True:
            seconds = time.monotonic() - self._began
            self._stream.write(f"{_CLEAR}{self._text}, {seconds:.0f} s")
            self._stream.flush()
            if self._over.wait(TICK):
                return
