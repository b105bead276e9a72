"""What a task has of a browser: a page, and word of what happens to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from playwright.async_api import Page

from captcha_bypass.browsers.failures import CRASHED
from captcha_bypass.egress.guard import Guard
from captcha_bypass.errors import BrowserLost, TaskError


@dataclass(frozen=True, eq=False)
class Tab:
    """A page, alone in its context, and the guard that all its traffic goes through."""

    page: Page
    guard: Guard


class Lease:
    """A page that a task has: what can happen to it meanwhile, and how its user is told."""

    def __init__(self) -> None:
        #: Bounds the time it is lent; the pool's, from before anything can happen to it.
        self.scope: asyncio.Timeout | None = None
        self.tab: Tab | None = None
        #: The browser is dead, and this page is not to blame, as far as can be told.
        self.lost = False
        #: Lost in an end that some page of the browser, and maybe this one, has brought about.
        self.suspect = False
        #: What this page did to its browser.
        self.fault: TaskError | None = None
        #: The page is dead: its content process, or the browser it had for itself.
        self.crashed = False
        #: It is being given back; nobody is left to be told.
        self.over = False

    @property
    def was_shown(self) -> bool:
        """Whether its page has gone anywhere."""
        return self.tab is not None and self.tab.page.url != "about:blank"

    def interrupt(self) -> None:
        """End the time it is lent at once, whatever its user waits for."""
        if self.scope is not None and not self.over and not self.scope.expired():
            self.scope.reschedule(asyncio.get_running_loop().time())

    def raise_if_dead(self) -> None:
        """Raise what happened to the page, if anything did.

        Raises:
            TaskError: `browser_crashed`: it died by itself; `too_much_traffic`, `too_much_memory`,
                `too_much_work`: it was stopped.
            BrowserLost: its browser died.
        """
        if self.tab is not None and self.tab.guard.overrun is not None:
            raise self.tab.guard.overrun
        if self.fault is not None:
            raise self.fault
        if self.crashed:
            raise TaskError("browser_crashed", CRASHED)
        if self.lost:
            raise BrowserLost(suspect=self.suspect)
