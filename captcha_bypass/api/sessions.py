"""What the APIs need of sessions; nodes.sessions finds them."""

from __future__ import annotations

from typing import Protocol

from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.wire.task import SessionKey


class Sessions(Protocol):
    """Browser contexts that outlive their tasks, by owner and name."""

    async def names(self, owner: str) -> list[str]:
        """Return the names of an owner's that are open, oldest first."""

    async def create(self, key: SessionKey, upstream: Upstream | None) -> bool:
        """Begin one, whose traffic goes through a proxy if one is given. False: it was there.

        Raises:
            TooManySessions: there are as many as there may be.
        """

    async def destroy(self, key: SessionKey) -> bool:
        """End one with all it holds. False: there was none."""
