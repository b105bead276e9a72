"""Lends pages of warm browsers, and replaces browsers before or after they go bad."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar

from playwright.async_api import Error

from captcha_bypass.background import uninterrupted, within
from captcha_bypass.browsers.display import virtual_display
from captcha_bypass.browsers.driver import Driver
from captcha_bypass.browsers.engines import Engine
from captcha_bypass.browsers.failures import translate
from captcha_bypass.browsers.fleet import Fleet, Limits
from captcha_bypass.browsers.keeper import Keeper
from captcha_bypass.browsers.launcher import Launcher
from captcha_bypass.browsers.lease import Lease, Tab
from captcha_bypass.browsers.reaper import Workspace
from captcha_bypass.browsers.sessions import Session, Sessions, session_lost
from captcha_bypass.browsers.warm import WarmBrowser
from captcha_bypass.browsers.watch import Watch
from captcha_bypass.egress.guard import Egress
from captcha_bypass.egress.routes import Permit
from captcha_bypass.errors import BrowserLost, TaskError, Unguarded
from captcha_bypass.models import SessionKey
from captcha_bypass.status import Browsers

T = TypeVar("T")

#: Past the deadline by so many seconds, a page's browser is killed whatever it is doing.
KILL_GRACE = 5.0
#: Seconds that a cancelled task's page gets to close, of whatever engine, before its browser is killed:
#: with the kill it is dead within two.
CANCEL_SECONDS = 1.5
#: Seconds within which Firefox shows that a page's process has died; 0.05 s is normal.
NOTICE_SECONDS = 0.3


class BrowserPool:
    """Lends each task a fresh page in a context of its own; several tasks share a warm browser.

    Used as `async with BrowserPool(...) as pool`; leaving it kills every browser.

    Args:
        engine: Which browser, and how it is launched.
        egress: What every page's traffic goes through.
        headless: `true`, `false` or `virtual`, see Config.
        limits: How many pages are lent at once, and when a browser is replaced.
        sessions: Contexts that outlive their tasks; by default some of its own.
    """

    def __init__(
        self,
        engine: Engine,
        egress: Egress,
        headless: str = "true",
        limits: Limits = Limits(),  # noqa: B008 - frozen
        sessions: Sessions | None = None,
    ) -> None:
        self.engine = engine
        self._egress = egress
        self._headless = headless
        self._limits = limits
        self._stack = AsyncExitStack()
        self._fleet: Fleet
        self.sessions = sessions or Sessions(most=limits.sessions, ttl=limits.session_ttl)

    @property
    def unavailable(self) -> str | None:
        """Why no browser can be had; None while one can."""
        return self._fleet.unavailable

    @property
    def is_ready(self) -> bool:
        """Whether a browser has ever started and passed its self-check."""
        return self._fleet.ready.is_set()

    async def ready(self) -> None:
        """Return once the first browser has started and passed its self-check."""
        await self._fleet.ready.wait()

    async def broken(self) -> Unguarded:
        """Return once no browser of this machine may be used, with the reason."""
        return await self._fleet.broken

    def census(self) -> Browsers:
        """Count browsers, at once."""
        return self._fleet.census()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            # Clearing what dead services left, and starting Xvfb, would hold up the event loop.
            workspace = await _in_thread(stack, Workspace())
            display = None
            if self._headless == "virtual":
                display = await _in_thread(stack, virtual_display(workspace))
            driver = Driver(workspace)
            stack.push_async_callback(driver.close)
            await driver.playwright()
            headless = self._headless == "true"
            egress = await stack.enter_async_context(self._egress)
            launcher = Launcher(
                self.engine, driver, workspace, egress, headless=headless, display=display
            )
            fleet = Fleet(self.engine, launcher, driver, workspace, egress, self._limits)
            self._fleet = await stack.enter_async_context(fleet)
            self.sessions.live_in(fleet)
            fleet.background.run(self.sessions.keep())
            fleet.background.run(Keeper(fleet, self._limits.max_browser_bytes).keep())
            fleet.background.run(Watch(fleet, driver, self._limits.max_browser_bytes).keep())
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
        self,
        *,
        deadline: float,
        permit: Permit,
        alone: bool = False,
        session: SessionKey | None = None,
        max_age: float | None = None,
    ) -> AsyncIterator[Tab]:
        """Lend a fresh page; it is closed, or its browser killed, once the block is left.

        Leaving the block in order closes the page in the background; a block that is cancelled
        is left only when its page is dead, within two seconds.

        Args:
            deadline: On the event loop's clock. Getting the page takes no longer; five seconds
                past it the block is cancelled and the browser killed.
            permit: What the task may reach, and through which proxy.
            alone: In a browser that no other task has meanwhile.
            session: The session whose context the page is in; begun if there is none.
            max_age: Seconds; a session older than that is begun anew.

        Raises:
            TimeoutError: it was lent, and not given back within five seconds after the deadline.
            BrowserLost: the browser died, and not by this page; the task may start again.
            TaskError: `browser_unavailable`, `browser_crashed`, `too_much_traffic`,
                `too_much_memory`, `too_much_work`,
                `session_lost`, `too_many_sessions`, or what is wrong with the proxy.
        """
        lease = Lease()
        if session is None:
            browser = self._fleet.reserve(lease, alone=alone)
            async with self._lend(browser, browser, lease, deadline, permit) as tab:
                yield tab
            return
        kept = self.sessions.join(session, lease, permit, max_age)
        try:
            async with self._lend(kept, kept.browser, lease, deadline, permit) as tab:
                yield tab
        except BrowserLost as error:
            if kept.served or kept.over:  # or deleted meanwhile
                raise session_lost() from error
            raise  # nothing was in it yet
        finally:
            self.sessions.leave(kept, lease)

    @asynccontextmanager
    async def _lend(
        self,
        place: WarmBrowser | Session,
        browser: WarmBrowser,
        lease: Lease,
        deadline: float,
        permit: Permit,
    ) -> AsyncIterator[Tab]:
        """Lend a page of a browser, or of a session in it."""
        try:
            async with asyncio.timeout_at(deadline + KILL_GRACE) as lease.scope:
                async with asyncio.timeout_at(deadline):
                    lease.tab = await self._open(place, browser, permit)
                lease.tab.guard.on_overrun = lease.interrupt
                try:
                    yield lease.tab
                finally:
                    lease.over = True
        except asyncio.CancelledError:
            if lease.tab is not None:
                await uninterrupted(self._close_at_once(place, browser, lease.tab))
            raise
        except TimeoutError:
            try:
                lease.raise_if_dead()
            except TaskError:
                self._close_later(place, browser, lease)
                raise
            if lease.tab is None:
                raise no_page(self._fleet.obstacle(browser)) from None
            await uninterrupted(self._fleet.kill(browser, "hang", lease))
            raise
        except Exception as error:
            try:
                await self._raise_if_dead(browser, lease, error)
            finally:
                self._close_later(place, browser, lease)
            raise
        else:
            self._close_later(place, browser, lease)
        finally:
            self._fleet.release(browser, lease)

    async def _open(
        self, place: WarmBrowser | Session, browser: WarmBrowser, permit: Permit
    ) -> Tab:
        try:
            await browser.started()
        except Unguarded as error:
            raise TaskError("browser_unavailable", str(error)) from error
        try:
            return await place.open(permit)
        except TimeoutError:
            await uninterrupted(self._fleet.kill(browser, "open"))
            raise BrowserLost from None
        except Exception as error:
            self._fleet.check(browser)
            failed = translate(error)
            if browser.dead or permit.upstream is None or failed.code == "browser_crashed":
                # It has not shown this task's page yet, so the task is not to blame.
                self._fleet.retire(browser, "open")
                raise BrowserLost from error
            raise failed from error

    async def _raise_if_dead(self, browser: WarmBrowser, lease: Lease, error: Exception) -> None:
        # What fails first when a page or its browser dies is not always what says so: to look no
        # longer at a page fails as well where the driver is gone.
        failed = translate(error) if isinstance(error, Error) else error
        if isinstance(failed, TaskError) and failed.code in ("browser_crashed", "navigation_error"):
            await asyncio.sleep(NOTICE_SECONDS)
            self._fleet.check(browser)
            lease.raise_if_dead()
        if failed is not error:
            raise failed from error

    def _close_later(
        self, place: WarmBrowser | Session, browser: WarmBrowser, lease: Lease
    ) -> None:
        if lease.tab is not None and not browser.dead:
            self._fleet.background.run(self._close_tab(place, browser, lease.tab))

    async def _close_at_once(
        self, place: WarmBrowser | Session, browser: WarmBrowser, tab: Tab
    ) -> None:
        try:
            await within(CANCEL_SECONDS, self._close_tab(place, browser, tab))
        except TimeoutError:
            await self._fleet.kill(browser, "close")

    async def _close_tab(
        self, place: WarmBrowser | Session, browser: WarmBrowser, tab: Tab
    ) -> None:
        if not await place.close_tab(tab):
            await self._fleet.kill(browser, "close")


def no_page(reason: str) -> TaskError:
    """Return the error for a task whose time was up before it had a page."""
    return TaskError(
        "browser_unavailable",
        f"There was no page for this task within its timeout: {reason}. Send it again later, or "
        "with a longer timeout.",
    )


async def _in_thread(stack: AsyncExitStack, context: AbstractContextManager[T]) -> T:
    """Enter a context that blocks; once begun it is entered whatever happens, and so left again."""
    entered: list[T] = []

    async def enter() -> None:
        entered.append(await asyncio.to_thread(stack.enter_context, context))

    await uninterrupted(enter())
    return entered[0]
