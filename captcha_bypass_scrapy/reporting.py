"""Log lines and stats."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from captcha_bypass_scrapy.keys import origin_of

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler

    from captcha_bypass.challenges import Challenge
    from captcha_bypass_scrapy.clearance import Clearance
    from captcha_bypass_scrapy.errors import SolveError, SolverUnavailable
    from captcha_bypass_scrapy.keys import SiteKey
    from captcha_bypass_scrapy.settings import Config

logger = logging.getLogger("captcha_bypass_scrapy")
#: Hosts of which the first lost request is a warning.
_WARNINGS = 1000


class Reporter:
    """Counts under `captcha_bypass/` and logs with the spider attached."""

    def __init__(self, crawler: Crawler) -> None:
        self._stats = crawler.stats
        self._crawler = crawler
        self._warned: set[str] = set()
        self._lost: Counter[str] = Counter()

    def count(self, name: str, by: int = 1) -> None:
        """Add to a stat."""
        self._stats.inc_value(f"captcha_bypass/{name}", by)

    def challenged(self, challenge: Challenge) -> None:
        """A response is a challenge."""
        self.count("challenge/count")
        self.count(f"challenge/vendor/{challenge.vendor}")
        self.count(f"challenge/kind/{challenge.kind}")

    def blocked(self, challenge: Challenge, request: Request) -> None:
        """A response is a block, which the spider gets as it is."""
        self.count("block/count")
        self._log(
            logging.DEBUG, "Blocked by %s, which no browser changes: %s", challenge.vendor, request
        )

    def solving(self, key: SiteKey, challenge: Challenge, request: Request, url: str) -> None:
        """A solve begins; `url` is what the browser opens."""
        self.count("solve/count")
        self._log(
            logging.INFO, "Challenged by %s (%s): %s", challenge.vendor, challenge.kind, request
        )
        self._log(logging.INFO, "Solving %s: a browser opens %s", key, url)

    def slow(self, key: SiteKey, state: str) -> None:
        """A solve takes long; `state` is what it waits for."""
        self._log(logging.INFO, "Still solving %s: waiting for %s", key, state)

    def needs_person(self, key: SiteKey, link: str) -> None:
        """A solve waits for a person; `link` is where the page is."""
        self.count("solve/human")
        self._log(logging.WARNING, "A person is needed for %s: %s", key, link)

    def solved(self, key: SiteKey, clearance: Clearance, seconds: float) -> None:
        """A solve worked."""
        self.count("solve/success")
        total = self._stats.get_value("captcha_bypass/solve/seconds", 0.0) + seconds
        self._stats.set_value("captcha_bypass/solve/seconds", total)
        self._stats.max_value("captcha_bypass/solve/seconds_max", seconds)
        names = [cookie.name[:64] for cookie in clearance.cookies[:20]]
        if clearance.reused:
            self.count("solve/reused")
        self._log(
            logging.INFO,
            "Solved %s in %.1f s%s (cookies: %s)",
            key,
            seconds,
            ", by another crawl or task" if clearance.reused else "",
            ", ".join(names) or "none",
        )

    def failed(self, key: SiteKey, reason: str, seconds: float) -> None:
        """A solve did not work."""
        self.count("solve/failed")
        self._log(logging.WARNING, "Could not solve %s in %.1f s: %s", key, seconds, reason)

    def unavailable(self, error: SolverUnavailable, config: Config) -> None:
        """The service cannot be used; call it once each time that begins."""
        self.count("solver/unavailable")
        then = f"fail, others go on; the service is asked again in {error.pause:.0f} s"
        if error.state != "refusing" and config.on_unavailable == "wait":
            then = f"wait for it, for {config.unavailable_seconds:.0f} s at most; others go on"
        elif config.on_unavailable == "close":
            then = "stay in the scheduler; the spider is closed"
        self._log(
            logging.ERROR,
            "Challenges cannot be solved: %s. Challenged requests %s",
            str(error),
            then,
        )

    def usable(self, url: str, version: str) -> None:
        """The service was asked when the spider opened, and is as it should be."""
        self._log(logging.INFO, "The captcha-bypass service %s at %s can be used", version, url)

    def unusable(self, why: str, *, for_good: bool) -> None:
        """It is not.

        Args:
            for_good: Whether it stays so until a person changes something.
        """
        level = logging.ERROR if for_good else logging.WARNING
        self._log(level, "Challenges will not be solved: %s", why)

    def available(self) -> None:
        """The service answers again after `unavailable`."""
        self._log(logging.INFO, "The captcha-bypass service can be used again")

    def retrying(self, requests: int, key: SiteKey) -> None:
        """A solve worked, and the requests that waited for it are sent again."""
        self.count("retry/count", requests)
        noun = "request" if requests == 1 else "requests"
        self._log(logging.INFO, "Retrying %d %s of %s with the clearance", requests, noun, key)

    def browser_page(self, request: Request, url: str) -> None:
        """A request gets the browser's page as its response."""
        self.count("html/count")
        self._log(logging.DEBUG, "The response of %s is the browser's page %s", request, url)

    def by_browser(self, key: SiteKey, challenge: Challenge, *, refuses: bool) -> None:
        """The browser sends a site's requests from now on.

        Args:
            refuses: Whether that is because the site refuses the cookies.
        """
        self.count("fetch/sites")
        why = f"refuses the cookies of {challenge.vendor}" if refuses else "challenges requests"
        self._log(
            logging.INFO, "The browser sends the requests of %s from now on, which %s", key, why
        )

    def fetched(self, request: Request, solved: str | None) -> None:
        """The browser has got the answer to a request.

        Args:
            solved: Vendor of a challenge that was passed for it.
        """
        self.count("fetch/count")
        if solved:
            self.count("fetch/solved")
            self._log(logging.DEBUG, "A %s challenge was passed for %s", solved, request)

    def offsite(self) -> None:
        """A page was dropped as the offsite filter would have dropped its request."""
        self._stats.inc_value("offsite/filtered")

    def waits(self, *, unsent: bool) -> None:
        """A request waits until its site is solved; `unsent` if it was not challenged itself."""
        self.count("parked/count")
        if unsent:
            self.count("held/count")

    def unsolved(self, error: SolveError, *, again: bool) -> None:
        """A solve that a request waited for has failed; counted as RetryMiddleware does."""
        if again:
            self.count("solve/retry/count")
            self.count(f"solve/retry/reason_count/{error.kind}")
        else:
            self.count("solve/retry/max_reached")

    def gave_up(self, request: Request, vendor: str, error: SolveError) -> None:
        """A request fails; a warning for the first of each site."""
        self.count("gave_up/count")
        self.count(f"gave_up/reason/{error.kind}")
        self._lost[error.kind] += 1
        origin = origin_of(request.url)
        known = origin in self._warned or len(self._warned) >= _WARNINGS
        self._warned.add(origin)
        self._log(
            logging.INFO if known else logging.WARNING,
            "Gave up on %s: %s challenge not solved, %s",
            request,
            vendor,
            str(error),
        )

    def summary(self) -> None:
        """The crawl is over; a warning where requests were lost."""
        if self._lost:
            reasons = ", ".join(f"{kind}: {count}" for kind, count in self._lost.most_common())
            self._log(
                logging.WARNING,
                "%d requests did not get their page because of challenges (%s); their errbacks"
                " were called with ChallengeNotSolved",
                self._lost.total(),
                reasons,
            )

    def _log(self, level: int, message: str, *arguments: object) -> None:
        """Log; control characters from a site are escaped, so that it writes no lines of its own."""
        shown = [a if isinstance(a, int | float) else printable(str(a)) for a in arguments]
        logger.log(level, message, *shown, extra={"spider": self._crawler.spider})


def printable(text: str) -> str:
    """Return the text with control and other invisible characters escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
