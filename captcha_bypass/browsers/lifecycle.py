"""What a browser goes through, and who is told of it."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from captcha_bypass.errors import TaskError, Unguarded


class State(Enum):
    """Where a browser stands; it only ever goes down this list."""

    #: Its process is being launched. It may be given tasks, which wait for it.
    STARTING = "starting"
    READY = "ready"
    #: It takes no more tasks, and is closed once it has none and no sessions.
    RETIRING = "retiring"
    #: It was killed, found dead, never started, or is being closed.
    DEAD = "dead"


class Owner(Protocol):
    """Whoever keeps browsers; called at once, from wherever it happens."""

    @property
    def obstacle(self) -> str:
        """Why a browser has not started yet."""

    def on_started(self) -> None:
        """Take note that a browser has started."""

    def on_not_started(self, error: TaskError | Unguarded) -> None:
        """Take note that a browser, which is dead now, could not be started, and why."""

    def update(self) -> None:
        """Take note that a browser has changed: there may be one to close, or to start."""
