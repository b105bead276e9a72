"""The sessions of this service, and of all that share its queue."""

from __future__ import annotations

from typing import Protocol

from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.tasks.base import Homes
from captcha_bypass.wire.task import SessionKey


class Local(Protocol):
    """The sessions of this service; browsers.sessions has them."""

    def names(self, owner: str) -> list[str]:
        """See api.sessions.Sessions."""

    def create(self, key: SessionKey, upstream: Upstream | None) -> bool:
        """See api.sessions.Sessions."""

    async def destroy(self, key: SessionKey) -> bool:
        """See api.sessions.Sessions."""


class NodeSessions:
    """See api.sessions.Sessions.

    Args:
        homes: Where those of other services are; None: there are no others.
    """

    def __init__(self, here: Local, homes: Homes | None = None) -> None:
        self._here = here
        self._homes = homes

    async def names(self, owner: str) -> list[str]:
        """See api.sessions.Sessions; those of other services come last."""
        names = self._here.names(owner)
        if self._homes is not None:
            start = SessionKey(owner, "").home
            found = sorted(home.removeprefix(start) for home in await self._homes.homes(start))
            # A home is kept a while longer than what was there.
            names += [name for name in found if name not in names]
        return names

    async def create(self, key: SessionKey, upstream: Upstream | None) -> bool:
        """See api.sessions.Sessions; one that is new is here, or where browsers are."""
        if self._homes is not None:
            claim = await self._homes.claim(key.home)
            if claim.is_lost:  # whoever creates it need not be told
                claim = await self._homes.claim(key.home)
            if claim.node != self._homes.node:
                return False
        return self._here.create(key, upstream)

    async def destroy(self, key: SessionKey) -> bool:
        """See api.sessions.Sessions."""
        if await self._here.destroy(key):
            if self._homes is not None:
                await self._homes.leave_home(key.home)
            return True
        return self._homes is not None and await self._homes.end_home(key.home)
