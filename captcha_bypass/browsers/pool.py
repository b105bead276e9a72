"""Lends pages, and sees to it that whatever was behind a page is gone afterwards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from playwright.async_api import Browser, Error, Page

from captcha_bypass.browsers.display import virtual_display
from captcha_bypass.browsers.driver import Driver
from captcha_bypass.browsers.engines import Engine, ProxySettings
from captcha_bypass.browsers.failures import translate
from captcha_bypass.browsers.reaper import BROWSER_MARK, Workspace, kill_marked
from captcha_bypass.errors import TaskError

logger = logging.getLogger(__name__)

#: Past the deadline by so many seconds, a page's browser is killed whatever it is doing.
KILL_GRACE = 5.0
#: Seconds a browser gets to close by itself (0.4 s is normal) before it is killed.
CLOSE_SECONDS = 2.0
#: Seconds for a launch (2.5 s is normal); longer means that something is broken.
LAUNCH_SECONDS = 30.0


class BrowserPool:
    """Lends each task a page in a browser of its own.

    Used as `async with BrowserPool(...) as pool`; leaving it kills every browser.

    Args:
        engine: Which browser, and how it is launched.
        headless: `true`, `false` or `virtual`, see Config.
    """

    def __init__(self, engine: Engine, headless: str = "true") -> None:
        self.engine = engine
        self._headless = headless
        self._stack = AsyncExitStack()
        self._display: dict[str, str] = {}
        self._lent = 0
        #: Why no browser can be had, as of the last launch; None while they can.
        self.unavailable: str | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._workspace = stack.enter_context(Workspace())
            if self._headless == "virtual":
                self._display = stack.enter_context(virtual_display(self._workspace))
            self._driver = Driver(self._workspace)
            stack.push_async_callback(self._driver.close)
            await self._driver.playwright()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def page(
        self, *, deadline: float, proxy: ProxySettings | None = None
    ) -> AsyncIterator[Page]:
        """Lend a fresh page; its browser is dead when the block is left, in every case.

        Args:
            deadline: On the event loop's clock. Getting the page takes no longer; five seconds
                past it the block is cancelled and the browser killed.
            proxy: Playwright's proxy settings; used for everything or failing.

        Raises:
            TimeoutError: the deadline came first.
            TaskError: `browser_unavailable`, or what is wrong with the proxy.
        """
        label = uuid4().hex
        self._lent += 1
        try:
            async with asyncio.timeout_at(deadline + KILL_GRACE):
                async with asyncio.timeout_at(deadline):
                    browser = await self._launch(label)
                    page = await self._open(browser, proxy)
                yield page
                await _close(browser)
        finally:
            self._lent -= 1
            await uninterrupted(self._bury(label))

    async def _bury(self, label: str) -> None:
        """Kill what is left of a browser, and clear the folders that killed ones leave."""
        await kill_marked(BROWSER_MARK, label)
        if not self._lent:
            self._workspace.clear_leftovers()

    async def _launch(self, label: str) -> Browser:
        try:
            return await self._launch_once(label)
        except TaskError:
            # A browser or driver that died while it started says nothing about the next one.
            return await self._launch_once(label)

    async def _launch_once(self, label: str) -> Browser:
        playwright = await self._driver.playwright()
        env = {**self._workspace.environment(label), **self._display}
        launch = asyncio.create_task(
            self.engine.launch(playwright, self._workspace, env, headless=self._headless == "true")
        )
        try:
            async with asyncio.timeout(LAUNCH_SECONDS):
                browser = await asyncio.shield(launch)
        except asyncio.CancelledError:
            await uninterrupted(_abort(launch, label))
            raise
        except TimeoutError:
            self._driver.kill()
            await uninterrupted(_abort(launch, label))
            raise self._failed(f"no browser within {LAUNCH_SECONDS:.0f} s") from None
        except Exception as error:
            logger.debug("launch failed", exc_info=True)
            raise self._failed(_reason(error)) from error
        self.unavailable = None
        return browser

    def _failed(self, reason: str) -> TaskError:
        self.unavailable = f"{self.engine.name} could not be started: {reason}"
        logger.error("%s", self.unavailable)
        return TaskError("browser_unavailable", self.unavailable)

    async def _open(self, browser: Browser, proxy: ProxySettings | None) -> Page:
        try:
            context = await self.engine.new_context(browser, proxy)
            page = await context.new_page()
        except Exception as error:
            raise translate(error) from error
        # Bounded by the task's deadline instead, which is one for all its steps.
        context.set_default_timeout(0)
        context.on("page", _close_popup)
        return page


async def _close_popup(popup: Page) -> None:
    try:
        await popup.close()
    except Error as error:
        logger.debug("a popup was gone before it could be closed: %s", type(error).__name__)


async def _close(browser: Browser) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await browser.close()
    except Exception as error:  # noqa: BLE001 - it is killed next, whatever it says
        logger.info("a browser did not close by itself (%s): killing it", type(error).__name__)


async def _abort(launch: asyncio.Task[Browser], label: str) -> None:
    """Kill what a launch started, or starts only now; a late browser is killed as well."""
    deadline = asyncio.get_running_loop().time() + LAUNCH_SECONDS
    while not launch.done() and asyncio.get_running_loop().time() < deadline:
        await kill_marked(BROWSER_MARK, label)
        await asyncio.wait({launch}, timeout=0.05)
    launch.cancel()
    await asyncio.wait({launch}, timeout=1)
    if launch.done() and not launch.cancelled():
        launch.exception()  # retrieved: the caller's own reason is the one that counts


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


def _reason(error: Exception) -> str:
    """Return the line of a launch error that says most; Playwright puts a log around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Failed to launch" in line or "Error:" in line]
    return (telling or lines or [type(error).__name__])[0][:300]
