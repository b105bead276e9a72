"""Jobs beside their caller, time limits that hold, and clean-up that nothing interrupts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Background:
    """Jobs of one owner: kept, their failures told, and ended with the owner by `close()`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def run(self, work: Coroutine[Any, Any, None], then: Callable[[], None] | None = None) -> None:
        """Run a job that nobody waits for; its failure goes to the log as a warning.

        Args:
            then: Called once it has ended, even if it was cancelled before it began.
        """
        task = self._begin(work, _warn)
        if then is not None:
            task.add_done_callback(lambda _: then())

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a job whose result is asked for later; whoever awaits the task has its failure, too."""
        return self._begin(work, _note)

    def cancel(self) -> None:
        """Cancel all of it, without waiting until it has ended."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Cancel all of it, and wait until it has ended."""
        while self._tasks:
            self.cancel()  # more than once, see `within`
            await asyncio.wait(self._tasks, timeout=0.1)

    def _begin(
        self, work: Coroutine[Any, Any, T], tell: Callable[[str, BaseException], None]
    ) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, tell))
        return task

    def _ended(self, tell: Callable[[str, BaseException], None], task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            tell(getattr(task.get_coro(), "__qualname__", "a job"), error)


def _warn(job: str, error: BaseException) -> None:
    logger.warning("%s failed in the background", job, exc_info=error)


def _note(job: str, error: BaseException) -> None:
    logger.debug("%s failed in the background: %s", job, type(error).__name__)


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return what a call of Playwright returns, or give up on it.

    `asyncio.timeout` does not do: a cancelled call of Playwright waits until the driver confirms,
    which a frozen driver never does. Only a second cancel ends it.

    Raises:
        TimeoutError: it took longer than `seconds`.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        # It may have failed in the very moment in which its caller was cancelled.
        task.add_done_callback(_retrieve)
        if not task.done():
            task.cancel()
            asyncio.get_running_loop().call_later(0.1, task.cancel)
    if not task.done():
        raise TimeoutError
    return task.result()


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Look at the outcome of a call that was given up, or asyncio complains that nobody did."""
    if not task.cancelled():
        task.exception()


async def uninterrupted(work: Coroutine[Any, Any, Any]) -> None:
    """Run clean-up to its end even if cancelled meanwhile; the cancel then goes on."""
    task = asyncio.ensure_future(work)
    interrupt: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt
    task.result()
