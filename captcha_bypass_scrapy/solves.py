"""The solves under way, by key, and what became of those before."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from captcha_bypass_scrapy.errors import CrawlEnding, SolveError
from captcha_bypass_scrapy.keys import origin_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy.http import Response

    from captcha_bypass.challenges import Challenge
    from captcha_bypass_scrapy.answers import Solution
    from captcha_bypass_scrapy.clearance import Clearance
    from captcha_bypass_scrapy.keys import SiteKey
    from captcha_bypass_scrapy.options import Options

#: Solves that failed in a row before a host gets a rest. One bad page must not cost the others.
FAILURES_BEFORE_REST = 2
#: Solves that failed in a row, each after a rest, before a host's challenged requests fail at once.
FAILURES_BEFORE_GIVING_UP = 6
#: Seconds between two requests that see whether other pages of a host being solved are open.
PROBE_SECONDS = 1.0
#: Seconds after a failure, and its rest, in which those who were challenged may lead the next solve
#: before another request is sent to see.
RETRY_SECONDS = 0.5
#: Challenges in a row among requests that were not held, before they are held again.
STRIKES = 3
#: Solves that are remembered for the requests that waited for them and come by later.
REMEMBERED = 1000


class Solve:
    """A solve under way; whoever meets the same challenge waits for it instead of solving.

    Args:
        options: How it is solved; its failure counts for no request with other options.
        old: The clearance that was refused, if there was one.
        urls: Where the challenged request came by.
        response: Its challenge page.

    Attributes:
        shared: Whether the options are the project's settings and not one request's own.
    """

    def __init__(
        self,
        number: int,
        key: SiteKey,
        challenge: Challenge,
        options: Options,
        *,
        old: Clearance | None,
        urls: list[str],
        response: Response | None,
    ) -> None:
        self.number = number
        self.key = key
        self.challenge = challenge
        self.options = options
        self.shared = options.shared
        self.old = old
        self.urls = urls
        self.response = response
        #: Requests that were challenged and wait for it; the first leads.
        self.waiters = 0
        #: Whether the one that leads wants what the browser brought, and that, until it is fetched.
        self.keeps = False
        self.solution: Solution | None = None
        #: None when solved, otherwise why not. A value and never an exception, so that a solve
        #: nobody waits for leaves no warning behind.
        self.outcome: asyncio.Future[SolveError | CrawlEnding | None] = (
            asyncio.get_running_loop().create_future()
        )

    def concerns(self, url: str) -> bool:
        """Whether a request to there was challenged where this is solved."""
        origin = origin_of(url)
        return origin == self.key.origin or any(origin == origin_of(u) for u in self.urls)

    def fits(self, options: Options) -> bool:
        """Whether it is solved the way these options ask for."""
        return self.options.same_solve(options)


@dataclass
class _Host:
    """How one key is doing.

    Attributes:
        holds: Whether requests that were not challenged yet wait too.
        freed: Resolved when they may look again.
        next_probe: When one of them may go to see whether it is open; never, if none ever was.
    """

    freed: asyncio.Future[None]
    next_probe: float
    solves: list[Solve] = field(default_factory=list)
    failures: int = 0
    rests_until: float = 0.0
    last: Solve | None = None
    reason: str = ""
    holds: bool = True
    strikes: int = 0

    def look_again(self) -> None:
        if not self.freed.done():
            self.freed.set_result(None)
        self.freed = asyncio.get_running_loop().create_future()


class Rest(NamedTuple):
    """A host is left alone for so many seconds after this failure."""

    solve: Solve
    seconds: float


class Held(NamedTuple):
    """What a request that was not challenged yet has to wait for."""

    host: _Host

    @property
    def freed(self) -> asyncio.Future[None]:
        """Resolved when it shall look again."""
        return self.host.freed

    @property
    def probe_in(self) -> float:
        """Seconds until one may try its luck."""
        return self.host.next_probe - time.monotonic()

    def probed(self) -> None:
        """Note that one does."""
        self.host.next_probe = time.monotonic() + PROBE_SECONDS


class Solves:
    """Who is being solved, who gets a rest, and who has to wait for that.

    Args:
        cooldown: Seconds of rest after failures in a row.
    """

    def __init__(self, cooldown: float) -> None:
        self._cooldown = cooldown
        self._hosts: dict[SiteKey, _Host] = {}
        self._known: dict[int, Solve] = {}
        #: Download slots that gave pages without a challenge.
        self._open: set[str] = set()
        #: Registered domains whose hosts need a clearance each.
        self._apart: set[str] = set()
        # Requests carry these numbers into a JOBDIR: a new run must not take an old number for
        # its own.
        self._numbers = itertools.count(time.time_ns())

    def busy(self) -> bool:
        """Whether any key is being solved or had trouble; nothing has to wait otherwise."""
        return bool(self._hosts)

    def find(self, number: int) -> Solve | None:
        """Return a solve of this run, under way or over."""
        return self._known.get(number)

    def join(self, key: SiteKey, options: Options, current: Clearance | None) -> Solve | None:
        """Return the solve a challenged request waits for.

        One that goes by another request's own conditions is only for requests with own ones.
        """
        fitting = (f for f in self._at(key, current) if f.shared or not options.shared)
        return next(fitting, None) or next(self._siblings(key), None)

    def start(
        self,
        key: SiteKey,
        challenge: Challenge,
        options: Options,
        *,
        old: Clearance | None,
        urls: list[str],
        response: Response | None,
        slot: str | None,
    ) -> Solve:
        """Note that the caller solves this key now; it must call `land`.

        Args:
            slot: The download slot; where it gave pages before, others are tried meanwhile.
        """
        number = next(self._numbers)
        solve = Solve(number, key, challenge, options, old=old, urls=urls, response=response)
        if key not in self._hosts:
            freed = asyncio.get_running_loop().create_future()
            self._hosts[key] = _Host(freed, time.monotonic())
        if slot not in self._open:
            self._hosts[key].next_probe = float("inf")
        self._hosts[key].solves.append(solve)
        self._known[number] = solve
        self._forget_old()
        return solve

    def finish(
        self, solve: Solve, outcome: SolveError | CrawlEnding | None, *, shares: bool = False
    ) -> None:
        """The solve is over: waiters go on, whatever came of it.

        A failure is held against the host if it was no request's own condition that failed.

        Args:
            shares: Whether the clearance is good for the whole domain.
        """
        if not shares:
            self._apart.add(solve.key.domain)
        host = self._hosts[solve.key]
        host.solves.remove(solve)
        if outcome is None:
            host.failures, host.rests_until, host.last = 0, 0.0, None
            solve.response = None
        elif isinstance(outcome, SolveError) and outcome.kind == "unsolved" and solve.shared:
            host.failures += 1
            host.last, host.reason = solve, str(outcome)
            if host.failures >= FAILURES_BEFORE_REST:
                host.rests_until = time.monotonic() + self._cooldown
            host.next_probe = max(host.rests_until, time.monotonic()) + RETRY_SECONDS
        if not host.solves and host.last is None:
            del self._hosts[solve.key]
        host.look_again()
        solve.outcome.set_result(outcome)

    def rest(self, key: SiteKey) -> Rest | None:
        """Return after what, and for how long, a key is not solved."""
        host = self._hosts.get(key)
        if host is None or host.last is None:
            return None
        left = host.rests_until - time.monotonic()
        return Rest(host.last, left) if left > 0 else None

    def given_up(self, key: SiteKey) -> str | None:
        """Return why requests of this key fail at once now, or None."""
        host = self._hosts.get(key)
        if host is None or host.failures < FAILURES_BEFORE_GIVING_UP or self.rest(key) is None:
            return None
        return host.reason

    def holds(self, key: SiteKey, options: Options, current: Clearance | None) -> Held | None:
        """Return what a request that was not challenged has to wait for, if anything."""
        for solve in self._at(key, current):
            if solve.shared or solve.fits(options):
                host = self._hosts[solve.key]
                return Held(host) if host.holds else None
        failed = self._hosts.get(key)
        if failed is None or not failed.holds or self.given_up(key) is not None:
            return None
        return Held(failed)

    def _forget_old(self) -> None:
        """Forget solves that are long over, unless their host still rests for them."""
        excess = max(0, len(self._known) - REMEMBERED)
        for solve in list(itertools.islice(self._known.values(), excess)):
            host = self._hosts.get(solve.key)
            if solve.outcome.done() and (host is None or host.last is not solve):
                del self._known[solve.number]

    def freed(self, key: SiteKey) -> asyncio.Future[None] | None:
        """Return what is resolved when a key's requests need not wait, if all of them do now."""
        host = self._hosts.get(key)
        return host.freed if host is not None and host.holds else None

    def opened(self, slot: str) -> None:
        """A page of the download slot came without a challenge."""
        self._open.add(slot)

    def passed(self, key: SiteKey, *, probing: bool) -> None:
        """One of a key that may be in trouble did: perhaps only some pages are challenged."""
        host = self._hosts.get(key)
        if host is not None:
            host.strikes = 0
            if probing and host.holds:
                host.holds = False
                host.look_again()

    def challenged(self, key: SiteKey) -> None:
        """A page was challenged; a few in a row that were not held, and they are held again."""
        host = self._hosts.get(key)
        if host is not None and not host.holds:
            host.strikes += 1
            if host.strikes >= STRIKES:
                host.holds, host.strikes = True, 0
                host.next_probe = time.monotonic() + PROBE_SECONDS

    def _at(self, key: SiteKey, current: Clearance | None) -> Iterator[Solve]:
        """Yield the solves that make this key's next clearance.

        Hosts that share a clearance (a cookie of their domain) are solved together.
        """
        host = self._hosts.get(key)
        if host is not None:
            yield from host.solves
        if current is None:
            return
        for other, shared in self._hosts.items():
            if other != key and other.proxy == key.proxy:
                yield from (solve for solve in shared.solves if solve.old is current)

    def _siblings(self, key: SiteKey) -> Iterator[Solve]:
        """Yield solves of the same domain, unless it is known that its hosts share nothing."""
        if not self._hosts or (domain := key.domain) in self._apart:
            return
        for other, host in self._hosts.items():
            if other.proxy == key.proxy and other.domain == domain:
                yield from (solve for solve in host.solves if solve.shared)
