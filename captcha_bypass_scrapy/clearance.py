"""Clearances by key, and the one solve at a time that makes each."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from captcha_bypass_scrapy.cookies import Cookie, format_header, parse_header, rotated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scrapy import Request

    from captcha_bypass_scrapy.errors import SolveError
    from captcha_bypass_scrapy.exits import Key

#: Solves that failed in a row before a host gets a rest. One bad page must not cost the others.
FAILURES_BEFORE_REST = 2


@dataclass(eq=False)
class Clearance:
    """What the browser was given for passing, good for one key.

    Attributes:
        generation: Unique, also over the runs of a job: requests say by it what they carried.
        successes: Pages it has opened so far.
    """

    generation: int
    vendor: str
    cookies: tuple[Cookie, ...]
    user_agent: str | None
    successes: int = 0
    born: float = field(default_factory=time.monotonic)

    def older_than(self, seconds: float) -> bool:
        """Whether it was given that long ago."""
        return time.monotonic() - self.born > seconds

    def renew(self, cookies: tuple[Cookie, ...], user_agent: str | None) -> None:
        """Take over what the browser had on a later page."""
        self.cookies, self.user_agent = cookies, user_agent

    def follow(self, set_cookies: Iterable[str]) -> None:
        """Take over the values the site has rotated its cookies to."""
        self.cookies = rotated(self.cookies, set_cookies)

    def dress(self, request: Request) -> Worn:
        """Put the cookies and the user-agent on a request that is about to leave."""
        worn = Worn(request.headers.get(b"Cookie"), request.headers.get(b"User-Agent"))
        ours = {c.name: c.value for c in self.cookies if c.goes_to(request.url)}
        if ours:
            theirs = parse_header((worn.cookie or b"").decode("latin-1"))
            request.headers[b"Cookie"] = format_header({**theirs, **ours}).encode("latin-1")
        if self.user_agent:
            request.headers[b"User-Agent"] = self.user_agent
        return worn


@dataclass(frozen=True, slots=True)
class Worn:
    """The headers a request had before it was dressed."""

    cookie: bytes | None
    user_agent: bytes | None

    def undress(self, request: Request) -> None:
        """Restore them: nothing of ours goes back to the scheduler, to spiders or to disk."""
        for name, value in ((b"Cookie", self.cookie), (b"User-Agent", self.user_agent)):
            if value is None:
                request.headers.pop(name, None)
            else:
                request.headers[name] = value


class Flight:
    """A solve under way; whoever meets the same challenge waits for it instead of solving.

    Args:
        vendor: Who challenged.
    """

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        #: Whether requests that were not challenged yet wait too.
        self.holds = True
        #: None when solved, otherwise why not. A value and never an exception, so that a flight
        #: nobody waits for leaves no warning behind.
        self.landed: asyncio.Future[SolveError | None] = asyncio.get_running_loop().create_future()

    def land(self, outcome: SolveError | None) -> None:
        """Tell everybody."""
        if not self.landed.done():
            self.landed.set_result(outcome)


@dataclass
class _Trouble:
    """Solves of one key that failed in a row."""

    count: int
    until: float
    reason: str


class Clearances:
    """The clearance and the flight of each key, and which keys get a rest.

    Args:
        cooldown: Seconds of rest after failures in a row.
    """

    def __init__(self, cooldown: float) -> None:
        self._cooldown = cooldown
        self._current: dict[Key, Clearance] = {}
        self._flights: dict[Key, Flight] = {}
        self._trouble: dict[Key, _Trouble] = {}
        # Requests that were redirected carry generations into a JOBDIR: a new run must not
        # take an old number for its own.
        self._generations = itertools.count(time.time_ns())

    def current(self, key: Key) -> Clearance | None:
        """Return the newest clearance."""
        return self._current.get(key)

    def flight(self, key: Key) -> Flight | None:
        """Return the solve under way."""
        return self._flights.get(key)

    def start(self, key: Key, vendor: str) -> Flight:
        """Note that the caller solves this key now; it must call `solved`, `failed` or `ended`."""
        flight = self._flights[key] = Flight(vendor)
        return flight

    def solved(
        self,
        key: Key,
        others: Iterable[Key],
        vendor: str,
        cookies: tuple[Cookie, ...],
        user_agent: str | None,
    ) -> Clearance:
        """Store a new clearance for a key, and for others it may be good for."""
        clearance = Clearance(next(self._generations), vendor, cookies, user_agent)
        self._current[key] = clearance
        for other in others:
            self._current.setdefault(other, clearance)
        self._trouble.pop(key, None)
        return clearance

    def failed(self, key: Key, reason: str) -> None:
        """Count a failed solve."""
        trouble = self._trouble.setdefault(key, _Trouble(0, 0.0, reason))
        trouble.count += 1
        trouble.reason = reason
        if trouble.count >= FAILURES_BEFORE_REST:
            trouble.until = time.monotonic() + self._cooldown

    def ended(self, key: Key, outcome: SolveError | None) -> None:
        """The solve is over: waiters go on, whatever came of it."""
        flight = self._flights.pop(key, None)
        if flight is not None:
            flight.land(outcome)

    def resting(self, key: Key) -> str | None:
        """Return why this key is not to be tried now, or None."""
        trouble = self._trouble.get(key)
        if trouble is None or trouble.until <= time.monotonic():
            return None
        return trouble.reason
