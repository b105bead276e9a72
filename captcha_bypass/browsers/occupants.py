"""Who has pages in a browser: the tasks, and the sessions that outlive theirs."""

from __future__ import annotations

import asyncio

from playwright.async_api import Page

from captcha_bypass.browsers.failures import CRASHED
from captcha_bypass.browsers.lease import Lease
from captcha_bypass.browsers.retirement import FAULTS, SUSPICIOUS, Cause
from captcha_bypass.errors import TaskError


class Occupants:
    """Those of one browser, which alone lets them in and out; others may count them.

    Args:
        most: So many tasks, one after the other or at once, and the browser is used up.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._leases: set[Lease] = set()
        self._sessions = self._served = self._requests = 0
        self._clock = asyncio.get_running_loop().time
        self._idle_since = self._clock()

    def __repr__(self) -> str:
        """Count them."""
        return f"{self.tasks} tasks now, {self._served} in all, {self._sessions} sessions"

    @property
    def tasks(self) -> int:
        """Tasks that have a place now."""
        return len(self._leases)

    @property
    def sessions(self) -> int:
        """Sessions that live in it now."""
        return self._sessions

    @property
    def served(self) -> int:
        """Tasks that have had a place, those that have one now among them."""
        return self._served

    @property
    def uses(self) -> int:
        """Tasks and requests of sessions that it has served."""
        return self._served + self._requests

    @property
    def tasks_left(self) -> int:
        """Tasks until the browser is used up; sessions may give it more."""
        return max(0, self._most - self._served)

    @property
    def is_empty(self) -> bool:
        """Whether there are neither tasks nor sessions now."""
        return not self._leases and not self._sessions

    @property
    def is_used_up(self) -> bool:
        """Whether the browser may have no other task; with sessions it goes on, however many tasks."""
        return not self.tasks_left and not self._sessions

    @property
    def is_exclusive(self) -> bool:
        """Whether a task has the browser for itself, or sessions do."""
        return self._sessions > 0 or any(lease.alone for lease in self._leases)

    @property
    def idle_seconds(self) -> float:
        """How long there has been no task; 0 while there is one."""
        return 0.0 if self._leases else self._clock() - self._idle_since

    def seat(self, lease: Lease) -> None:
        """Give a place to a task, for itself or for a session that it is of."""
        self._leases.add(lease)
        self._served += 1

    def release(self, lease: Lease) -> None:
        """Take a task's place back."""
        self._leases.discard(lease)
        self._idle_since = self._clock()

    def begin_session(self) -> None:
        """Take one more session in."""
        self._sessions += 1

    def end_session(self) -> None:
        """Let a session go."""
        self._sessions -= 1

    def count_request(self) -> None:
        """Count a request that is sent in a session, beside its tasks."""
        self._requests += 1

    def tell_page_crash(self, page: Page) -> None:
        """Tell the task of a page whose content process has died."""
        for lease in self._leases:
            if lease.shows(page):
                lease.fail(TaskError("browser_crashed", CRASHED))

    def tell_end(self, cause: Cause, culprit: Lease | None = None) -> None:
        """Tell all who have a page of a browser that is dead now whether to start again.

        Args:
            culprit: The page that hung, whose task ends otherwise.
        """
        # A page that has not gone anywhere yet cannot have done it.
        shown = [lease for lease in self._leases if lease.was_shown]
        alone = len(shown) == 1 and (cause != "crash" or len(self._leases) == 1)
        for lease in self._leases:
            if alone and lease in shown and cause in FAULTS:
                lease.fail(TaskError(*FAULTS[cause]))
            elif lease is culprit:
                lease.interrupt()
            else:
                # Which of several it was cannot be told: each gets a browser for itself next.
                lease.lose(suspect=cause in SUSPICIOUS and lease.was_shown)
