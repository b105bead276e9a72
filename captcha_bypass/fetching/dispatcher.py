"""What the requests of all sites share: the solves under way, and whose turn it is to be sent."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

from captcha_bypass.egress.routes import Permit
from captcha_bypass.fetching.flights import Flight, Flights, Outcome
from captcha_bypass.fetching.sender import Sent, Wanted
from captcha_bypass.fetching.site import Site
from captcha_bypass.fetching.turns import Turns
from captcha_bypass.wire.fetch import FetchRequest
from captcha_bypass.wire.task import SessionKey

#: What a solve leaves of a request's time, so that there is time to say how it ended: seconds at most,
#: and a part of what is left.
TELL_SECONDS, TELL_PART = 2.0, 0.1


class Keeper(Protocol):
    """Browser contexts that outlive their tasks; browsers.sessions has them."""

    @property
    def sites(self) -> int:
        """See Sessions."""

    def keep(self, key: SessionKey) -> AbstractContextManager[None]:
        """See Sessions."""

    def is_settled(self, key: SessionKey) -> bool:
        """See Sessions."""

    def is_retiring(self, key: SessionKey) -> bool:
        """See Sessions."""

    def idle(self, key: SessionKey) -> float:
        """See Sessions."""


class Sending(Protocol):
    """Sends a request once, in a session; see Sender."""

    async def send(self, key: SessionKey, permit: Permit, wanted: Wanted, deadline: float) -> Sent:
        """See Sender."""


class Dispatcher:
    """Sends requests when it is their turn, and begins the solves that they need.

    Args:
        sessions: Where they are sent.
        sender: Sends them there.
        at_once: Requests to one host at once.
    """

    def __init__(self, sessions: Keeper, sender: Sending, flights: Flights, at_once: int) -> None:
        self._sessions = sessions
        self._sender = sender
        self._flights = flights
        self._turns = Turns(at_once)

    def is_settled(self, site: Site) -> bool:
        """Whether the session of a site is there, and has had a task."""
        return self._sessions.is_settled(site.key)

    def needs_solve(self, site: Site) -> bool:
        """Whether a request would be sent in vain."""
        unsolved = site.key.of_site and site.solved_at is None
        return site.is_refused or unsolved or not self.is_settled(site)

    def flight_to(self, site: Site, request: FetchRequest, deadline: float) -> Flight:
        """Return the solve of a site that is under way, or begin one."""
        if site.flight is None or site.flight.is_over:
            left = max(0.1, deadline - asyncio.get_running_loop().time())
            timeout = left - min(TELL_SECONDS, TELL_PART * left)
            task = request.to_task(
                site.key.owner,
                site.key.name,
                of_site=site.key.of_site,
                timeout=timeout,
                begins=not self.is_settled(site),
            )
            site.flight = self._flights.start(task, deadline, partial(self._judged, site))
        return site.flight

    def _judged(self, site: Site, outcome: Outcome) -> Outcome:
        """Say how the end of a site's solve counts."""
        if outcome.is_of_page and self.is_settled(site) and not site.is_refused:
            # No challenge has been seen yet: what the site answers to the request itself decides.
            outcome = Outcome()
        if outcome.failure is None:
            site.solved()
        return outcome

    async def send(
        self, site: Site, wanted: Wanted, deadline: float, *, first: bool
    ) -> tuple[Sent, float] | None:
        """Send a request when its turn has come, unless the site must be solved by then.

        Returns:
            The answer, and when it was asked for; None: it was not.
        """
        async with self._turns.turn(site.permit.named.host, first=first):
            if self.needs_solve(site) or site.is_being_solved:
                return None
            now = asyncio.get_running_loop().time()
            return await self._sender.send(site.key, site.permit, wanted, deadline), now
