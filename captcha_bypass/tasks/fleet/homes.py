"""Where what tasks need is: a session lives in the browser of one node, and has its home there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from captcha_bypass.concurrency import Background
from captcha_bypass.tasks.base import Claim
from captcha_bypass.tasks.fleet.news import News, happens
from captcha_bypass.tasks.fleet.store import Store

#: Seconds that a node gets to end what another one asks it to end.
END_SECONDS = 5.0


async def _nothing(home: str) -> None:
    return


class FleetHomes:
    """See tasks.base.Homes.

    Args:
        node: Whose view this is.
    """

    def __init__(self, store: Store, node: str) -> None:
        self._store = store
        self.node = node
        self._news = News()
        self._background = Background()
        #: The address of this machine as Redis sees it; None: it is not known.
        self.seen_at: str | None = None
        #: By which other nodes reach this one; empty: by none.
        self.url = ""
        #: See tasks.base.Homes; set by `know_each_other`.
        self.secrets: tuple[str, ...] = ()
        #: What of that is kept in Redis, and given it again if it forgets; empty: nothing.
        self.kept_secret = ""
        #: Ends a home of this node's that somebody else asks to end.
        self.on_end: Callable[[str], Awaitable[None]] = _nothing

    async def close(self) -> None:
        """End what is under way."""
        await self._background.close()

    async def know_each_other(self, secrets: tuple[str, ...]) -> None:
        """Agree with the other nodes on what they know each other by; none: on what is kept in Redis."""
        self.kept_secret = "" if secrets else await self._store.secret()
        self.secrets = secrets or (self.kept_secret,)

    async def claim(self, home: str) -> Claim:
        """Find the node that has a home; this one, or one that has slots, gets it if none has."""
        return await self._store.claim(home, self.node)

    async def homes(self, start: str) -> list[str]:
        """Return the names of the homes of all nodes that begin so."""
        return await self._store.homes(start)

    async def leave_home(self, home: str, node: str = "") -> None:
        """Say that a node, or this one, has a home no more."""
        await self._store.leave_home(home, node or self.node)

    async def end_home(self, home: str) -> bool:
        """Have the node that has a home end it; return whether there was one, or its node had died."""
        with self._news.of(home) as news:
            was_held = await self._store.holder(home) is not None
            was_lost = await self._store.end_home(home)
            if was_held:
                await happens(news, END_SECONDS)
        return was_held or was_lost

    def hear(self, kind: str, home: str) -> None:
        """Take note of what a node says of a home: `end` or `left`."""
        if kind == "left":
            self._news.tell(home)
        elif kind == "end":
            self._background.run(self._end(home))

    async def _end(self, home: str) -> None:
        if await self._store.holder(home) == self.node:
            await self.on_end(home)
            await self.leave_home(home)
