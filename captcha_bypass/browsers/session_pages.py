"""The pages of one session: its task's, and those that requests are sent through beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from captcha_bypass.browsers.browser import Browser
from captcha_bypass.browsers.tab import Tab
from captcha_bypass.browsers.tabs import Tabs
from captcha_bypass.browsers.visits import Visit, Visits
from captcha_bypass.concurrency import uninterrupted
from captcha_bypass.egress.routes import Permit
from captcha_bypass.errors import BrowserLost


class SessionPages:
    """One context in a browser, which opens with its first task, and its pages.

    Args:
        browser: Whoever begins and ends the session in it does so with `begin_session`, `end_session`.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._tab: Tab | None = None
        #: A new page for the next task, being made ready.
        self._next: asyncio.Task[Tab] | None = None
        #: A page is closed behind its task's back; the next one opens after that.
        self._changing = asyncio.Lock()
        self._visits = Visits()
        #: A page could not be opened.
        self._broken = False

    @property
    def is_alive(self) -> bool:
        """Whether they still have what was left in them; so does what has not opened yet."""
        overrun = self._tab is not None and self._tab.guard.overrun is not None
        return not (self._broken or overrun or self._browser.is_dead)

    @property
    def is_open(self) -> bool:
        """Whether a task has opened the context."""
        return self._tab is not None

    async def open(self, permit: Permit, own: Permit) -> Tab:
        """Return the page for a task: empty, and the same as before if it could be emptied.

        Args:
            permit: What the task asks for; `own`: what it gets.

        Raises:
            BrowserLost: the browser does not open one.
            TaskError: what is wrong with the proxy.
        """
        with self._breaking():
            async with self._browser.tabs.opening(permit), self._changing:
                if self._broken:  # meanwhile: the last task's page did not close
                    raise BrowserLost
                tab = self._tab = await self._ready_tab(self._browser.tabs, own)
                return tab

    async def visit(self, permit: Permit, origin: str, *, is_lent: bool) -> Visit | None:
        """Let a request be sent in the context; None if there is none any more.

        Args:
            origin: As the browser writes it.
            is_lent: Whether a task has it now.

        Raises:
            BrowserLost: the browser does not open what is needed.
        """
        async with self._changing:
            if self._tab is None or not self.is_alive:
                return None
            guard = self._tab.guard
            # Else a task has it, whose traffic it counts.
            if not (is_lent and guard.serves(permit)):
                await self._visits.admit(permit, self._browser)
                if not await guard.admit_beside(permit):
                    # To its end, or a client that hangs up would take it from the others.
                    await uninterrupted(self._renew(permit))
            return Visit(self._visits, self._browser, self._tab, permit, origin)

    async def _renew(self, permit: Permit) -> None:
        with self._breaking():
            async with self._browser.tabs.opening(permit):
                self._tab = await self._ready_tab(self._browser.tabs, permit)
        self._visits.forget()

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        """Note that what fails within the block leaves no page of use."""
        try:
            yield
        except BaseException:
            self._broken = True
            raise

    async def _ready_tab(self, tabs: Tabs, permit: Permit) -> Tab:
        if self._tab is None:
            return await tabs.open(permit)
        if self._next is not None:
            async with asyncio.timeout(tabs.open_seconds):
                self._tab = await asyncio.shield(self._next)
            self._next = None
        if await self._tab.guard.admit_again(permit):
            return self._tab
        return await self._moved(tabs, self._tab, permit)

    async def _moved(self, tabs: Tabs, old: Tab, permit: Permit) -> Tab:
        """Move cookies and local storage to a context in which nothing of earlier sites runs."""
        async with asyncio.timeout(tabs.open_seconds):
            state: Any = await tabs.storage(old)
        if not await tabs.close(old):
            raise TimeoutError
        tab = await tabs.open(permit)
        async with asyncio.timeout(tabs.open_seconds):
            await tab.page.context.set_storage_state(state)
        return tab

    async def close_tab(self, tab: Tab, *, is_over: bool) -> None:
        """Make a task's page ready for the next; a session whose page hangs is lost with it.

        Args:
            is_over: Its session is over: it is closed, with all that was stored.
        """
        async with self._changing:
            if is_over or not self.is_alive:
                await self._browser.close_tab(tab)
                return
            # Opening a page is more than half of what a task costs, so it stays if it lets go.
            tabs = self._browser.tabs
            if await tabs.empty(tab):
                return
            if await tabs.close_page(tab):
                self._next = tabs.open_beside(tab)
                return
            # Cut off it can do no harm: it alone is lost, unless it does not let go at all.
            self._broken = True
            await self._browser.close_tab(tab, patient=True)

    async def close(self, *, patient: bool) -> None:
        """Close all, with what was stored; the browser is killed if it does not let go of it.

        Args:
            patient: See Tabs.close_page.
        """
        async with self._changing:
            if self._next is not None:
                # A page that opens while its context closes may stay behind.
                await asyncio.wait({self._next}, timeout=self._browser.tabs.open_seconds)
            if self._tab is not None:
                await self._visits.opened(self._browser.tabs.open_seconds)
                await self._browser.close_tab(self._tab, patient=patient)
