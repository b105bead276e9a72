"""Lends pages of warm browsers, and sees to their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar

from playwright.async_api import Error

from captcha_bypass.browsers.fleet import Fleet, Limits
from captcha_bypass.browsers.janitor import Janitor
from captcha_bypass.browsers.launch.display import virtual_display
from captcha_bypass.browsers.launch.driver import Driver, Prepare, as_it_is
from captcha_bypass.browsers.launch.engines import Engine
from captcha_bypass.browsers.launch.launcher import Launcher
from captcha_bypass.browsers.launch.workspace import Workspace
from captcha_bypass.browsers.lease import Lease
from captcha_bypass.browsers.sessions import Sessions
from captcha_bypass.browsers.tab import Tab
from captcha_bypass.browsers.watchdog import Watchdog
from captcha_bypass.concurrency import uninterrupted
from captcha_bypass.egress.guards import Egress
from captcha_bypass.egress.routes import Permit
from captcha_bypass.errors import TaskError, Unguarded
from captcha_bypass.status import Browsers
from captcha_bypass.wire.task import SessionKey

T = TypeVar("T")

#: Past the deadline by so many seconds, a page's browser is killed whatever it is doing.
KILL_GRACE = 5.0


class BrowserPool:
    """Lends each task a fresh page in a context of its own; several tasks share a warm browser.

    Used as `async with BrowserPool(...) as pool`; leaving it kills every browser.

    Args:
        engine: Which browser, and how it is launched.
        egress: What every page's traffic goes through.
        headless: `true`, `false` or `virtual`, see Config.
        limits: How many pages are lent at once, and when a browser is replaced.
        sessions: Contexts that outlive their tasks; they end with the pool.
        prepare: Called with each Playwright before its first browser is launched.
    """

    def __init__(
        self,
        engine: Engine,
        egress: Egress,
        *,
        headless: str,
        limits: Limits,
        sessions: Sessions,
        prepare: Prepare = as_it_is,
    ) -> None:
        self.engine = engine
        self._egress = egress
        self._headless = headless
        self._limits = limits
        self._sessions = sessions
        self._prepare = prepare
        self._stack = AsyncExitStack()
        self._fleet: Fleet

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

    def counts(self) -> Browsers:
        """Count browsers, at once."""
        return self._fleet.counts()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            # Clearing what dead services left, and starting Xvfb, would hold up the event loop.
            workspace = await _in_thread(stack, Workspace())
            display = None
            if self._headless == "virtual":
                display = await _in_thread(stack, virtual_display(workspace))
            driver = Driver(workspace, self._prepare)
            stack.push_async_callback(driver.close)
            await driver.playwright()
            headless = self._headless == "true"
            egress = await stack.enter_async_context(self._egress)
            launcher = Launcher(
                self.engine, driver, workspace, egress, headless=headless, display=display
            )
            fleet = Fleet(self.engine, launcher, egress, limits=self._limits)
            self._fleet = await stack.enter_async_context(fleet)
            await stack.enter_async_context(self._sessions)
            most_bytes = self._limits.max_browser_bytes
            fleet.background.run(Janitor(fleet, most_bytes).keep())
            fleet.background.run(Watchdog(fleet, driver, most_bytes).keep())
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
                `session_lost`, `too_many_sessions`, `blocked_address`, or what is wrong with the
                proxy.
        """
        self._egress.check(permit)
        if session is None:
            lease = self._fleet.lend(alone=alone)
        else:
            home = self._fleet.home_for_session
            lease = self._sessions.lend(session, permit.upstream, max_age, home)
        async with self._lend(lease, deadline, permit) as tab:
            yield tab

    @asynccontextmanager
    async def _lend(self, lease: Lease, deadline: float, permit: Permit) -> AsyncIterator[Tab]:
        """Open a leased page, and see to its end whatever happens meanwhile."""
        try:
            async with lease.until(deadline + KILL_GRACE):
                async with asyncio.timeout_at(deadline):
                    tab = await lease.open(permit)
                try:
                    yield tab
                finally:
                    lease.end()
        except asyncio.CancelledError:
            await lease.close_at_once()
            raise
        except TimeoutError:
            await lease.handle_timeout()
            raise
        except (Error, TaskError) as error:
            explained = await lease.explain(error)
            if explained is not error:
                raise explained from error
            raise
        finally:
            self._fleet.background.run(lease.close())
            lease.place.release(lease)


async def _in_thread(stack: AsyncExitStack, context: AbstractContextManager[T]) -> T:
    """Enter a context that blocks; once begun it is entered whatever happens, and so left again."""
    entered: list[T] = []

    async def enter() -> None:
        entered.append(await asyncio.to_thread(stack.enter_context, context))

    await uninterrupted(enter())
    return entered[0]
