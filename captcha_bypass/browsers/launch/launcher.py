"""Starts one browser: a working one comes out, or an error and nothing left behind."""

from __future__ import annotations

import asyncio
import errno
import logging
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.async_api import Browser, BrowserContext, Error

from captcha_bypass.browsers.launch.display import VirtualDisplay
from captcha_bypass.browsers.launch.driver import Driver
from captcha_bypass.browsers.launch.engines import Engine
from captcha_bypass.browsers.launch.processes import (
    BROWSER_MARK,
    is_alive,
    kill_marked,
    marked_child,
    weigh_tree,
)
from captcha_bypass.browsers.launch.selfcheck import check_guarded
from captcha_bypass.browsers.launch.workspace import Workspace
from captcha_bypass.concurrency import uninterrupted, within
from captcha_bypass.egress.guards import Egress
from captcha_bypass.errors import TaskError, Unguarded

#: What the system says of places that cannot be written to; EACCES may be about running them.
_NOT_WRITABLE = frozenset({errno.EROFS, errno.ENOSPC})

logger = logging.getLogger(__name__)

#: Seconds for a launch (2.5 s is normal); longer means that something is broken.
LAUNCH_SECONDS = 30.0


@dataclass
class BrowserProcess:
    """A browser that runs, or has run.

    Attributes:
        root: Its first process, the parent of all others.
        profile: Its profile, removed when it is dead; None if its command line names none.
    """

    browser: Browser
    root: psutil.Process
    profile: Path | None
    _pulse: BrowserContext | None = None

    @property
    def is_alive(self) -> bool:
        """Whether its process runs, and Playwright is heard by it."""
        return is_alive(self.root) and self.browser.is_connected()

    async def beat(self) -> None:
        """Return once it has answered a question that concerns none of its pages."""
        if self._pulse is None:
            # Without a page it costs next to nothing; it goes nowhere.
            self._pulse = await self.browser.new_context()
        await self._pulse.cookies()

    async def weigh(self) -> int:
        """Return the bytes of memory that its processes hold; 0 for one that is gone."""
        return await asyncio.to_thread(weigh_tree, self.root)

    async def close(self, seconds: float) -> None:
        """Ask it to end; whoever asks kills what is left of it after that.

        Args:
            seconds: What it gets for that.
        """
        try:
            await within(seconds, self.browser.close())
        except (Error, TimeoutError) as error:
            logger.debug("a browser did not close by itself: %s", type(error).__name__)


class Launcher:
    """Starts browsers on the one driver.

    The first one that starts must show that nothing goes past its guard.

    Args:
        driver: Started again where it has died.
        workspace: Where their files are.
        headless: Whether it has no window.
        display: Where those with a window show it; None: wherever this process would.
    """

    def __init__(
        self,
        engine: Engine,
        driver: Driver,
        workspace: Workspace,
        egress: Egress,
        *,
        headless: bool,
        display: VirtualDisplay | None,
    ) -> None:
        self._engine = engine
        self.driver = driver
        self.workspace = workspace
        self._egress = egress
        self._checked = False
        self._headless = headless
        self._display = display

    async def launch(self, label: str) -> BrowserProcess:
        """Start a browser whose processes are marked with `label`.

        Raises:
            TaskError: `browser_unavailable`, with the reason.
            Unguarded: what it opens goes past its guard.
        """
        try:
            return await self._launch_once(label)
        except TaskError:
            # A browser or driver that died while it started says nothing about the next one.
            return await self._launch_once(label)

    async def _launch_once(self, label: str) -> BrowserProcess:
        launch = asyncio.create_task(self._start(label))
        try:
            async with asyncio.timeout(LAUNCH_SECONDS):
                return await asyncio.shield(launch)
        except asyncio.CancelledError:
            await uninterrupted(_abort(launch, label))
            raise
        except TimeoutError:
            self.driver.kill()
            await uninterrupted(_abort(launch, label))
            raise self._failed(f"no browser within {LAUNCH_SECONDS:.0f} s") from None
        except Unguarded:
            await uninterrupted(kill_marked(BROWSER_MARK, label))
            raise
        except Exception as error:
            logger.debug("launch failed", exc_info=True)
            await uninterrupted(kill_marked(BROWSER_MARK, label))
            raise self._failed(_reason(error)) from error

    async def _start(self, label: str) -> BrowserProcess:
        playwright = await self.driver.playwright()
        env = self.workspace.environment(label)
        if self._display is not None:
            env |= self._display.environment()
        browser = await self._engine.launch(
            playwright, self.workspace, env, headless=self._headless
        )
        root = marked_child(self.driver.pid, BROWSER_MARK, label)
        if not self._checked:
            await check_guarded(self._engine, browser, self._egress)
            self._checked = True
        return BrowserProcess(browser, root, _profile(root))

    def _failed(self, reason: str) -> TaskError:
        message = f"{self._engine.name} could not be started: {reason}"
        return TaskError("browser_unavailable", message)


async def _abort(launch: asyncio.Task[BrowserProcess], label: str) -> None:
    """Kill what a launch started, or starts only now; a late browser is killed as well."""
    deadline = asyncio.get_running_loop().time() + LAUNCH_SECONDS
    while not launch.done() and asyncio.get_running_loop().time() < deadline:
        await kill_marked(BROWSER_MARK, label)
        await asyncio.wait({launch}, timeout=0.05)
    launch.cancel()
    await asyncio.wait({launch}, timeout=1)
    await kill_marked(BROWSER_MARK, label)
    if launch.done() and not launch.cancelled():
        launch.exception()  # retrieved: the caller's own reason is the one that counts


def _profile(root: psutil.Process) -> Path | None:
    words = iter(root.cmdline())
    return next(
        (Path(next(words, "")) for word in words if word in ("--profile", "-profile")), None
    )


def _reason(error: Exception) -> str:
    """Return the line of a launch error that says most; Playwright puts a log around it."""
    if isinstance(error, OSError) and error.errno in _NOT_WRITABLE and error.filename:
        return (
            f"{error.filename} cannot be written to ({error.strerror}); let the service's user "
            "write there, or give it another HOME and TMPDIR"
        )
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Failed to launch" in line or "Error:" in line]
    return (telling or lines or [type(error).__name__])[0][:300]
