"""Redirects that the offsite filter would drop, although they may lead to a challenge.

Some vendors show their challenge on a host of their own and send visitors back from there. With
`allowed_domains`, which `scrapy genspider` writes into every spider, such a site would just be
empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

from scrapy.exceptions import IgnoreRequest

from captcha_bypass_scrapy import request_state
from captcha_bypass_scrapy.keys import host_of, registered_domain
from captcha_bypass_scrapy.options import wanted

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.http import Response

    from captcha_bypass_scrapy.reporting import Reporter
    from captcha_bypass_scrapy.scope import Scope

#: Hosts that were seen to have no challenge; more than that are not tried any more.
MAX_HOSTS = 100


class Redirects:
    """Lets a redirect to another site through if it looks like one to a challenge.

    That is, if its URL leads back to the page that was asked for, or the site is the same but for
    a subdomain. What comes from there is only looked at and never handed on; a host that had no
    challenge to show is not tried again.
    """

    def __init__(self, scope: Scope, reporter: Reporter) -> None:
        self._scope = scope
        self._reporter = reporter
        self._harmless: set[str] = set()

    def downloaded(self, request: Request, response: Response) -> None:
        """Mark the request whose redirect shall pass; for the signal `response_downloaded`."""
        location = response.headers.get(b"Location") if 300 <= response.status < 400 else None
        if not location or not wanted(request) or len(self._harmless) >= MAX_HOSTS:
            return
        if request.dont_filter or request.meta.get("allow_offsite"):
            return
        try:
            if self._may_lead_to_challenge(location.decode("latin-1"), request.url):
                request_state.allow_offsite(request)
        except ValueError:
            return  # no URL, which RedirectMiddleware will say

    def _may_lead_to_challenge(self, location: str, url: str) -> bool:
        target = urljoin(url, location)
        return (
            host_of(target) not in self._harmless
            and self._scope.is_offsite(target)
            and _leads_back(target, url)
        )

    def drop_offsite(self, request: Request) -> None:
        """Drop a page that is no challenge and that nobody asked for.

        Raises:
            IgnoreRequest: as the offsite filter would have.
        """
        if request_state.has_allowed_offsite(request) and self._scope.is_offsite(request.url):
            host = host_of(request.url)
            self._harmless.add(host)
            self._reporter.offsite()
            raise IgnoreRequest(f"Filtered offsite request to {host!r}")


def _leads_back(target: str, url: str) -> bool:
    if registered_domain(host_of(url)) == registered_domain(host_of(target)):
        return True
    here, there = urlsplit(url), urlsplit(target)
    rest = unquote(unquote(f"{there.path}?{there.query}#{there.fragment}"))
    return (host_of(url) or " ") in rest or (len(here.path) > 1 and unquote(here.path) in rest)
