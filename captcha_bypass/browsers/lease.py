"""A page lent to a task: where it lives, what happens to it meanwhile, and how its user is told."""

from __future__ import annotations

import asyncio
from typing import Protocol, TypeGuard

from playwright.async_api import Error, Page

from captcha_bypass.browsers.failures import translate
from captcha_bypass.browsers.retirement import Cause
from captcha_bypass.browsers.tab import Tab
from captcha_bypass.concurrency import uninterrupted, within
from captcha_bypass.egress.routes import Permit
from captcha_bypass.errors import TaskError

#: Seconds that a cancelled task's page gets to close, of whatever engine, before its browser is killed:
#: with the kill it is dead within two.
CANCEL_SECONDS = 1.5
#: Seconds within which Firefox shows that a page's process has died; 0.05 s is normal.
NOTICE_SECONDS = 0.3


class Place(Protocol):
    """Where a task's page lives: in a browser, or in a session in one."""

    @property
    def obstacle(self) -> str:
        """Why a task whose time is up got no page here."""

    async def open(self, permit: Permit) -> Tab:
        """Return the page for one task, which may do what `permit` says.

        Raises:
            BrowserLost: there is none, by no fault of the task's.
            TaskError: there is none, and why.
        """

    async def close_tab(self, tab: Tab) -> None:
        """Take the page away from its task; the browser is killed if it does not let go of it."""

    def check(self) -> None:
        """Find out whether the browser has died, and tell all who have a page of it."""

    async def kill(self, cause: Cause, culprit: Lease | None = None) -> None:
        """End the browser; returns once it is dead, a cancel notwithstanding.

        Args:
            culprit: The page that hung, whose task ends otherwise than those that shared it.
        """

    def loss(self, *, suspect: bool) -> TaskError:
        """Return what a task is told that lost its page.

        Args:
            suspect: The page may be what brought the browser's end about.
        """

    def release(self, lease: Lease) -> None:
        """Take the task's place back; its page is closed already, or is being closed."""


class Lease:
    """A page that a task has. Whoever ends what it needs says so by `fail` or `lose`.

    Args:
        place: Where it lives.
        alone: In a browser that no other task has meanwhile.
    """

    def __init__(self, place: Place, *, alone: bool = False) -> None:
        self.place = place
        self.alone = alone
        self._scope: asyncio.Timeout | None = None
        self._tab: Tab | None = None
        self._closed = False
        self._over = False
        #: Its user's time was ended by what happened to the page.
        self.was_ended = False
        #: What this page did to its browser, or what has become of it.
        self._fault: TaskError | None = None
        #: The browser is dead, and this page is not to blame, as far as can be told.
        self._lost = False
        self._suspect = False

    @property
    def was_shown(self) -> bool:
        """Whether its page has gone anywhere."""
        return self._tab is not None and self._tab.page.url != "about:blank"

    @property
    def is_dead(self) -> bool:
        """Whether its page, or the browser of it, died."""
        return self._lost or self._fault is not None

    def shows(self, page: Page) -> bool:
        """Whether that is its page."""
        return self._tab is not None and self._tab.page is page

    def until(self, when: float) -> asyncio.Timeout:
        """Return what bounds the time it is lent; what happens to the page ends that at once.

        Args:
            when: On the event loop's clock.
        """
        self._scope = asyncio.timeout_at(when)
        return self._scope

    async def open(self, permit: Permit) -> Tab:
        """Open the page; see Place."""
        self._tab = await self.place.open(permit)
        self._tab.lend_to(self)
        return self._tab

    def end(self) -> None:
        """Let its user go: from here on nobody is left to be told."""
        self._over = True

    async def close(self) -> None:
        """Close its page, if it has one that was not closed yet; see Place."""
        if self._tab is not None and not self._closed:
            self._closed = True
            await self.place.close_tab(self._tab)

    async def close_at_once(self) -> None:
        """Close its page, or kill its browser, within two seconds; a cancel does not stop that."""
        await uninterrupted(self._close_or_kill())

    async def _close_or_kill(self) -> None:
        try:
            await within(CANCEL_SECONDS, self.close())
        except TimeoutError:
            await self.place.kill("close")

    def fail(self, fault: TaskError) -> None:
        """Tell its user what its page did, or what has become of it; what came first counts."""
        self._fault = self._fault or fault
        self.interrupt()

    def lose(self, *, suspect: bool = False) -> None:
        """Tell its user that the page is lost, and not by its own fault; see Place.loss."""
        self._lost = True
        self._suspect = suspect
        self.interrupt()

    def interrupt(self) -> None:
        """End the time it is lent at once, whatever its user waits for."""
        if self._may_end_otherwise(self._scope):
            self.was_ended = True
            self._scope.reschedule(asyncio.get_running_loop().time())

    def extend(self, when: float) -> None:
        """Move the end of the time it is lent, unless that is over already; see `until`."""
        if self._may_end_otherwise(self._scope) and not self.was_ended:
            self._scope.reschedule(when)

    def _may_end_otherwise(self, scope: asyncio.Timeout | None) -> TypeGuard[asyncio.Timeout]:
        return scope is not None and not self._over and not scope.expired()

    def raise_if_dead(self) -> None:
        """Raise what happened to the page, if anything did.

        Raises:
            TaskError: `browser_crashed`: it died by itself; `too_much_traffic`, `too_much_memory`,
                `too_much_work`: it was stopped; or what Place.loss returns.
        """
        if self._tab is not None and self._tab.guard.overrun is not None:
            raise self._tab.guard.overrun
        if self._fault is not None:
            raise self._fault
        if self._lost:
            raise self.place.loss(suspect=self._suspect)

    async def handle_timeout(self) -> None:
        """Deal with a page that its task did not get, or give back, in time.

        Raises:
            TaskError: there was none, see Place.obstacle; or the page died, see `raise_if_dead`.
        """
        self.raise_if_dead()
        if self._tab is None:
            raise no_page(self.place.obstacle) from None
        await self.place.kill("hang", self)

    async def explain(self, error: Error | TaskError) -> TaskError:
        """Return what an error means that its user met.

        What fails first when a page or its browser dies is not always what says so: to look no
        longer at a page fails as well where the driver is gone.

        Raises:
            TaskError: the page died; see `raise_if_dead`.
        """
        explained = translate(error)
        if explained.code in ("browser_crashed", "navigation_error"):
            await asyncio.sleep(NOTICE_SECONDS)
            self.place.check()
            self.raise_if_dead()
        return explained


def no_page(reason: str) -> TaskError:
    """Return what a task is told whose time was up before it had a page."""
    return TaskError(
        "browser_unavailable",
        f"There was no page for this task within its timeout: {reason}. Send it again later, or "
        "with a longer timeout.",
    )
