"""What the APIs need of sessions; browsers.sessions has them."""

from __future__ import annotations

from typing import Protocol

from captcha_bypass.egress.upstream import Upstream


class SessionBook(Protocol):
    """Browser contexts that outlive their tasks, by name."""

    def names(self) -> list[str]:
        """Return the names of those that are open, oldest first."""

    def create(self, name: str, upstream: Upstream | None) -> bool:
        """Begin one, whose traffic goes through a proxy if one is given. False: it was there.

        Raises:
            TooManySessions: there are as many as there may be.
        """

    async def destroy(self, name: str) -> bool:
        """End one with all it holds. False: there was none."""
