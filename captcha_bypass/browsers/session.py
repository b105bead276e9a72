"""One named context that outlives its tasks: cookies, storage and logins stay, what was shown does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from captcha_bypass.browsers.browser import Browser
from captcha_bypass.browsers.lease import Lease
from captcha_bypass.browsers.permits import Permits
from captcha_bypass.browsers.retirement import Cause
from captcha_bypass.browsers.session_pages import SessionPages
from captcha_bypass.browsers.tab import Tab
from captcha_bypass.browsers.visits import Visit
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
        self._pages: SessionPages | None = None
        self._born = self._used = _now()
        self._lease: Lease | None = None
        #: Who may use the context now: its task, and requests that may reach the same.
        self._permits = Permits()
        #: The permit of its task, while that has the context.
        self._lent_by: Permit | None = None
        #: Tasks that it has had.
        self._served = 0
        #: Seconds of its life that its last task would have granted it.
        self._max_age: float | None = None
        #: It was ended, by its user or by time.
        self._over = False
        #: Its task's page has died.
        self._crashed = False

    def __repr__(self) -> str:
        """Tell how it stands; not its name, which may be a secret."""
        state = "lent" if self.is_lent else "free" if self.is_alive else "ended"
        return f"<Session {state}: {self._served} tasks, in {self._browser}>"

    @property
    def is_alive(self) -> bool:
        """Whether it still has what its tasks left in it."""
        kept = self._pages is None or self._pages.is_alive
        return kept and not (self._over or self._crashed)

    @property
    def is_settled(self) -> bool:
        """Whether requests can be sent in it: it is alive, and a task has opened its context."""
        is_open = self._pages is not None and self._pages.is_open
        return is_open and self.is_alive and self._served > 0

    @property
    def is_retiring(self) -> bool:
        """Whether its browser waits for its end."""
        return self._browser is not None and not self._browser.is_active

    @property
    def last_used(self) -> float:
        """When it was last used, on the event loop's clock."""
        return self._used

    @property
    def idle(self) -> float:
        """Seconds since it was last used; 0 while a task has it."""
        return 0.0 if self.is_lent else round(_now() - self._used, 1)

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
            self._pages = SessionPages(self._browser)
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
    def _context(self) -> SessionPages:
        assert self._pages is not None  # noqa: S101 - likewise
        return self._pages

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
        try:
            return await self._context.open(permit, own)
        except BrowserLost as error:
            raise self.loss(suspect=error.suspect) from error

    def _own(self, permit: Permit) -> Permit:
        """Let its own proxy beat the operator's default."""
        asked = permit.upstream
        if self._upstream is None or not (asked is None or asked.trusted):
            return permit
        return Permit(permit.named, self._upstream)

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
            is_lent = self._lent_by is not None
            visit = None
            if self._pages is not None and self.is_settled:
                visit = await self._pages.visit(own, origin, is_lent=is_lent)
            if visit is None:
                raise session_lost()
            self._home.count_request()
            with visit.counting():
                yield visit

    async def close_tab(self, tab: Tab) -> None:
        """See Place. It is made ready for the next task, or closed with the session if that is over."""
        await self._context.close_tab(tab, is_over=not self.is_alive)

    def loss(self, *, suspect: bool) -> TaskError:
        """See Place. A task that found nothing of earlier ones in it may start again."""
        if self._served or self._over:
            return session_lost()
        return BrowserLost(suspect=suspect)

    def release(self, lease: Lease) -> None:
        """See Place."""
        self._home.release(lease)
        self._crashed = self._crashed or lease.is_dead  # its task has been told
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
        if self._pages is None:
            return
        try:
            await self._pages.close(patient=self._lease is None)
        finally:
            self._home.end_session()


def session_lost() -> TaskError:
    """Return the error for a task whose session is no more."""
    return TaskError(
        "session_lost",
        "The session has ended, with all it held: it was deleted, or its browser died. The next "
        "task of that name begins a new one.",
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
