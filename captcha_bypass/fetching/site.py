"""A site as one owner's requests through one proxy see it."""

from __future__ import annotations

import asyncio

from captcha_bypass.egress.routes import Permit
from captcha_bypass.fetching.flights import Flight
from captcha_bypass.wire.task import SessionKey


class Site:
    """Whether a site has been solved, in which session, and who solves it now.

    Args:
        key: Of the session that serves it.
        permit: What its requests may reach.
    """

    def __init__(self, key: SessionKey, permit: Permit) -> None:
        self.key = key
        self.permit = permit
        #: Requests that are not answered yet.
        self.requests = 0
        self.flight: Flight | None = None
        #: When it was last solved, on the event loop's clock.
        self.solved_at: float | None = None
        #: It has answered with a challenge since.
        self.is_refused = False

    def solved(self) -> None:
        """Note that it has been solved just now."""
        self.flight = None
        self.solved_at = asyncio.get_running_loop().time()
        self.is_refused = False

    @property
    def is_being_solved(self) -> bool:
        """Whether a solve is under way."""
        return self.flight is not None and not self.flight.is_over
