"""What people see of it: log lines and stats."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler

    from captcha_bypass.challenges import Challenge
    from captcha_bypass_scrapy.clearance import Clearance
    from captcha_bypass_scrapy.errors import Reason
    from captcha_bypass_scrapy.exits import Key

logger = logging.getLogger("captcha_bypass_scrapy")


class Teller:
    """Counts under `captcha_bypass/` and logs with the spider attached."""

    def __init__(self, crawler: Crawler) -> None:
        self._stats = crawler.stats
        self._crawler = crawler

    def count(self, name: str, by: int = 1) -> None:
        """Add to a stat."""
        self._stats.inc_value(f"captcha_bypass/{name}", by)

    def challenged(self, challenge: Challenge) -> None:
        """Every challenge that came as a response."""
        self.count("challenge/count")
        self.count(f"challenge/vendor/{challenge.vendor}")
        self.count(f"challenge/kind/{challenge.kind}")

    def blocked(self, challenge: Challenge, request: Request) -> None:
        """A refusal: the spider gets it as it is."""
        self.count("block/count")
        self._log(
            logging.DEBUG, "Blocked by %s, which no browser changes: %s", challenge.vendor, request
        )

    def solving(self, key: Key, challenge: Challenge, request: Request, url: str) -> None:
        """One solve begins."""
        self.count("solve/count")
        self._log(
            logging.INFO, "Challenged by %s (%s): %s", challenge.vendor, challenge.kind, request
        )
        self._log(logging.INFO, "Solving %s: a browser opens %s", key, url)

    def slow(self, key: Key, state: str) -> None:
        """A solve takes long."""
        self._log(logging.INFO, "Still solving %s: waiting for %s", key, state)

    def solved(self, key: Key, clearance: Clearance, seconds: float) -> None:
        """One solve worked."""
        self.count("solve/success")
        total = self._stats.get_value("captcha_bypass/solve/seconds", 0.0) + seconds
        self._stats.set_value("captcha_bypass/solve/seconds", total)
        self._stats.max_value("captcha_bypass/solve/seconds_max", seconds)
        names = ", ".join(cookie.name for cookie in clearance.cookies) or "none"
        self._log(logging.INFO, "Solved %s in %.1f s (cookies: %s)", key, seconds, names)

    def failed(self, key: Key, reason: str, seconds: float) -> None:
        """One solve did not work."""
        self.count("solve/failed")
        self._log(logging.WARNING, "Could not solve %s in %.1f s: %s", key, seconds, reason)

    def unavailable(self, reason: str, pause: float) -> None:
        """The service cannot be used; told once for each time it goes."""
        self.count("solver/unavailable")
        self._log(
            logging.ERROR,
            "Challenges cannot be solved: %s. Challenged requests fail, others go on; the service"
            " is asked again in %.0f s",
            reason,
            pause,
        )

    def available(self) -> None:
        """The service answers again after `unavailable`."""
        self._log(logging.INFO, "The captcha-bypass service can be used again")

    def retrying(self, requests: int, key: Key) -> None:
        """A solve worked and everybody who waited goes on."""
        self.count("retry/count", requests)
        noun = "request" if requests == 1 else "requests"
        self._log(logging.INFO, "Retrying %d %s of %s with the clearance", requests, noun, key)

    def page(self, request: Request, url: str) -> None:
        """The browser's page is the response."""
        self.count("html/count")
        self._log(logging.DEBUG, "The response of %s is the browser's page %s", request, url)

    def gave_up(self, request: Request, vendor: str, reason: str, kind: Reason) -> None:
        """One request fails."""
        self.count("gave_up/count")
        self.count(f"gave_up/reason/{kind}")
        self._log(
            logging.INFO, "Gave up on %s: %s challenge not solved, %s", request, vendor, reason
        )

    def _log(self, level: int, message: str, *arguments: object) -> None:
        logger.log(level, message, *arguments, extra={"spider": self._crawler.spider})
