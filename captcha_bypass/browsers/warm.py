"""One warm browser: the pages it has lent, the one it keeps ready, and its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from playwright.async_api import BrowserContext, Error, Frame, Page, StorageState

from captcha_bypass.background import Background, uninterrupted, within
from captcha_bypass.browsers.causes import Cause
from captcha_bypass.browsers.engines import Engine
from captcha_bypass.browsers.exits import Exits
from captcha_bypass.browsers.launcher import Launched, Launcher
from captcha_bypass.browsers.lease import Lease, Tab
from captcha_bypass.browsers.reaper import BROWSER_MARK, is_alive, kill_marked
from captcha_bypass.egress.guard import Egress, Guard
from captcha_bypass.egress.routes import Permit

logger = logging.getLogger(__name__)

#: Entries that Firefox keeps of a page's history (browser.sessionhistory.max_entries).
HISTORY_ENTRIES = 50
_FORGET = "entries => { for (let n = 0; n < entries; n++) history.pushState(null, '') }"
#: Seconds a page gets to become empty (0.1 s is normal) before it is closed instead.
CLEAR_SECONDS = 1.0
#: Windows a page may open before its browser counts as spoilt: after a storm of them Firefox does not
#: always show any more that a page's process has died.
MAX_POPUPS = 5


class WarmBrowser:
    """A browser process that is starting, running or dead. The pool decides; this one does.

    Args:
        report: Called with what has happened to it: `page_crash`, `popups`, `crash` (it may have
            died), or `open` (a page does not open).
    """

    def __init__(
        self,
        engine: Engine,
        launcher: Launcher,
        egress: Egress,
        background: Background,
        exits: Exits,
        *,
        report: Callable[[WarmBrowser, Cause], None],
    ) -> None:
        self.label = uuid4().hex
        self._engine = engine
        self._egress = egress
        self._exits = exits
        self._guards: set[Guard] = set()
        self._background = background
        self._report = report
        self._popups: WeakKeyDictionary[BrowserContext, int] = WeakKeyDictionary()
        self._spare: asyncio.Task[Tab] | None = None
        self._pulse: BrowserContext | None = None
        #: None until it has started.
        self.launched: Launched | None = None
        self.started_at = self.idle_since = asyncio.get_running_loop().time()
        self.leases: set[Lease] = set()
        #: Tasks it has taken.
        self.served = 0
        #: Tasks it had taken when its memory was last measured.
        self.weighed = 0
        #: Reserved for one task that may have brought another browser down.
        self.exclusive = False
        #: A page keeps it so busy that another would have to wait.
        self.strained = False
        #: Contexts in it that outlive their tasks; while there are any, it takes no other tasks.
        self.sessions: set[object] = set()
        #: Why it takes no more tasks; None while it does.
        self.retiring: Cause | None = None
        #: Whether it was killed, or found dead.
        self.dead = False
        self._launching = background.start(self._launch(launcher))

    @property
    def accepting(self) -> bool:
        """Whether it may be given tasks, once there is room."""
        unfit = self.dead or self.retiring or self.exclusive or self.strained
        return not (unfit or self.sessions)

    @property
    def alive(self) -> bool:
        """Whether its process runs; true for one that is starting."""
        return self.launched is None or is_alive(self.launched.root)

    @property
    def open_seconds(self) -> float:
        """Seconds within which it opens a page, or hangs."""
        return self._engine.pace.open_seconds

    @property
    def has_spare(self) -> bool:
        """Whether a page is ready, or being made ready."""
        return self._spare is not None

    async def _launch(self, launcher: Launcher) -> None:
        self.launched = await launcher.launch(self.label)
        self.launched.browser.on("disconnected", lambda _: self._report(self, "crash"))

    async def started(self) -> None:
        """Wait until it has started.

        Raises:
            TaskError: `browser_unavailable`: it has not.
            Unguarded: its traffic cannot be guarded.
        """
        await asyncio.shield(self._launching)

    def prepare(self) -> None:
        """Make a page ready for the next task, in the background."""
        if self._spare is None:
            self._spare = self._background.start(self._new_tab())

    async def open(self, permit: Permit) -> Tab:
        """Return a fresh page, the one made ready if it fits.

        Raises:
            TimeoutError: it hangs.
            Exception: whatever Playwright or the engine raises.
        """
        time_zone = None
        if permit.upstream is not None and self._engine.fits_exit:
            time_zone = await self._exits.time_zone(permit.upstream)
        if time_zone is None:
            self.prepare()
            opening, self._spare = self._spare, None
            assert opening is not None  # noqa: S101 - prepare() has set it
        else:
            opening = self._background.start(self._new_tab(time_zone))
        try:
            async with asyncio.timeout(self.open_seconds):
                tab = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # Playwright goes on with what it was asked for: wait for it behind our back.
            self._background.run(self._close_unwanted(opening))
            raise
        tab.guard.admit(permit)
        return tab

    def open_beside(self, tab: Tab) -> asyncio.Task[Tab]:
        """Begin to open a page in the context of one that is closed."""
        return self._background.start(self._new_tab_beside(tab))

    async def _new_tab_beside(self, tab: Tab) -> Tab:
        context = tab.page.context
        context.remove_listener("page", self._close_popup)
        try:
            return Tab(self._watched(await _open_page(context)), tab.guard)
        finally:
            context.on("page", self._close_popup)

    async def _new_tab(self, time_zone: str | None = None) -> Tab:
        guard = await self._egress.guard()
        self._guards.add(guard)
        try:
            return Tab(await self._new_page(guard, time_zone), guard)
        except BaseException:
            await uninterrupted(self._cut(guard))
            raise

    async def _new_page(self, guard: Guard, time_zone: str | None) -> Page:
        assert self.launched is not None  # noqa: S101 - only a started browser is asked
        browser = self.launched.browser
        context = await self._engine.new_context(browser, guard.url, time_zone=time_zone)
        page = await _open_page(context)
        # Bounded by the task's deadline instead, which is one for all its steps.
        context.set_default_timeout(0)
        context.on("page", self._close_popup)
        return self._watched(page)

    def _watched(self, page: Page) -> Page:
        page.on("crash", self._crashed)
        page.on("framenavigated", self._on_navigated)
        return page

    async def _close_popup(self, popup: Page) -> None:
        opened = self._popups.get(popup.context, 0) + 1
        self._popups[popup.context] = opened
        if opened > MAX_POPUPS:
            self._report(self, "popups")
        try:
            await popup.close()
        except Error as error:
            logger.debug("a popup was gone before it could be closed: %s", type(error).__name__)

    def _on_navigated(self, frame: Frame) -> None:
        # What Firefox shows in place of a page whose content process has died.
        if frame.url.startswith("about:tabcrashed"):
            self._crashed(frame.page)

    def _crashed(self, page: Page) -> None:
        for lease in self.leases:
            if lease.tab is not None and lease.tab.page is page:
                lease.crashed = True
                lease.interrupt()
        self._report(self, "page_crash")

    async def _close_unwanted(self, opening: asyncio.Task[Tab]) -> None:
        await asyncio.wait({opening}, timeout=self.open_seconds)
        if not opening.done():
            self._report(self, "open")
        elif not opening.cancelled() and opening.exception() is None:
            await self.close_tab(opening.result())

    async def close_tab(self, tab: Tab) -> bool:
        """Cut a page off and close it with all it stored; False if it does not close in time."""
        await self._cut(tab.guard)
        return await self._closes(tab.page.context.close())

    async def clear_page(self, tab: Tab) -> bool:
        """Leave a page for an empty one, for the next task; False if that cannot be done in time."""
        try:
            await within(CLEAR_SECONDS, _clear(tab.page))
        except (Error, TimeoutError) as error:
            logger.debug("a page could not be cleared: %s", type(error).__name__)
            return False
        return True

    async def storage(self, tab: Tab) -> StorageState:
        """Return cookies and local storage of a page's context."""
        context = tab.page.context
        context.remove_listener("page", self._close_popup)
        try:
            return await context.storage_state()
        finally:
            context.on("page", self._close_popup)

    async def close_page(self, tab: Tab) -> bool:
        """Close a page alone, not what it stored; False if it does not close in time."""
        return await self._closes(tab.page.close())

    async def _closes(self, closing: Coroutine[Any, Any, None]) -> bool:
        try:
            await within(self._engine.pace.close_seconds, closing)
        except TimeoutError:
            return self.dead
        except Error as error:
            logger.debug("a page was gone before it was closed: %s", type(error).__name__)
        return True

    async def beat(self) -> None:
        """Return once the browser has answered a question that concerns none of its pages."""
        assert self.launched is not None  # noqa: S101 - only a started browser is asked
        if self._pulse is None:
            # Without a page it costs next to nothing; it goes nowhere.
            self._pulse = await self.launched.browser.new_context()
        await self._pulse.cookies()

    async def close(self) -> None:
        """End the browser: in order if it is healthy, and for certain in any case."""
        self._launching.cancel()
        await asyncio.wait({self._launching})
        in_order = self.launched is not None and not self.dead
        self.dead = True
        try:
            if self.launched is not None and in_order:
                await within(self._engine.pace.close_seconds, self.launched.browser.close())
        except (Error, TimeoutError) as error:
            logger.debug("a browser did not close by itself: %s", type(error).__name__)
        finally:
            await kill_marked(BROWSER_MARK, self.label)
            for guard in list(self._guards):
                await self._cut(guard)

    async def _cut(self, guard: Guard) -> None:
        self._guards.discard(guard)
        await guard.close()


async def _open_page(context: BrowserContext) -> Page:
    page = await context.new_page()
    # A script may close a window whose history has one entry. A person's has the new tab page before
    # what was opened in it.
    await page.goto("about:blank", wait_until="commit")
    return page


async def _clear(page: Page) -> None:
    await page.unroute_all(behavior="ignoreErrors")
    await page.set_extra_http_headers({})
    await page.goto("about:blank", wait_until="commit")
    # Firefox forgets the oldest entries beyond its 50: the next page cannot go back to the last.
    await page.evaluate(_FORGET, HISTORY_ENTRIES)
