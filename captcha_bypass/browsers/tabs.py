"""The pages of one browser: opened each behind a guard of its own, emptied, and closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from playwright.async_api import Browser, Error, Page, StorageState

from captcha_bypass.browsers.failures import translate
from captcha_bypass.browsers.launch.engines import Engine
from captcha_bypass.browsers.page_events import Owner as PageOwner
from captcha_bypass.browsers.page_events import PageEvents
from captcha_bypass.browsers.retirement import Cause
from captcha_bypass.browsers.tab import Tab, empty, open_page
from captcha_bypass.browsers.time_zones import TimeZones
from captcha_bypass.concurrency import Background, uninterrupted, within
from captcha_bypass.egress.guard import Guard
from captcha_bypass.egress.guards import Egress
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.errors import BrowserLost

logger = logging.getLogger(__name__)

#: Seconds a page or context gets to close in a browser that keeps sessions. All of them end with it,
#: which no page is worth that only waits for a busy machine: more than 1.5 s were seen on one.
SESSIONS_CLOSE_SECONDS = 6.0


@dataclass(frozen=True)
class Means:
    """What the browsers of one service open pages with.

    Attributes:
        background: Runs what nobody waits for; ended with the service.
    """

    engine: Engine
    egress: Egress
    time_zones: TimeZones
    background: Background


class Owner(PageOwner, Protocol):
    """The browser that the pages are in."""

    @property
    def is_dead(self) -> bool:
        """Whether it was killed, or found dead."""

    @property
    def keeps_sessions(self) -> bool:
        """Whether sessions live in it, which end when it is killed."""

    def check(self) -> None:
        """Find out whether it has died."""

    async def kill(self, cause: Cause) -> None:
        """End it at once; returns once it is dead."""


class Tabs:
    """Opens, empties and closes the pages of a browser, and keeps one ready for the next task.

    Args:
        browser: Playwright's, which runs.
        owner: Told of what happens to it.
    """

    def __init__(self, means: Means, browser: Browser, owner: Owner) -> None:
        self._means = means
        self._browser = browser
        self._owner = owner
        self._pace = means.engine.pace
        self._guards: set[Guard] = set()
        self._events = PageEvents(owner)
        self._spare: asyncio.Task[Tab] | None = None

    @property
    def open_seconds(self) -> float:
        """Seconds within which a page opens, or the browser hangs."""
        return self._pace.open_seconds

    @property
    def _close_seconds(self) -> float:
        usual = self._pace.close_seconds
        return max(usual, SESSIONS_CLOSE_SECONDS) if self._owner.keeps_sessions else usual

    @property
    def has_spare(self) -> bool:
        """Whether a page is ready, or being made ready."""
        return self._spare is not None

    def prepare(self) -> None:
        """Make a page ready for the next task, in the background."""
        if self._spare is None:
            self._spare = self._means.background.start(self._new())

    async def open(self, permit: Permit) -> Tab:
        """Return a fresh page, the one made ready if it fits.

        Raises:
            TimeoutError: the browser hangs.
            Error: what Playwright says.
            OSError: no guard can be opened.
        """
        opening = self._begin(await self._time_zone(permit.upstream))
        by = asyncio.get_running_loop().time() + self.open_seconds
        try:
            async with asyncio.timeout_at(by):
                tab = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # Playwright goes on with what it was asked for: wait for it behind our back, and not for
            # longer than the task might have, or the next would wait for a browser that hangs.
            self._means.background.run(self._close_unwanted(opening, by))
            raise
        tab.guard.admit(permit)
        return tab

    @asynccontextmanager
    async def opening(self, permit: Permit) -> AsyncIterator[None]:
        """Judge what fails while a page is made ready for a task.

        Raises:
            BrowserLost: the browser does not open one, so it takes no more tasks.
            TaskError: what is wrong with the task's proxy.
        """
        try:
            yield
        except TimeoutError:
            await self._owner.kill("open")
            raise BrowserLost from None
        except (Error, OSError) as error:
            self._owner.check()
            failed = translate(error)
            dead = self._owner.is_dead or failed.code == "browser_crashed"
            if dead or permit.upstream is None:
                # It has not shown this task's page yet, so the task is not to blame.
                self._owner.retire("open")
                raise BrowserLost from error
            raise failed from error

    async def _time_zone(self, proxy: Upstream | None) -> str | None:
        """Return that of the address a proxy goes out by, if it is known and pages can have it."""
        if proxy is None or not self._means.engine.fits_time_zone:
            return None
        return await self._means.time_zones.of(proxy)

    def _begin(self, time_zone: str | None) -> asyncio.Task[Tab]:
        if time_zone is not None or self._spare is None:
            return self._means.background.start(self._new(time_zone))
        opening, self._spare = self._spare, None
        return opening

    async def _new(self, time_zone: str | None = None) -> Tab:
        guard = await self._means.egress.guard()
        self._guards.add(guard)
        try:
            return Tab(await self._new_page(guard, time_zone), guard)
        except BaseException:
            await uninterrupted(self._cut(guard))
            raise

    async def _new_page(self, guard: Guard, time_zone: str | None) -> Page:
        context = await self._means.engine.new_context(
            self._browser, guard.url, time_zone=time_zone
        )
        page = await open_page(context)
        # Bounded by the task's deadline instead, which is one for all its steps.
        context.set_default_timeout(0)
        self._events.watch_windows(context)
        self._events.watch(page)
        return page

    def open_beside(self, tab: Tab) -> asyncio.Task[Tab]:
        """Begin to open a page in the context of another, which may be closed."""
        return self._means.background.start(self._new_beside(tab))

    async def _new_beside(self, tab: Tab) -> Tab:
        async with self._events.letting_windows_open(tab.page.context) as context:
            page = await open_page(context)
            self._events.watch(page)
        return Tab(page, tab.guard)

    async def _close_unwanted(self, opening: asyncio.Task[Tab], by: float) -> None:
        await asyncio.wait({opening}, timeout=max(0.0, by - asyncio.get_running_loop().time()))
        if not opening.done():
            await self._owner.kill("open")
        elif not opening.cancelled() and opening.exception() is None:
            await self.close(opening.result())

    async def storage(self, tab: Tab) -> StorageState:
        """Return cookies and local storage of a page's context."""
        async with self._events.letting_windows_open(tab.page.context) as context:
            return await context.storage_state()

    async def empty(self, tab: Tab) -> bool:
        """Leave a page for an empty one, for the next task; False if that cannot be done in time."""
        return await empty(tab.page)

    async def close_page(self, tab: Tab, *, patient: bool = False) -> bool:
        """Close a page alone, not what it stored; False if it does not close in time.

        Args:
            patient: As long as opening may take: what hangs can do no harm, and others in the browser
                would lose what they have, where only the machine is slow.
        """
        return await self._closes(tab.page.close(), patient=patient)

    async def close(self, tab: Tab, *, patient: bool = False) -> bool:
        """Cut a page off and close it with all it stored; False if it does not close in time."""
        await self._cut(tab.guard)
        return await self._closes(tab.page.context.close(), patient=patient)

    async def _closes(self, closing: Coroutine[Any, Any, None], *, patient: bool) -> bool:
        seconds = self._pace.open_seconds if patient else self._close_seconds
        try:
            await within(seconds, closing)
        except TimeoutError:
            return self._owner.is_dead
        except Error as error:
            logger.debug("a page was gone before it was closed: %s", type(error).__name__)
        return True

    async def cut_off(self) -> None:
        """End the traffic of all pages."""
        for guard in list(self._guards):
            await self._cut(guard)

    async def _cut(self, guard: Guard) -> None:
        self._guards.discard(guard)
        await guard.close()
