"""How an adapter has the browser send a request to a site that refuses cookies."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from captcha_bypass.client.bodies import Conditions, fetch_body

if TYPE_CHECKING:
    from captcha_bypass.client.protocol import Protocol
    from captcha_bypass.client.results import FetchResult
    from captcha_bypass.client.sites import Clearance, Site
    from captcha_bypass.client.steps import Steps
    from captcha_bypass.client.visits import Visit


@dataclass(frozen=True)
class Fetching:
    """Sends requests by the browser.

    Args:
        timeout: Seconds for a solve.
        conditions: When a page is through.
    """

    protocol: Protocol
    timeout: float
    conditions: Conditions
    #: No other adapter is to have the cookies of this one's requests.
    jar: str = field(default_factory=lambda: f"client:{secrets.token_hex(8)}")

    def steps(
        self, visit: Visit, content: bytes, site: Site, clearance: Clearance | None
    ) -> Steps[FetchResult]:
        """Return the site's answer to a request with that body.

        Raises:
            NotSolved: a challenge is in its way.
            ClientError: there is none.
        """
        seconds = visit.read_timeout
        if not site.opened or seconds is None:
            seconds = self.timeout + (seconds or 0.0)  # it may have to solve first
        body = fetch_body(
            visit.page,
            visit.method,
            content,
            seconds,
            {
                "proxy": visit.proxy,
                "headers": visit.fetch_headers(),
                **_split_cookies(visit, site, clearance),
                "jar": self.jar,
                **self.conditions,
            },
        )
        return self.protocol.fetch(body)


def _split_cookies(
    visit: Visit, site: Site, clearance: Clearance | None
) -> dict[str, list[dict[str, Any]]]:
    """Split a request's cookies: those that the browser is to take over, and those of the site.

    The latter are in the browser, too, and there they are newer: another request may have renewed
    them. They are for a browser that has none yet. So are others than ASCII, see docs/fetch.md.
    """
    theirs: list[dict[str, Any]] = []
    mine: list[dict[str, Any]] = []
    for cookie in visit.cookie_fields():
        name, value = cookie["name"], cookie["value"]
        own = value.isascii() and not site.has_set(name, value)
        (mine if own else theirs).append(cookie)
    cleared = [] if clearance is None else [c.fields() for c in clearance.cookies]
    return {"cookies": mine, "first_cookies": [*theirs, *cleared]}
