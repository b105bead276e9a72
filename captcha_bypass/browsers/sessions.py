"""Named contexts that outlive their tasks: cookies, storage and logins stay, what was shown does not."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

from captcha_bypass.background import uninterrupted
from captcha_bypass.browsers.fleet import Fleet
from captcha_bypass.browsers.keeper import TEND_EVERY
from captcha_bypass.browsers.lease import Lease, Tab
from captcha_bypass.browsers.warm import WarmBrowser
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.errors import TaskError, TooManySessions
from captcha_bypass.models import SessionKey

#: Names of sessions that ended by themselves whose users have not been told yet.
MAX_LOST = 1000


class Session:
    """One context, lent to one task at a time. A place of pages, like a WarmBrowser.

    It is a name alone until its first task: whoever begins and ends sessions starts no browsers.

    Args:
        upstream: Its proxy, for tasks that name none.
    """

    def __init__(self, key: SessionKey, upstream: Upstream | None) -> None:
        self.key = key
        self._browser: WarmBrowser | None = None
        self._upstream = upstream
        self._tab: Tab | None = None
        #: A new page for the next task, being made ready.
        self._next: asyncio.Task[Tab] | None = None
        #: A page is closed behind its task's back; the next one opens after that.
        self._changing = asyncio.Lock()
        self.born = self.used = _now()
        #: The task that has it.
        self.lease: Lease | None = None
        #: Tasks that it has had.
        self.served = 0
        #: Seconds of its life that its last task would have granted it.
        self.max_age: float | None = None
        #: It was ended, by its user or by time.
        self.over = False
        #: Its page could not be opened, or died.
        self.broken = False

    @property
    def browser(self) -> WarmBrowser:
        """Where it lives, once it has had a task."""
        assert self._browser is not None  # noqa: S101 - see there
        return self._browser

    def live_in(self, browser: WarmBrowser) -> None:
        """Settle in a browser, for good."""
        self._browser = browser
        browser.sessions.add(self)

    @property
    def is_settled(self) -> bool:
        """Whether it lives in a browser, as it does from its first task on."""
        return self._browser is not None

    @property
    def alive(self) -> bool:
        """Whether it still has what its tasks left in it."""
        overrun = self._tab is not None and self._tab.guard.overrun is not None
        dead = self._browser is not None and self._browser.dead
        return not (self.over or self.broken or dead or overrun)

    async def open(self, permit: Permit) -> Tab:
        """Return its page, which is empty; see WarmBrowser.open."""
        asked = permit.upstream
        if self._upstream is not None and (asked is None or asked.trusted):
            permit = Permit(permit.named, self._upstream)  # it beats the operator's default
        try:
            async with self._changing:
                if self._tab is None:
                    self._tab = await self.browser.open(permit)
                    return self._tab
                if self._next is not None:
                    async with asyncio.timeout(self.browser.open_seconds):
                        self._tab = await asyncio.shield(self._next)
                    self._next = None
                if not await self._tab.guard.admit_again(permit):
                    self._tab = await self._moved(self._tab, permit)
                return self._tab
        except BaseException:
            self.broken = True
            raise

    async def _moved(self, old: Tab, permit: Permit) -> Tab:
        """Move cookies and local storage to a context in which nothing of earlier sites runs."""
        async with asyncio.timeout(self.browser.open_seconds):
            state: Any = await self.browser.storage(old)
        if not await self.browser.close_tab(old):
            raise TimeoutError
        tab = await self.browser.open(permit)
        async with asyncio.timeout(self.browser.open_seconds):
            await tab.page.context.set_storage_state(state)
        return tab

    async def close_tab(self, tab: Tab) -> bool:
        """Make the page ready for the next task, or close all of it if it is over."""
        async with self._changing:
            if not self.alive:
                return await self.browser.close_tab(tab)
            # Opening a page is more than half of what a task costs, so it stays if it lets go.
            if await self.browser.clear_page(tab):
                return True
            if not await self.browser.close_page(tab):
                return False
            self._next = self.browser.open_beside(tab)
            return True

    async def close(self) -> bool:
        """End it and all it stored; False if its browser does not let go of it."""
        self.over = True
        if self._browser is None:
            return True
        self._browser.sessions.discard(self)
        async with self._changing:
            if self._next is not None:
                # A page that opens while its context closes may stay behind.
                await asyncio.wait({self._next}, timeout=self._browser.open_seconds)
            return self._tab is None or await self._browser.close_tab(self._tab)


class Sessions:
    """The sessions of a service, by owner and name.

    Args:
        most: How many there may be.
        ttl: Seconds without a task after which one ends.
    """

    def __init__(self, *, most: int, ttl: float) -> None:
        self._fleet: Fleet
        self._most = most
        self._ttl = ttl
        self._sessions: dict[SessionKey, Session] = {}
        #: Ended by themselves, oldest first; whoever asks for one is told so once.
        self._lost: OrderedDict[SessionKey, None] = OrderedDict()

    def live_in(self, fleet: Fleet) -> None:
        """Say where they live, before one has a task."""
        self._fleet = fleet

    async def keep(self) -> None:
        """Look after them for ever."""
        while True:
            await asyncio.sleep(TEND_EVERY)
            self.expire()

    def names(self, owner: str) -> list[str]:
        """Return the names of an owner's that are alive, oldest first."""
        self.expire()
        return [key.name for key in self._sessions if key.owner == owner]

    def create(self, key: SessionKey, upstream: Upstream | None) -> bool:
        """Begin a session; False: there is one of that key, which stays as it is.

        Raises:
            TooManySessions: there are as many as there may be.
        """
        self.expire()
        self._lost.pop(key, None)
        if key in self._sessions:
            return False
        if len(self._sessions) >= self._most:
            raise TooManySessions(
                f"{self._most} sessions are open; delete one, or raise --max-sessions."
            )
        self._sessions[key] = Session(key, upstream)
        return True

    async def destroy(self, key: SessionKey) -> bool:
        """End a session, and the task that has it; False: there was none of that name."""
        session = self._sessions.pop(key, None)
        if session is None:
            known = key in self._lost
            self._lost.pop(key, None)
            return known
        await uninterrupted(self._end(session))
        return True

    def join(self, key: SessionKey, lease: Lease, permit: Permit, max_age: float | None) -> Session:
        """Give a task its session, which begins with it if there is none of that name.

        Args:
            max_age: Seconds; an older one ends, and a new one begins.

        Raises:
            TaskError: `session_lost`: it ended by itself; `too_many_sessions`.
        """
        self.expire()
        if key in self._lost:
            del self._lost[key]
            raise session_lost()
        session = self._sessions.get(key)
        if session is not None and _is_older(session, max_age):
            del self._sessions[key]
            self._end_later(session)
            session = None
        if session is None:
            try:
                self.create(key, permit.upstream)
            except TooManySessions as error:
                raise TaskError("too_many_sessions", str(error)) from None
            session = self._sessions[key]
        if session.lease is not None:
            raise RuntimeError("two tasks of one session at once")  # the queue sees to that
        if not session.is_settled:
            session.live_in(self._fleet.for_sessions())
        session.max_age = max_age
        session.lease = lease
        self._fleet.seat(session.browser, lease)
        return session

    def leave(self, session: Session, lease: Lease) -> None:
        """Take a session back from its task."""
        session.lease = None
        session.served += 1
        session.used = _now()
        if lease.crashed or lease.lost:
            session.broken = True  # its task has been told
        if not session.alive and self._sessions.get(session.key) is session:
            del self._sessions[session.key]
            self._end_later(session)

    def expire(self) -> None:
        """End the sessions that nobody uses any more, and those whose browser has died."""
        for key, session in list(self._sessions.items()):
            if session.lease is not None:
                continue
            if not session.alive:
                self._lost[key] = None
            elif _now() - session.used <= self._ttl and not _is_older(session, session.max_age):
                continue
            del self._sessions[key]
            self._end_later(session)
        while len(self._lost) > MAX_LOST:
            self._lost.popitem(last=False)

    def _end_later(self, session: Session) -> None:
        session.over = True
        if session.is_settled:
            self._fleet.background.run(self._end(session))

    async def _end(self, session: Session) -> None:
        session.over = True
        if session.lease is not None:
            session.lease.lost = True
            session.lease.interrupt()
        if not await session.close():
            await self._fleet.kill(session.browser, "close")
        if not session.is_settled:
            return
        if session.browser.retiring:
            self._fleet.retire(session.browser, session.browser.retiring)
        self._fleet.plan()


def _is_older(session: Session, seconds: float | None) -> bool:
    return seconds is not None and _now() - session.born > seconds


def _now() -> float:
    return asyncio.get_running_loop().time()


def session_lost() -> TaskError:
    """Return the error for a task whose session is no more."""
    return TaskError(
        "session_lost",
        "The session has ended, with all it held: it was deleted, or its browser died. The next "
        "task of that name begins a new one.",
    )
