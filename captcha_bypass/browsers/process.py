"""The process of one browser: its launch, which begins at once, and its certain end."""

from __future__ import annotations

import asyncio
from typing import Protocol
from uuid import uuid4

from captcha_bypass.browsers.launch.launcher import BrowserProcess, Launcher
from captcha_bypass.browsers.launch.processes import BROWSER_MARK, kill_marked
from captcha_bypass.browsers.retirement import Cause
from captcha_bypass.browsers.tabs import Means
from captcha_bypass.errors import TaskError, Unguarded


class Owner(Protocol):
    """The browser whose process it is; called at once."""

    def on_launched(self, launched: BrowserProcess) -> None:
        """Take note that it runs."""

    def on_not_launched(self, error: TaskError | Unguarded) -> None:
        """Take note that it could not be started, and why."""

    async def on_closed(self) -> None:
        """Do what is left to do once it is gone."""


class Process:
    """A browser's process; whoever makes one closes it."""

    def __init__(self, means: Means, launcher: Launcher, owner: Owner) -> None:
        self._label = uuid4().hex
        self._means = means
        self._launcher = launcher
        self._owner = owner
        self._launched: BrowserProcess | None = None
        self._bytes = 0
        self._closing: asyncio.Task[None] | None = None
        self._launching = means.background.start(self._launch())

    @property
    def has_started(self) -> bool:
        """Whether it was ever launched."""
        return self._launched is not None

    @property
    def launched(self) -> BrowserProcess:
        """What was launched; only of one that has started."""
        assert self._launched is not None  # noqa: S101 - see there
        return self._launched

    @property
    def bytes(self) -> int:
        """The memory that it held when it was weighed last; 0: it was not yet."""
        return self._bytes

    @property
    def fault(self) -> Cause | None:
        """Why it is dead without having been closed; None while it runs. Only of one that has started."""
        if not self._launcher.driver.alive:
            return "driver"
        return None if self.launched.is_alive else "crash"

    async def started(self) -> None:
        """Wait until it has started.

        Raises:
            TaskError: `browser_unavailable`: it has not.
        """
        try:
            await asyncio.shield(self._launching)
        except Unguarded as error:
            raise TaskError("browser_unavailable", str(error)) from error

    async def weigh(self) -> int:
        """Return the bytes of memory that it holds; only of one that has started."""
        self._bytes = await self.launched.weigh()
        return self._bytes

    async def close(self, *, in_order: bool) -> None:
        """End it for certain; the first call says how.

        Args:
            in_order: It may close by itself, and is killed where it does not.
        """
        if self._closing is None:
            self._closing = self._means.background.start(self._end(in_order=in_order))
        await asyncio.wait({self._closing})
        if not self._closing.cancelled():
            self._closing.result()  # a bug is heard of

    async def _launch(self) -> None:
        try:
            launched = await self._launcher.launch(self._label)
        except (TaskError, Unguarded) as error:
            self._owner.on_not_launched(error)
            raise
        self._launched = launched
        self._owner.on_launched(launched)

    async def _end(self, *, in_order: bool) -> None:
        self._launching.cancel()
        await asyncio.wait({self._launching})
        try:
            if in_order and self._launched is not None:
                await self._launched.close(self._means.engine.pace.close_seconds)
        finally:
            await kill_marked(BROWSER_MARK, self._label)
            await self._owner.on_closed()
