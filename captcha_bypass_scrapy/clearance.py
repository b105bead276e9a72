"""Clearances, by site and proxy."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from captcha_bypass_scrapy.cookies import Cookie, merged_header, rotated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scrapy import Request

    from captcha_bypass_scrapy.answers import SharedClearance
    from captcha_bypass_scrapy.keys import SiteKey


@dataclass(eq=False)
class Clearance:
    """The cookies and the user-agent of a browser that got through, good for one site key.

    Attributes:
        generation: Unique, also over the runs of a job: requests say by it what they carried.
        seconds: What the service took to get it.
        successes: Pages it has opened so far.
        shared_id: What the service calls it; None: it shares it with nobody.
        reused: Whether another task than the crawl's own has got it.
    """

    generation: int
    vendor: str
    cookies: tuple[Cookie, ...]
    user_agent: str | None
    seconds: float = 0.0
    successes: int = 0
    shared_id: str | None = None
    reused: bool = False
    born: float = field(default_factory=time.monotonic)
    _age: float = 0.0

    @property
    def borrowed(self) -> bool:
        """Whether it was there before this crawl asked, so that it may be over by now."""
        return self.reused and self._age > 0

    def shared_as(self, told: SharedClearance | None) -> None:
        """Take note of what the service says of it."""
        if told is not None:
            self.shared_id, self.reused, self._age = told["id"], told["reused"], told["age"]
            self.born -= told["age"]

    def older_than(self, seconds: float) -> bool:
        """Whether the browser got it that long ago."""
        return time.monotonic() - self.born > seconds

    def renew(self, cookies: tuple[Cookie, ...], user_agent: str | None) -> None:
        """Take over what the browser had on a later page."""
        self.cookies, self.user_agent = cookies, user_agent

    def rotate(self, url: str, set_cookies: Iterable[str]) -> bool:
        """Take over new values that the site gave its cookies; returns whether there were any."""
        before, self.cookies = self.cookies, rotated(self.cookies, url, set_cookies)
        return before != self.cookies

    def opens(self, origin: str) -> bool:
        """Whether one of its cookies goes to that site."""
        return any(c.goes_to(origin, any_path=True) for c in self.cookies)

    def spans(self, origin: str) -> bool:
        """Whether one of its cookies is for a whole domain that this site belongs to."""
        return any(
            c.domain.startswith(".") and c.goes_to(origin, any_path=True) for c in self.cookies
        )

    def attach(self, request: Request) -> Attached:
        """Put the cookies and the user-agent on a request that is about to leave."""
        attached = Attached(
            request.headers.get(b"Cookie"), request.headers.get(b"User-Agent"), self.generation
        )
        ours = {c.name: c.value for c in self.cookies if c.goes_to(request.url)}
        if ours:
            request.headers[b"Cookie"] = merged_header(attached.cookie or b"", ours)
        if self.user_agent:
            request.headers[b"User-Agent"] = self.user_agent
        return attached


@dataclass(frozen=True, slots=True)
class Attached:
    """The headers a request had before a clearance was attached, and which one it was."""

    cookie: bytes | None
    user_agent: bytes | None
    generation: int

    def detach(self, request: Request) -> None:
        """Restore the headers: nothing of ours goes to the scheduler, to spiders or to disk."""
        for name, value in ((b"Cookie", self.cookie), (b"User-Agent", self.user_agent)):
            if value is None:
                request.headers.pop(name, None)
            else:
                request.headers[name] = value


class Clearances:
    """The newest clearance of each key."""

    def __init__(self) -> None:
        self._current: dict[SiteKey, Clearance] = {}
        #: Called when there is a new one.
        self.changed: Callable[[], None] = lambda: None
        # Requests that were redirected carry generations into a JOBDIR: a new run must not
        # take an old number for its own.
        self._generations = itertools.count(time.time_ns())

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._current)

    def current(self, key: SiteKey) -> Clearance | None:
        """Return the newest clearance: the site's own, or one with a cookie of its whole domain."""
        own = self._current.get(key)
        if own is not None or not self._current:
            return own
        return next(
            (
                clearance
                for other, clearance in reversed(self._current.items())
                if other.proxy == key.proxy and clearance.spans(key.origin)
            ),
            None,
        )

    def has_own(self, key: SiteKey) -> bool:
        """Whether the site's clearance was made for it, and not for another host of its domain."""
        return key in self._current

    def spans_domain(self, key: SiteKey) -> bool:
        """Whether the site's clearance may be good for other hosts of its domain."""
        clearance = self._current.get(key)
        return clearance is not None and clearance.spans(key.origin)

    def solved(
        self,
        key: SiteKey,
        others: Iterable[SiteKey],
        vendor: str,
        cookies: tuple[Cookie, ...],
        user_agent: str | None,
        seconds: float = 0.0,
        shared: SharedClearance | None = None,
    ) -> Clearance:
        """Store a new clearance for a site, and for the others that it is good for.

        Args:
            others: Where the browser and the request came by. Hosts that had a clearance with
                the same cookie of their domain get the new one as well.
            seconds: What the service took.
            shared: What the service says of it.
        """
        clearance = Clearance(next(self._generations), vendor, cookies, user_agent, seconds)
        clearance.shared_as(shared)
        for other in [*others, *self._sharers(key, cookies)]:
            if other not in self._current or clearance.opens(other.origin):
                self._current[other] = clearance
        self._current.pop(key, None)  # so that the newest is the last
        self._current[key] = clearance
        self.changed()
        return clearance

    def _sharers(self, key: SiteKey, cookies: tuple[Cookie, ...]) -> list[SiteKey]:
        shared = {(c.name, c.domain) for c in cookies if c.domain.startswith(".")}
        return [
            other
            for other, clearance in self._current.items()
            if other.proxy == key.proxy
            and any((c.name, c.domain) in shared for c in clearance.cookies)
        ]
