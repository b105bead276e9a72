"""Requests that are sent in a session's context: through pages of their own, beside its task's."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import Protocol

from captcha_bypass.browsers.retirement import Cause
from captcha_bypass.browsers.tab import Tab
from captcha_bypass.browsers.tabs import Tabs
from captcha_bypass.egress.routes import Permit
from captcha_bypass.errors import TaskError


class Home(Protocol):
    """The browser of a session."""

    @property
    def tabs(self) -> Tabs:
        """Its pages."""

    async def kill(self, cause: Cause) -> None:
        """End it at once."""


class Visits:
    """The pages of one session that requests are sent through: one for each origin.

    A page that is replaced stays until whoever still uses it closes it.
    """

    def __init__(self) -> None:
        #: What the requests may reach that they are for.
        self._permit: Permit | None = None
        self._pages: dict[str, asyncio.Task[Tab]] = {}
        self._replaced: set[asyncio.Task[Tab]] = set()

    async def admit(self, permit: Permit, home: Home) -> None:
        """Let requests be sent that may reach what `permit` says; the pages of others are closed."""
        if permit != self._permit:
            await self.close(home)
            self._permit = permit

    async def page(self, tabs: Tabs, beside: Tab, permit: Permit, origin: str) -> Tab:
        """Return the page of an origin; it is opened if there is none.

        Args:
            beside: A tab of the same context.

        Raises:
            BrowserLost: the browser does not open one.
            TaskError: what is wrong with the proxy.
        """
        opening = self._pages.get(origin)
        if opening is None:
            opening = self._pages[origin] = tabs.open_beside(beside)
        try:
            async with tabs.opening(permit), asyncio.timeout(tabs.open_seconds):
                return await asyncio.shield(opening)
        except TaskError:
            if self._pages.get(origin) is opening:
                del self._pages[origin]
            raise

    def replace(self, origin: str, tab: Tab) -> None:
        """Let the next request of an origin open a page of its own, if that is still its page."""
        opening = self._pages.get(origin)
        if opening is not None and _is_tab(opening, tab):
            del self._pages[origin]
            self._replaced.add(opening)

    async def close_page(self, home: Home, origin: str, tab: Tab) -> None:
        """Close a page of an origin, if it is not closed yet; the next will be another."""
        self.replace(origin, tab)
        for opening in list(self._replaced):
            if _is_tab(opening, tab):
                self._replaced.discard(opening)
                await self._close(home, opening)

    async def close(self, home: Home) -> None:
        """Close all pages."""
        pages = [*self._pages.values(), *self._replaced]
        self.forget()
        for opening in pages:
            await self._close(home, opening)

    async def _close(self, home: Home, opening: asyncio.Task[Tab]) -> None:
        await asyncio.wait({opening}, timeout=home.tabs.open_seconds)
        if not opening.done():
            await home.kill("open")
        elif opening.exception() is None and not await home.tabs.close_page(
            opening.result(), patient=True
        ):
            await home.kill("close")

    def forget(self) -> None:
        """Note that all pages have been closed with their context."""
        self._pages.clear()
        self._replaced.clear()

    async def opened(self, seconds: float) -> None:
        """Wait until none is being opened any more, but no longer than so many seconds."""
        opening = [page for page in self._pages.values() if not page.done()]
        if opening:
            await asyncio.wait(opening, timeout=seconds)


def _is_tab(opening: asyncio.Task[Tab], tab: Tab) -> bool:
    opened = opening.done() and not opening.cancelled() and opening.exception() is None
    return opened and opening.result() is tab


class Visit:
    """The stay of one request in a session."""

    def __init__(self, visits: Visits, home: Home, tab: Tab, permit: Permit, origin: str) -> None:
        self._visits = visits
        self._home = home
        self._tab = tab
        self._permit = permit
        self._origin = origin

    def counting(self) -> AbstractContextManager[None]:
        """Count its traffic within the block; see Traffic.beside."""
        return self._tab.guard.traffic.beside()

    async def tab(self) -> Tab:
        """Return the page to send it through, which all requests of the origin share.

        Raises:
            BrowserLost: the browser opens none.
        """
        return await self._visits.page(self._home.tabs, self._tab, self._permit, self._origin)

    def replace(self, tab: Tab) -> None:
        """Let `tab` return another from now on; whoever uses this one last gives it up."""
        self._visits.replace(self._origin, tab)

    async def give_up(self, tab: Tab) -> None:
        """Close a page that is of no use any more; `tab` then returns another."""
        await self._visits.close_page(self._home, self._origin, tab)

    def failure(self, url: str) -> TaskError | None:
        """Return why the site was not reached, or the request cut off, as the guard knows."""
        return self._tab.guard.overrun or self._tab.guard.failure(url)
