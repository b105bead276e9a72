"""What is known of sites: their clearances, whether they take them, and what is under way there.

Any number of threads, or of tasks of an event loop, ask and tell; each call takes a lock for a moment.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from captcha_bypass.challenges import is_clearance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from captcha_bypass.client.cookies import Cookie
    from captcha_bypass.client.errors import ClientError
    from captcha_bypass.client.results import SharedClearance

_PORTS = {"http": 80, "https": 443}
#: Sites that are remembered; the oldest are forgotten, and cost a challenge again.
MAX_SITES = 1000
#: Seconds in which a site that was not passed is left alone.
COOLDOWN_SECONDS = 60.0
#: Characters of a Set-Cookie header that are looked at; browsers keep 4096 of name and value.
_MAX_COOKIE = 8192
#: Values of a site's cookies that are remembered: more than its cookies, renewed a few times.
_MAX_PAIRS = 300


class SiteKey(NamedTuple):
    """What one clearance is good for."""

    #: scheme://host:port
    origin: str
    #: The proxy's URL with its login, which is never shown; empty for none.
    proxy: str

    def __repr__(self) -> str:
        """Tell all but the proxy, whose login is a secret."""
        return f"{self.origin} through a proxy" if self.proxy else self.origin

    @classmethod
    def of(cls, url: str, proxy: str | None) -> SiteKey:
        """Return the key of a request to there."""
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
        return cls(f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}", proxy or "")


@dataclass(eq=False)
class Clearance:
    """The cookies and the user-agent of a browser that got through, good for one site key.

    Attributes:
        key: The site that it was got at.
        worked: Whether the site has taken it from this client.
        shared: What the service calls it; None: it shares it with no other program.
        proven: Done once the first request that carries it has its answer.
    """

    key: SiteKey
    cookies: tuple[Cookie, ...]
    user_agent: str | None
    shared: SharedClearance | None = None
    worked: bool = False
    proven: Future[None] = field(default_factory=Future)
    _probed: bool = False

    @property
    def borrowed(self) -> bool:
        """Whether it was there before this program asked, so that it may be over by now."""
        return self.shared is not None and self.shared.reused and self.shared.age > 0

    def cookies_for(self, url: str) -> dict[str, str]:
        """Return names and values of those that a browser would send there."""
        return {c.name: c.value for c in self.cookies if c.goes_to(url)}

    def spans(self, host: str) -> bool:
        """Whether one of its cookies is for a whole domain that this host belongs to."""
        return any(c.domain.startswith(".") and c.is_for(host) and c.live() for c in self.cookies)

    def take_probe(self) -> bool:
        """Let whoever asks be the first that carries it; False: another is."""
        first, self._probed = not self._probed, True
        return first

    def renew(self, host: str, values: Mapping[str, str]) -> None:
        """Take over new values, by name, of those of its cookies that are for a host."""
        self.cookies = tuple(
            replace(c, value=values[c.name]) if c.name in values and c.is_for(host) else c
            for c in self.cookies
        )


class Flight:
    """A place for one thing at a time that many wait for."""

    def __init__(self) -> None:
        #: What those wait for who did not begin it; None: nothing is under way.
        self.waited: Future[object] | None = None


class Site:
    """What is known of one site.

    Attributes:
        by_fetch: Whether it refuses the cookies, so that the browser sends all its requests.
        takes_cookies: Whether it has ever taken them.
        opened: Whether the browser has sent a request of ours there; the first may need a solve.
    """

    def __init__(self) -> None:
        self.by_fetch = self.takes_cookies = self.opened = False
        self.solve = Flight()
        #: Hashes of (name, value); values may be secrets, and large.
        self._set: OrderedDict[int, None] = OrderedDict()
        self._failed: tuple[float, ClientError] | None = None

    def failed(self, error: ClientError) -> None:
        """Note that it was not passed."""
        self._failed = (time.monotonic() + COOLDOWN_SECONDS, error)

    def saw(self, set_cookies: Iterable[str]) -> None:
        """Take note of what the site sets."""
        for header in set_cookies:
            name, _, value = header[:_MAX_COOKIE].partition(";")[0].partition("=")
            self._set[hash((name.strip(), value.strip()))] = None
        for _ in range(len(self._set) - _MAX_PAIRS):
            self._set.popitem(last=False)

    def has_set(self, name: str, value: str) -> bool:
        """Whether the site has set such a cookie, and it is none that the user brings along."""
        return hash((name, value)) in self._set

    def failure(self) -> ClientError | None:
        """Return why it was not passed, as long as it is left alone for that."""
        if self._failed is None or time.monotonic() > self._failed[0]:
            return None
        return self._failed[1]


class Sites:
    """All sites of one adapter."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sites: OrderedDict[SiteKey, Site] = OrderedDict()
        self._clearances: OrderedDict[SiteKey, Clearance] = OrderedDict()
        #: Whether address and key of the service were found to be right.
        self.checked = False
        self.check = Flight()

    def at(self, key: SiteKey) -> Site:
        """Return what is known of a site."""
        with self._lock:
            site = self._sites.setdefault(key, Site())
            self._sites.move_to_end(key)
            while len(self._sites) > MAX_SITES:
                self._sites.popitem(last=False)
            return site

    def clearance(self, key: SiteKey) -> Clearance | None:
        """Return the site's clearance, or one with a cookie of its whole domain."""
        with self._lock:
            own = self._clearances.get(key)
            if own is not None or not self._clearances:
                return own
            host = urlsplit(key.origin).hostname or ""
            others = reversed(self._clearances.values())
            return next((c for c in others if c.key.proxy == key.proxy and c.spans(host)), None)

    def add(self, clearance: Clearance) -> None:
        """Take a new clearance for its site."""
        with self._lock:
            self._clearances.pop(clearance.key, None)
            self._clearances[clearance.key] = clearance
            while len(self._clearances) > MAX_SITES:
                self._clearances.popitem(last=False)

    def take_probe(self, clearance: Clearance) -> bool:
        """Whether this request is the first that carries it; the others wait for its answer."""
        with self._lock:
            return clearance.take_probe()

    def proven(self, clearance: Clearance) -> None:
        """Let those go on who wait for that."""
        with self._lock:
            if not clearance.proven.done():
                clearance.proven.set_result(None)

    def begin(self, flight: Flight) -> Future[object] | None:
        """Begin what is to be done once, and return None; or return what to wait for."""
        with self._lock:
            if flight.waited is None:
                flight.waited = Future()
                return None
            return flight.waited

    def end(self, flight: Flight, outcome: object) -> None:
        """Tell all who wait what came of it."""
        with self._lock:
            waited, flight.waited = flight.waited, None
        if waited is not None:
            waited.set_result(outcome)

    def saw(self, site: Site, set_cookies: Iterable[str]) -> None:
        """Take note of the cookies that a site sets."""
        with self._lock:
            site.saw(set_cookies)

    def rotate(self, clearance: Clearance, url: str, set_cookies: Iterable[str]) -> None:
        """Take over new values that a site has given a clearance's cookies."""
        host = (urlsplit(url).hostname or "").lower()
        fresh: dict[str, str] = {}
        for header in set_cookies:
            pair, _, rest = header[:_MAX_COOKIE].partition(";")
            name, _, value = (part.strip() for part in pair.partition("="))
            # A deletion is not followed: the next challenge tells more surely.
            if value and "max-age=0" not in rest.lower().replace(" ", ""):
                fresh[name] = value
        if not fresh:
            return
        with self._lock:
            clearance.renew(host, fresh)


def chosen(cookies: Iterable[Cookie], vendor: str, own: Iterable[str]) -> tuple[Cookie, ...]:
    """Return the cookies to use of those that a browser has.

    The vendor's own, because the site's session may be somebody's; all of them where none of the
    vendor's names is there, because then the session is what remembers the visitor.

    Args:
        own: Names of the cookies that the request brought along.
    """
    kept = set(own)
    everything = tuple(c for c in cookies if c.name not in kept and c.partition_key is None)
    found = tuple(c for c in everything if is_clearance(c.name, vendor))
    return found or everything
