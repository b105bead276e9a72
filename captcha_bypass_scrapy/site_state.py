"""How one site is doing through one proxy: its failures, its rests, and who has to wait."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from captcha_bypass_scrapy.errors import NO_EVIDENCE, SolveError

#: Solves that failed in a row before a site gets a rest. One bad page must not cost the others.
FAILURES_BEFORE_REST = 2
#: Solves that failed in a row, each after a rest, before a site's challenged requests fail at once.
FAILURES_BEFORE_GIVING_UP = 6
#: Seconds between two requests that see whether other pages of a site being solved are open.
PROBE_SECONDS = 1.0
#: Seconds that the browser has for a site's first request, before another is sent as well. It may have
#: been lost on its way.
OPENING_SECONDS = 15.0
#: Seconds after a failure, and its rest, in which those who were challenged may lead the next solve
#: before another request is sent to see.
RETRY_SECONDS = 0.5
#: Challenges in a row among requests that were not held, before they are held again.
STRIKES = 3


class SiteState:
    """A site that is being solved, or whose last solve failed. To be made in a running loop.

    Args:
        cooldown: Seconds of rest after failures in a row.

    Attributes:
        running: Numbers of the solves under way.
        last_failed: Number of the solve that failed last, unless one has worked since.
        holds: Whether requests that were not challenged yet wait too.
        unproven: Whether the way in which its requests go now has not opened a page yet.
        freed: Resolved when those may look again; a new one each time.
    """

    def __init__(self, cooldown: float) -> None:
        self._cooldown = cooldown
        self.running: list[int] = []
        self.last_failed: int | None = None
        self.holds = True
        self.unproven = False
        self.freed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._next_probe = time.monotonic()
        self._failures = 0
        #: What was said of the last one, without its picture: those kept are counted elsewhere.
        self._reason, self._evidence = "", NO_EVIDENCE
        self._rests_until = 0.0
        self._strikes = 0
        self._probe_seconds = PROBE_SECONDS

    @property
    def is_well(self) -> bool:
        """Whether it is not being solved, its last solve worked, and so does its way."""
        return not self.running and self.last_failed is None and not self.unproven

    # Solves

    def solve_started(self, number: int, *, may_be_open: bool) -> None:
        """A solve is under way.

        Args:
            may_be_open: Whether the site gave pages before, so that others are tried meanwhile.
        """
        self.running.append(number)
        if not may_be_open:
            self._next_probe = float("inf")

    def solve_worked(self) -> None:
        """A solve worked: earlier failures do not count any more."""
        self._failures, self._rests_until, self.last_failed = 0, 0.0, None
        if self.unproven:
            self._next_probe = time.monotonic()

    def solve_failed(self, number: int, error: SolveError) -> None:
        """Count a failure against the site; after a few in a row it gets a rest."""
        self.last_failed = number
        self._count_failure(error)

    def _count_failure(self, error: SolveError) -> None:
        self._failures += 1
        self._reason, self._evidence = str(error), replace(error.evidence, screenshot=None)
        now = time.monotonic()
        if self._failures >= FAILURES_BEFORE_REST:
            self._rests_until = now + self._cooldown
        self._next_probe = max(self._rests_until, now) + RETRY_SECONDS

    def solve_ended(self, number: int) -> None:
        """A solve is over: have the requests that wait look again."""
        self.running.remove(number)
        self._free()

    @property
    def rest_seconds(self) -> float:
        """Seconds for which it is not solved; 0 where it may be."""
        return max(0.0, self._rests_until - time.monotonic())

    @property
    def given_up(self) -> SolveError | None:
        """What its challenged requests fail with at once now, or None."""
        if self._failures < FAILURES_BEFORE_GIVING_UP or self.rest_seconds <= 0:
            return None
        reason = f"not tried again so soon after: {self._reason}"
        return SolveError(reason, "cooldown", self._evidence)

    # A way that has to be proven

    def prove(self, seconds: float = PROBE_SECONDS, *, after: float = 0.0) -> None:
        """Have one request at a time go, until one of them gets its page.

        Args:
            seconds: How long it may take, before another one goes as well.
            after: Seconds before the first goes.
        """
        self.unproven = self.holds = True
        self._probe_seconds = seconds
        self._next_probe = max(self._rests_until, time.monotonic() + after)
        self._free()

    def way_failed(self, error: SolveError) -> None:
        """The request that went did not get through: count that against the site."""
        self.unproven = self.holds = True
        self._count_failure(error)
        self._free()

    def probe_ended(self) -> None:
        """The request that went says nothing about the way: the next one may go."""
        if self.unproven:
            self._next_probe = max(self._rests_until, time.monotonic())
            self._free()

    def release(self) -> None:
        """Let all requests go, whatever comes of it."""
        self.unproven = self.holds = False
        self._free()

    # Requests that were not challenged yet

    @property
    def probe_in(self) -> float:
        """Seconds until one may go to see whether it is open; infinity where none ever may."""
        return self._next_probe - time.monotonic()

    def mark_probed(self) -> None:
        """Note that one goes now."""
        self._next_probe = time.monotonic() + self._probe_seconds

    def page_came(self, *, probing: bool) -> None:
        """A page came without a challenge.

        If it was a probe, only some pages are challenged or the way works, and nobody is held any
        more.
        """
        self._strikes = 0
        if not probing:
            return
        if self.unproven:
            self.unproven = False
            self._failures, self._rests_until = 0, 0.0
            self._probe_seconds = PROBE_SECONDS
        if self.holds:
            self.holds = False
            self._free()

    def challenge_came(self) -> None:
        """A page was challenged; after a few in a row, requests are held again."""
        if self.holds:
            return
        self._strikes += 1
        if self._strikes >= STRIKES:
            self.holds, self._strikes = True, 0
            self.mark_probed()

    def _free(self) -> None:
        if not self.freed.done():
            self.freed.set_result(None)
        self.freed = asyncio.get_running_loop().create_future()
