"""The sessions of a service: which there are, whose they are, and when they end."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Self

from captcha_bypass.browsers.browser import Browser
from captcha_bypass.browsers.lease import Lease
from captcha_bypass.browsers.rounds import every
from captcha_bypass.browsers.session import Session, session_lost
from captcha_bypass.browsers.visits import Visit
from captcha_bypass.concurrency import Background, uninterrupted
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.errors import TaskError, TooManySessions
from captcha_bypass.status import SessionNow
from captcha_bypass.wire.task import SessionKey

#: Seconds between two looks for sessions that have ended by themselves.
LOOK_EVERY = 1.0
#: Names of sessions that ended by themselves whose users have not been told yet.
MAX_LOST = 1000


class Sessions:
    """The sessions of a service, by owner and name; they may be begun and ended before it has browsers.

    Used as `async with sessions`, while there are browsers: those that nobody uses end by themselves.

    Args:
        most: How many there may be.
        ttl: Seconds without a task after which one ends.
    """

    def __init__(self, *, most: int, ttl: float) -> None:
        self._most = most
        self._ttl = ttl
        self._sessions: dict[SessionKey, Session] = {}
        #: Ended by themselves, oldest first; whoever asks for one is told so once.
        self._lost: OrderedDict[SessionKey, None] = OrderedDict()
        #: How many keep each from being ended for want of use, or of room.
        self._kept: Counter[SessionKey] = Counter()
        self._background = Background()

    async def __aenter__(self) -> Self:
        self._background.run(every(LOOK_EVERY, self._look))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._background.close()

    def names(self, owner: str) -> list[str]:
        """Return the names of an owner's that are alive, oldest first."""
        self._expire()
        return [key.name for key in self._sessions if key.owner == owner and not key.of_site]

    def now(self, owner: str) -> tuple[SessionNow, ...]:
        """Return how an owner's that are alive stand, oldest first."""
        return tuple(
            SessionNow(name, self.idle(SessionKey(owner, name))) for name in self.names(owner)
        )

    def idle(self, key: SessionKey) -> float:
        """Return for how many seconds a session was not used; 0: it is, or there is none."""
        session = self._sessions.get(key)
        return 0.0 if session is None or key in self._kept else session.idle

    @property
    def sites(self) -> int:
        """How many there are that the service has begun for sites."""
        return sum(key.of_site for key in self._sessions)

    @contextmanager
    def keep(self, key: SessionKey) -> Iterator[None]:
        """Let a session not end for want of use, or of room, within the block."""
        self._expire()
        self._kept[key] += 1
        try:
            yield
        finally:
            self._kept[key] -= 1
            if not self._kept[key]:
                del self._kept[key]
            if key in self._sessions:
                self._sessions[key].touch()

    def is_settled(self, key: SessionKey) -> bool:
        """Whether requests can be sent in a session: it is alive, and has had a task."""
        session = self._sessions.get(key)
        return session is not None and session.is_settled

    def is_retiring(self, key: SessionKey) -> bool:
        """Whether a session's browser waits for its end, so that another session should be begun."""
        session = self._sessions.get(key)
        return session is not None and session.is_retiring

    @asynccontextmanager
    async def visit(self, key: SessionKey, permit: Permit, origin: str) -> AsyncIterator[Visit]:
        """Let a request be sent in a session; see Session.visit.

        Raises:
            TaskError: `session_lost`: there is none; or see Session.visit.
        """
        session = self._sessions.get(key)
        if session is None:
            raise session_lost()
        async with session.visit(permit, origin) as visit:
            yield visit

    def create(self, key: SessionKey, upstream: Upstream | None) -> bool:
        """Begin a session; False: there is one of that key, which stays as it is.

        Args:
            upstream: Its proxy, for tasks that name none.

        Raises:
            TooManySessions: there are as many as there may be.
        """
        self._expire()
        self._lost.pop(key, None)
        if key in self._sessions:
            return False
        if len(self._sessions) >= self._most:
            self._make_room()
        if len(self._sessions) >= self._most:
            raise TooManySessions(
                f"{self._most} sessions are open; delete one, or raise --max-sessions."
            )
        self._sessions[key] = Session(upstream, self._on_release)
        return True

    async def destroy(self, key: SessionKey) -> bool:
        """End a session, and the task that has it; False: there was none of that name."""
        session = self._sessions.pop(key, None)
        if session is None:
            known = key in self._lost
            self._lost.pop(key, None)
            return known
        session.finish()
        await uninterrupted(session.close())
        return True

    def lend(
        self,
        key: SessionKey,
        upstream: Upstream | None,
        max_age: float | None,
        find_home: Callable[[], Browser],
    ) -> Lease:
        """Give a task its session, which begins with it if there is none of that name.

        Args:
            upstream: The task's proxy.
            max_age: Seconds; an older one ends, and a new one begins.
            find_home: Returns a browser to live in, if it has none yet.

        Raises:
            TaskError: `session_lost`: it ended by itself; `too_many_sessions`.
        """
        self._expire()
        if key in self._lost:
            del self._lost[key]
            raise session_lost()
        session = self._sessions.get(key)
        if session is not None and session.is_older(max_age):
            self._end(key)
        try:
            self.create(key, upstream)
        except TooManySessions as error:
            raise TaskError("too_many_sessions", str(error)) from None
        return self._sessions[key].lend(max_age, find_home)

    async def _look(self) -> None:
        self._expire()

    def _expire(self) -> None:
        """End the sessions that nobody uses any more, and those whose browser has died."""
        for key, session in list(self._sessions.items()):
            if session.is_lent:
                continue
            if not session.is_alive:
                if not key.of_site:  # whose user does not know of it
                    self._lost[key] = None
            elif key in self._kept or (
                not session.is_expired(self._ttl) and not (key.of_site and session.is_retiring)
            ):
                continue
            self._end(key)
        while len(self._lost) > MAX_LOST:
            self._lost.popitem(last=False)

    def _make_room(self) -> None:
        """End the session of a site that was used least recently, if one is not used now."""
        free = [
            key
            for key, session in self._sessions.items()
            if key.of_site and key not in self._kept and not session.is_lent
        ]
        if free:
            self._end(min(free, key=lambda key: self._sessions[key].last_used))

    def _on_release(self, session: Session) -> None:
        """Forget one that has ended while its task had it, and so has been told."""
        for key, kept in list(self._sessions.items()):
            if kept is session and not session.is_alive:
                self._end(key)

    def _end(self, key: SessionKey) -> None:
        session = self._sessions.pop(key)
        session.finish()
        self._background.run(session.close())
