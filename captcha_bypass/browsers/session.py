"""One named context that outlives its tasks: cookies, storage and logins stay, what was shown does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from captcha_bypass.browsers.browser import Browser
from captcha_bypass.browsers.lease import Lease
from captcha_bypass.browsers.permits import Permits
from captcha_bypass.browsers.retirement import Cause
from captcha_bypass.browsers.tabs import Tab, Tabs
from captcha_bypass.browsers.visits import Visit, Visits
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.errors import BrowserLost, TaskError


class Session:
    """One context in a browser, lent to one task at a time; requests may be sent in it beside.

    It is a name alone until its first task: whoever begins and ends sessions starts no browsers.

    Args:
        upstream: Its proxy, for tasks that name none.
        on_release: Called when a task has given it back.
    """

    def __init__(self, upstream: Upstream | None, on_release: Callable[[Session], None]) -> None:
        self._upstream = upstream
        self._on_release = on_release
        self._browser: Browser | None = None
        self._tab: Tab | None = None
        #: A new page for the next task, being made ready.
        self._next: asyncio.Task[Tab] | None = None
        #: A page is closed behind its task's back; the next one opens after that.
        self._changing = asyncio.Lock()
        self._born = self._used = _now()
        self._lease: Lease | None = None
        #: Who may use the context now: its task, and requests that may reach the same.
        self._permits = Permits()
        #: The permit of its task, while that has the context.
        self._lent_by: Permit | None = None
        #: Pages that requests are sent through.
        self._visits = Visits()
        #: Tasks that it has had.
        self._served = 0
        #: Seconds of its life that its last task would have granted it.
        self._max_age: float | None = None
        #: It was ended, by its user or by time.
        self._over = False
        #: Its page could not be opened, or died.
        self._broken = False

    def __repr__(self) -> str:
        """Tell how it stands; not its name, which may be a secret."""
        state = "lent" if self.is_lent else "free" if self.is_alive else "ended"
        return f"<Session {state}: {self._served} tasks, in {self._browser}>"

    @property
    def is_alive(self) -> bool:
        """Whether it still has what its tasks left in it."""
        overrun = self._tab is not None and self._tab.guard.overrun is not None
        dead = self._browser is not None and self._browser.is_dead
        return not (self._over or self._broken or dead or overrun)

    @property
    def is_settled(self) -> bool:
        """Whether requests can be sent in it: it is alive, and a task has opened its context."""
        return self.is_alive and self._tab is not None and self._served > 0

    @property
    def is_retiring(self) -> bool:
        """Whether its browser waits for its end."""
        return self._browser is not None and not self._browser.is_active

    @property
    def last_used(self) -> float:
        """When it was last used, on the event loop's clock."""
        return self._used

    def touch(self) -> None:
        """Count as used just now."""
        self._used = _now()

    @property
    def is_lent(self) -> bool:
        """Whether a task has it."""
        return self._lease is not None

    def is_expired(self, ttl: float) -> bool:
        """Whether it had no task for `ttl` seconds, or is older than its last one allowed."""
        return _now() - self._used > ttl or self.is_older(self._max_age)

    def is_older(self, seconds: float | None) -> bool:
        """Whether it began longer ago; None: no age is too old."""
        return seconds is not None and _now() - self._born > seconds

    def lend(self, max_age: float | None, find_home: Callable[[], Browser]) -> Lease:
        """Give it to a task, to be given back by `release`.

        Args:
            max_age: Seconds; see `is_expired`.
            find_home: Returns the browser that it settles in with its first task, for good.
        """
        if self._lease is not None:
            raise RuntimeError("two tasks of one session at once")  # the queue sees to that
        if self._browser is None:
            self._browser = find_home()
            self._browser.begin_session()
        self._max_age = max_age
        self._lease = Lease(self)
        self._browser.seat(self._lease)
        return self._lease

    # A place of pages; see lease.Place.

    @property
    def _home(self) -> Browser:
        assert self._browser is not None  # noqa: S101 - it has one from its first task on
        return self._browser

    @property
    def obstacle(self) -> str:
        """See Place."""
        return self._home.obstacle

    def check(self) -> None:
        """See Place."""
        self._home.check()

    async def kill(self, cause: Cause, culprit: Lease | None = None) -> None:
        """See Place."""
        await self._home.kill(cause, culprit)

    async def open(self, permit: Permit) -> Tab:
        """See Place. The page is empty, and the same as before if it could be emptied."""
        await self._home.started()
        own = self._own(permit)
        await self._permits.acquire(own)
        self._lent_by = own
        tab = None
        try:
            async with self._home.tabs.opening(permit), self._changing:
                tab = self._tab = await self._ready_tab(self._home.tabs, own)
                return tab
        except BrowserLost as error:
            raise self.loss(suspect=error.suspect) from error
        finally:
            self._broken = tab is None

    def _own(self, permit: Permit) -> Permit:
        """Let its own proxy beat the operator's default."""
        asked = permit.upstream
        if self._upstream is None or not (asked is None or asked.trusted):
            return permit
        return Permit(permit.named, self._upstream)

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

    @asynccontextmanager
    async def visit(self, permit: Permit, origin: str) -> AsyncIterator[Visit]:
        """Let a request be sent in its context, beside its task if that may reach the same.

        Args:
            permit: What the request may reach; where its user or others may reach something else
                now, it waits for them.
            origin: As the browser writes it.

        Raises:
            TaskError: `session_lost`; `browser_unavailable`: its browser does not answer.
            BrowserLost: likewise.
        """
        own = self._own(permit)
        async with self._permits.using(own):
            tab = await self._visited(own)
            self._home.count_request()
            yield Visit(self._visits, self._home, tab, permit, origin)

    async def _visited(self, permit: Permit) -> Tab:
        """Return a tab of the context, in which a request may be sent now."""
        async with self._changing:
            if self._tab is None or not self.is_alive:
                raise session_lost()
            guard = self._tab.guard
            if self._lent_by is not None and guard.serves(permit):
                return self._tab  # whose task has it, and whose traffic it counts
            if self._visits.permit != permit:
                await self._visits.close(self._home)
                self._visits.permit = permit
            if await guard.admit_beside(permit):
                return self._tab
            try:
                async with self._home.tabs.opening(permit):
                    self._tab = await self._ready_tab(self._home.tabs, permit)
            except BaseException:
                self._broken = True
                raise
            self._visits.forget()
            return self._tab

    async def close_tab(self, tab: Tab) -> None:
        """See Place. It is made ready for the next task, or closed with the session if that is over."""
        async with self._changing:
            if not self.is_alive:
                await self._home.close_tab(tab)
                return
            # Opening a page is more than half of what a task costs, so it stays if it lets go.
            tabs = self._home.tabs
            if await tabs.empty(tab):
                return
            if await tabs.close_page(tab):
                self._next = tabs.open_beside(tab)
                return
        await self._home.kill("close")

    def loss(self, *, suspect: bool) -> TaskError:
        """See Place. A task that found nothing of earlier ones in it may start again."""
        if self._served or self._over:
            return session_lost()
        return BrowserLost(suspect=suspect)

    def release(self, lease: Lease) -> None:
        """See Place."""
        self._home.release(lease)
        self._broken = self._broken or lease.is_dead  # its task has been told
        self._lease = None
        if self._lent_by is not None:
            self._lent_by = None
            self._permits.release()
        self._served += 1
        self._used = _now()
        self._on_release(self)

    # Its end.

    def finish(self) -> None:
        """Let no more tasks have it, and take it from the one that does; `close` does the rest."""
        self._over = True
        if self._lease is not None:
            self._lease.lose()

    async def close(self) -> None:
        """End it and all it stored; its browser is killed if it does not let go of it."""
        if self._browser is None:
            return
        try:
            async with self._changing:
                if self._next is not None:
                    # A page that opens while its context closes may stay behind.
                    await asyncio.wait({self._next}, timeout=self._browser.tabs.open_seconds)
                if self._tab is not None:
                    await self._visits.opened(self._browser.tabs.open_seconds)
                    await self._browser.close_tab(self._tab)
        finally:
            self._browser.end_session()


def session_lost() -> TaskError:
    """Return the error for a task whose session is no more."""
    return TaskError(
        "session_lost",
        "The session has ended, with all it held: it was deleted, or its browser died. The next "
        "task of that name begins a new one.",
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
