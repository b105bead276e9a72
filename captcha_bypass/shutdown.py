"""How the service is asked to stop, and what is seen to before it does."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from captcha_bypass.errors import StartupError
from captcha_bypass.fetching.sites import Sites
from captcha_bypass.tasks.base import TaskQueue

logger = logging.getLogger(__name__)

#: Seconds in which clients can still fetch the results of tasks that ended during a shutdown.
LINGER_SECONDS = 2.0


@asynccontextmanager
async def signals() -> AsyncIterator[tuple[asyncio.Event, asyncio.Event]]:
    """Yield two events: set by the first and by the second SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    asked, insisted = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (insisted if asked.is_set() else asked).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        yield asked, insisted
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def until_asked(asked: asyncio.Event, startup: asyncio.Task[StartupError]) -> None:
    """Wait until the service is asked to stop.

    Raises:
        StartupError: what its start has ended with before that.
    """
    signalled = asyncio.create_task(asked.wait())
    try:
        await asyncio.wait({signalled, startup}, return_when=asyncio.FIRST_COMPLETED)
        if not signalled.done():
            raise startup.result()
    finally:
        signalled.cancel()


async def drain(
    queue: TaskQueue, sites: Sites, grace: float, insisted: asyncio.Event, *, ready: bool
) -> None:
    """Let running tasks end, and their clients fetch the results, before the doors close.

    Args:
        grace: Seconds that they get at most.
        insisted: Ends them at once, as soon as it is set.
        ready: Whether there was a browser that they could run in.
    """
    fetches = sites.status().running
    running, pending = queue.unfinished
    if not ready or not (running or pending or fetches):
        await queue.stop(0)  # no task has a page that it could lose
        return
    logger.info(
        "stopping: %d tasks and %d fetches running, %d pending; waiting up to %g s for those that "
        "run, a second Ctrl-C or SIGTERM ends them now",
        running,
        fetches,
        pending,
        grace,
    )
    stop = asyncio.create_task(_stop(queue, sites, grace))
    hurry = asyncio.create_task(insisted.wait())
    try:
        await asyncio.wait({stop, hurry}, return_when=asyncio.FIRST_COMPLETED)
        if not hurry.done():
            await asyncio.wait({hurry}, timeout=LINGER_SECONDS)
    finally:
        hurry.cancel()
        stop.cancel()
        await asyncio.gather(stop, hurry, return_exceptions=True)


async def _stop(queue: TaskQueue, sites: Sites, grace: float) -> None:
    await asyncio.gather(queue.stop(grace), sites.drain(grace))
