"""One page, alone in its context: what it has, and how it is opened and emptied."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

from playwright.async_api import BrowserContext, Error, Page

from captcha_bypass.concurrency import within
from captcha_bypass.egress.guard import Guard

logger = logging.getLogger(__name__)

#: Entries that Firefox keeps of a page's history (browser.sessionhistory.max_entries).
HISTORY_ENTRIES = 50
_FORGET = "entries => { for (let n = 0; n < entries; n++) history.pushState(null, '') }"
#: Seconds a page gets to become empty (0.1 s is normal) before it is closed instead.
EMPTY_SECONDS = 1.0


class Loan(Protocol):
    """What a task has a page by; see lease.Lease."""

    @property
    def was_ended(self) -> bool:
        """Whether the page was taken from its task, for what it or its browser did."""

    def extend(self, when: float) -> None:
        """Move the moment, on the event loop's clock, from which the task may have it no longer."""

    def interrupt(self) -> None:
        """Take the page from its task at once."""


@dataclass(eq=False)
class Tab:
    """A page, alone in its context, and the guard that all its traffic goes through."""

    page: Page
    guard: Guard
    #: That of the task that has it, or had it last.
    loan: Loan | None = None

    def lend_to(self, loan: Loan) -> None:
        """Let a task have it, which is interrupted once the page has moved more than it may."""
        self.loan = loan
        self.guard.on_overrun = loan.interrupt


async def open_page(context: BrowserContext) -> Page:
    """Open a page in a context, as one that no script may close.

    Raises:
        Error: what Playwright says.
    """
    page = await context.new_page()
    # A script may close a window whose history has one entry. A person's has the new tab page before
    # what was opened in it.
    await show_nothing(page)
    return page


async def show_nothing(page: Page) -> None:
    """Show an empty page, and return once that is over.

    Who navigates on while it is being loaded is told wrongly of what comes then, or not at all: Firefox
    takes the end of the empty page for that of the next one.
    """
    await page.goto("about:blank", wait_until="load")


async def empty(page: Page) -> bool:
    """Leave a page for an empty one, for the next task; False if that cannot be done in time."""
    try:
        await within(EMPTY_SECONDS, _leave(page))
    except (Error, TimeoutError) as error:
        logger.debug("a page could not be emptied: %s", type(error).__name__)
        return False
    return True


async def _leave(page: Page) -> None:
    await page.unroute_all(behavior="ignoreErrors")
    await page.set_extra_http_headers({})
    await show_nothing(page)
    # Firefox forgets the oldest entries beyond its 50: the next page cannot go back to the last.
    await page.evaluate(_FORGET, HISTORY_ENTRIES)
