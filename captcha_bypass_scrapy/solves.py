"""The solves of a crawl: requests that are challenged alike share one (single flight)."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, NamedTuple

from captcha_bypass_scrapy.errors import CrawlEnding, SolveError
from captcha_bypass_scrapy.site_state import PROBE_SECONDS, SiteState
from captcha_bypass_scrapy.solve import Solve

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from captcha_bypass_scrapy.challenged import Challenged
    from captcha_bypass_scrapy.clearance import Clearance
    from captcha_bypass_scrapy.keys import SiteKey
    from captcha_bypass_scrapy.options import Options

#: Solves that are remembered for the requests that waited for them and come by later.
REMEMBERED = 1000


class Rest(NamedTuple):
    """A site is left alone for so many seconds after this failure."""

    solve: Solve
    seconds: float


class Solves:
    """The solves under way, and how the sites are doing that are solved or had trouble.

    Args:
        cooldown: Seconds of rest after failures in a row.
    """

    def __init__(self, cooldown: float) -> None:
        self._cooldown = cooldown
        self._sites: dict[SiteKey, SiteState] = {}
        self._known: dict[int, Solve] = {}
        #: Download slots that gave pages without a challenge.
        self._open: set[str] = set()
        #: Registered domains whose hosts need a clearance each.
        self._apart: set[str] = set()
        # Requests carry these numbers into a JOBDIR: a new run must not take an old number for
        # its own.
        self._numbers = itertools.count(time.time_ns())

    def busy(self) -> bool:
        """Whether any site is being solved or had trouble; nothing has to wait otherwise."""
        return bool(self._sites)

    def find(self, number: int) -> Solve | None:
        """Return a solve of this run, under way or over."""
        return self._known.get(number)

    # Challenged requests

    def join(self, key: SiteKey, options: Options, current: Clearance | None) -> Solve | None:
        """Return the solve a challenged request waits for.

        One that goes by another request's own conditions is only for requests with own ones.
        """
        fitting = (s for s in self._at(key, current) if s.shared or not options.shared)
        return next(fitting, None) or next(self._siblings(key), None)

    def start(self, challenged: Challenged, *, old: Clearance | None) -> Solve:
        """Note that a solve begins; whoever runs it must call `finish`."""
        solve = Solve(next(self._numbers), challenged, old)
        slot = challenged.request.meta.get("download_slot")
        self._site(solve.key).solve_started(solve.number, may_be_open=slot in self._open)
        self._known[solve.number] = solve
        self._forget_old()
        return solve

    def finish(
        self,
        solve: Solve,
        outcome: SolveError | CrawlEnding | None,
        *,
        shares: bool = False,
        unproven: bool = False,
    ) -> None:
        """Note that a solve is over; those that wait for it go on, whatever came of it.

        A failure is held against the site if it was no request's own condition that failed.

        Args:
            shares: Whether the clearance is good for the whole domain.
            unproven: Whether one request has to show first that the site takes it.
        """
        if not shares:
            self._apart.add(solve.key.domain)
        site = self._sites[solve.key]
        if outcome is None:
            site.solve_worked()
            solve.clear_response()
            if unproven:
                site.prove()
        elif isinstance(outcome, SolveError) and outcome.kind == "unsolved" and solve.shared:
            site.solve_failed(solve.number, outcome)
        site.solve_ended(solve.number)
        self._forget_well(solve.key, site)
        solve.outcome.set_result(outcome)

    def rest(self, key: SiteKey) -> Rest | None:
        """Return after which failure, and for how long, a site is left alone; None if it is not."""
        site = self._sites.get(key)
        if site is None or site.last_failed is None or (left := site.rest_seconds) <= 0:
            return None
        return Rest(self._known[site.last_failed], left)

    def given_up(self, key: SiteKey) -> SolveError | None:
        """Return what challenged requests of this site fail with at once now, or None."""
        site = self._sites.get(key)
        return None if site is None else site.given_up

    def challenge_came(self, key: SiteKey) -> None:
        """A page of the site was challenged."""
        if (site := self._sites.get(key)) is not None:
            site.challenge_came()

    # Ways that have to be proven

    def prove(self, key: SiteKey, seconds: float = PROBE_SECONDS, *, after: float = 0.0) -> None:
        """Have one request of a site at a time go, until one of them gets its page.

        Args:
            seconds: How long it may take, before another one goes as well.
            after: Seconds before the first goes.
        """
        self._site(key).prove(seconds, after=after)

    def is_unproven(self, key: SiteKey) -> bool:
        """Whether no request of a site has got its page yet in the way that they go now."""
        site = self._sites.get(key)
        return site is not None and site.unproven

    def way_failed(self, key: SiteKey, error: SolveError) -> None:
        """A request did not get through by the site's way: count that as a solve that failed."""
        self._site(key).way_failed(error)

    def probe_ended(self, key: SiteKey) -> None:
        """A request that went to prove the way says nothing about it: the next one may go."""
        if (site := self._sites.get(key)) is not None:
            site.probe_ended()

    def release(self, key: SiteKey) -> None:
        """Let all requests of a site go that wait for its way to be proven."""
        if (site := self._sites.get(key)) is not None and site.unproven:
            site.release()
            self._forget_well(key, site)

    def _site(self, key: SiteKey) -> SiteState:
        if key not in self._sites:
            self._sites[key] = SiteState(self._cooldown)
        return self._sites[key]

    def _forget_well(self, key: SiteKey, site: SiteState) -> None:
        if site.is_well:
            del self._sites[key]

    # Requests that were not challenged yet

    def holds(self, key: SiteKey, options: Options, current: Clearance | None) -> SiteState | None:
        """Return the site that such a request has to wait for, if any."""
        for solve in self._at(key, current):
            if solve.shared or solve.fits(options):
                site = self._sites[solve.key]
                return site if site.holds else None
        failed = self._sites.get(key)
        if failed is None or not failed.holds or failed.given_up is not None:
            return None
        return failed

    def freed(self, key: SiteKey) -> asyncio.Future[None] | None:
        """Return what is resolved when a site's requests may go on, if all of them wait now."""
        site = self._sites.get(key)
        return site.freed if site is not None and site.holds else None

    def opened(self, slot: str) -> None:
        """A page of the download slot came without a challenge."""
        self._open.add(slot)

    def page_came(self, key: SiteKey, *, probing: bool) -> None:
        """A page of the site came without a challenge.

        Args:
            probing: Whether its request was sent to see that.
        """
        if (site := self._sites.get(key)) is not None:
            site.page_came(probing=probing)
            self._forget_well(key, site)

    def _at(self, key: SiteKey, current: Clearance | None) -> Iterator[Solve]:
        """Yield the solves that make this site's next clearance.

        Hosts that share a clearance (a cookie of their domain) are solved together.
        """
        site = self._sites.get(key)
        if site is not None:
            yield from self._running(site)
        if current is None:
            return
        for other, shared in self._sites.items():
            if other != key and other.proxy == key.proxy:
                yield from (solve for solve in self._running(shared) if solve.old is current)

    def _siblings(self, key: SiteKey) -> Iterator[Solve]:
        """Yield solves of the same domain, unless it is known that its hosts share nothing."""
        if not self._sites or (domain := key.domain) in self._apart:
            return
        for other, site in self._sites.items():
            if other.proxy == key.proxy and other.domain == domain:
                yield from (solve for solve in self._running(site) if solve.shared)

    def _running(self, site: SiteState) -> Iterator[Solve]:
        return (self._known[number] for number in site.running)

    def _forget_old(self) -> None:
        """Forget solves that are long over, unless their site still rests for them."""
        excess = max(0, len(self._known) - REMEMBERED)
        for solve in list(itertools.islice(self._known.values(), excess)):
            site = self._sites.get(solve.key)
            if solve.outcome.done() and (site is None or site.last_failed != solve.number):
                del self._known[solve.number]
