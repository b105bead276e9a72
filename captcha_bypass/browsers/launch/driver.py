"""The one Playwright driver of this process: started, watched, replaced."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from playwright._impl._driver import compute_driver_executable
from playwright.async_api import Error, Playwright

from captcha_bypass.browsers.launch.link import Link
from captcha_bypass.browsers.launch.processes import INSTANCE_MARK, is_alive, kill
from captcha_bypass.browsers.launch.workspace import Workspace
from captcha_bypass.concurrency import within

logger = logging.getLogger(__name__)

#: Seconds the driver gets to start or to stop; 0.3 s is normal.
DRIVER_SECONDS = 15.0
#: Seconds in which a driver answers a question that concerns no browser; 2 ms is normal.
ANSWER_SECONDS = 3.0


#: Makes a Playwright ready, before any browser of it is launched.
Prepare = Callable[[Playwright], Coroutine[Any, Any, None]]


async def as_it_is(playwright: Playwright) -> None:
    """Leave a Playwright as it is."""


class Driver:
    """Hands out a Playwright whose driver process is alive; `close()` ends it for certain.

    Args:
        prepare: Called with each Playwright; bounded by DRIVER_SECONDS.
    """

    def __init__(self, workspace: Workspace, prepare: Prepare = as_it_is) -> None:
        self._workspace = workspace
        self._prepare = prepare
        self._lock = asyncio.Lock()
        self._link: Link | None = None
        self._playwright: Playwright | None = None
        self._process: psutil.Process | None = None
        self._on_lost: Callable[[], None] = lambda: None

    async def playwright(self) -> Playwright:
        """Return a working Playwright, starting the driver if there is none or it died."""
        async with self._lock:
            if self._playwright is not None and self.alive:
                return self._playwright
            if self._link is not None:
                logger.warning("the Playwright driver died; starting another")
                await self._stop()
            await self._start()
            assert self._playwright is not None  # noqa: S101 - _start sets it or raises
            return self._playwright

    def when_lost(self, call: Callable[[], None]) -> None:
        """Have that called when the driver has died, or cannot be heard any more."""
        self._on_lost = call

    @property
    def pid(self) -> int:
        """Process id of the running driver, the parent of its browsers; 0 if there is none."""
        return 0 if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the driver's process runs and is listened to; a stopped one is."""
        heard = self._link is not None and self._link.open
        return heard and self._process is not None and is_alive(self._process)

    async def answers(self) -> bool:
        """Whether the driver, not a browser, does what it is asked within ANSWER_SECONDS."""
        try:
            await within(ANSWER_SECONDS, self.beat())
        except (Error, OSError) as error:  # TimeoutError and ConnectionError are OSErrors
            logger.debug("the driver does not answer: %s", type(error).__name__)
            return False
        return True

    async def beat(self) -> None:
        """Return once the driver has done something that concerns no browser; 2 ms is normal."""
        if self._playwright is None:
            raise ConnectionError("there is no driver")
        context = await self._playwright.request.new_context()
        await context.dispose()

    def kill(self) -> None:
        """Kill a driver that does not answer; all its browsers die with it."""
        if self._process is not None:
            kill([self._process])

    async def kill_if_it_hangs(self) -> None:
        """Find out whether it does what it is asked; a browser that hung may not have been what hung."""
        if self.alive and not await self.answers():
            logger.warning("the Playwright driver hangs: killing it")
            self.kill()

    async def close(self) -> None:
        """Stop the driver; kill it if it does not."""
        async with self._lock:
            if self._link is not None:
                await self._stop()

    async def _start(self) -> None:
        node = Path(compute_driver_executable()[0])
        # Playwright leaves promises alone that fail when a browser dies at the wrong moment (while
        # a dialog opens, say). Node's own answer is to end the driver, and all browsers with it.
        fix = Path(__file__).with_name("driver_mends.cjs")
        options = f'--unhandled-rejections=none --require "{fix}"'
        # Or a font that never comes would leave a page without any picture: who needs fonts waits for
        # them (solving.collecting), and not for ever.
        script = self._workspace.wrap(
            node, "driver", NODE_OPTIONS=options, PW_TEST_SCREENSHOT_NO_FONTS_READY="1"
        )
        self._link = Link(self._on_end)
        try:
            with _environment("PLAYWRIGHT_NODEJS_PATH", str(script)):
                async with asyncio.timeout(DRIVER_SECONDS):
                    playwright = await self._link.start()
        finally:
            self._process = self._find()  # also one that did not start in time: it is ended next
        await within(DRIVER_SECONDS, self._prepare(playwright))
        self._playwright = playwright

    def _on_end(self) -> None:
        self.kill()  # what it says is lost, so it is of no use
        self._on_lost()

    def _find(self) -> psutil.Process | None:
        mine = str(self._workspace.path)
        for child in psutil.Process().children():
            try:
                if child.environ().get(INSTANCE_MARK) == mine and "run-driver" in child.cmdline():
                    return child
            except psutil.Error:
                continue
        return None

    async def _stop(self) -> None:
        link, self._link, self._playwright = self._link, None, None
        process, self._process = self._process, None
        assert link is not None  # noqa: S101 - callers checked
        try:
            async with asyncio.timeout(DRIVER_SECONDS if process is None else 3):
                await link.stop()
        except (Error, OSError) as error:
            logger.debug("the driver did not stop in order: %s", type(error).__name__)
        finally:
            if process is not None:
                kill([process])
                with suppress(TimeoutError):
                    await within(ANSWER_SECONDS, link.gone())


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable for a while; Playwright reads this one at the driver's start."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
