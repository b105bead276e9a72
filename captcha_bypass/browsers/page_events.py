"""What pages do to their browser by themselves: they crash, and open windows."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol
from weakref import WeakKeyDictionary, WeakSet

from playwright.async_api import BrowserContext, Error, Frame, Page

from captcha_bypass.browsers.retirement import Cause

logger = logging.getLogger(__name__)

#: Windows a page may open before its browser counts as spoilt: after a storm of them Firefox does not
#: always show any more that a page's process has died.
MAX_POPUPS = 5


class Owner(Protocol):
    """The browser that the pages are in."""

    def page_crashed(self, page: Page) -> None:
        """Take note that a page's content process has died."""

    def retire(self, cause: Cause) -> None:
        """Take no more tasks."""


class PageEvents:
    """Tells a browser of its pages' crashes, and closes the windows that they open.

    Args:
        owner: Told at once.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._popups: WeakKeyDictionary[BrowserContext, int] = WeakKeyDictionary()
        #: Contexts in which we open windows now, how many at once, and what has opened meanwhile.
        self._opening: WeakKeyDictionary[BrowserContext, int] = WeakKeyDictionary()
        self._opened: WeakKeyDictionary[BrowserContext, list[Page]] = WeakKeyDictionary()
        self._ours: WeakSet[Page] = WeakSet()

    def watch(self, page: Page) -> None:
        """Tell when the page, which is no site's window, crashes."""
        self._ours.add(page)
        page.on("crash", self._owner.page_crashed)
        page.on("framenavigated", self._on_navigated)

    def watch_windows(self, context: BrowserContext) -> None:
        """Close what opens in the context from now on."""
        context.on("page", self._on_page)

    @asynccontextmanager
    async def letting_windows_open(self, context: BrowserContext) -> AsyncIterator[BrowserContext]:
        """Let us open windows in the context; Playwright opens one to read its storage.

        What a site opens meanwhile is closed afterwards. Ours are those that are watched by then.
        """
        self._opening[context] = self._opening.get(context, 0) + 1
        try:
            yield context
        finally:
            self._opening[context] -= 1
            if not self._opening[context]:
                for page in self._opened.pop(context, []):
                    if page not in self._ours and not page.is_closed():
                        await self._close_popup(page)

    def _on_navigated(self, frame: Frame) -> None:
        # What Firefox shows in place of a page whose content process has died.
        if frame.url.startswith("about:tabcrashed"):
            self._owner.page_crashed(frame.page)

    async def _on_page(self, page: Page) -> None:
        if self._opening.get(page.context, 0):
            self._opened.setdefault(page.context, []).append(page)
        else:
            await self._close_popup(page)

    async def _close_popup(self, popup: Page) -> None:
        opened = self._popups.get(popup.context, 0) + 1
        self._popups[popup.context] = opened
        if opened > MAX_POPUPS:
            self._owner.retire("popups")
        try:
            await popup.close()
        except Error as error:
            logger.debug("a popup was gone before it could be closed: %s", type(error).__name__)
