"""Which cookies of a crawl its sites have set themselves, and which the spider brought along.

The browser has cookies of its own. What the site has set is in both places, and the browser's is the
newer one: it may have been renewed by another request. What the spider says is for the browser to
take over.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from captcha_bypass.challenges import is_clearance
from captcha_bypass_scrapy.cookies import is_kept, parse_header, text_of
from captcha_bypass_scrapy.keys import origin_of

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.http import Response

#: Sites and jars that are remembered.
MAX_SITES = 2000
#: Values that are remembered of each; more than a site's cookies, renewed a few times.
MAX_PAIRS = 300
#: Characters of a Set-Cookie header that are looked at; browsers keep 4096 of name and value.
_MAX_HEADER = 8192


class SplitCookies(NamedTuple):
    """A request's cookies, as entries for POST /fetch.

    Attributes:
        own: The spider's, which the browser is to take over.
        site: The site's, for a browser that has none of it yet.
    """

    own: list[dict[str, str]]
    site: list[dict[str, str]]


class SiteCookies:
    """Takes note of what sites set, by site and cookie jar."""

    def __init__(self) -> None:
        #: Hashes of (name, value); values may be secrets, and large.
        self._set: OrderedDict[tuple[str, str], OrderedDict[int, None]] = OrderedDict()

    def downloaded(self, request: Request, response: Response) -> None:
        """Take note of a response's cookies; for the signal `response_downloaded`."""
        headers = response.headers.getlist(b"Set-Cookie")
        if not headers or not request.url.startswith(("http:", "https:")):
            return
        place = (origin_of(request.url), jar_of(request))
        pairs = self._set.setdefault(place, OrderedDict())
        self._set.move_to_end(place)
        for header in headers:
            name, _, value = text_of(header[:_MAX_HEADER].partition(b";")[0]).partition("=")
            pairs[hash((name.strip(), value.strip()))] = None
        while len(pairs) > MAX_PAIRS:
            pairs.popitem(last=False)
        while len(self._set) > MAX_SITES:
            self._set.popitem(last=False)

    def split(self, request: Request) -> SplitCookies:
        """Split a request's cookies; a vendor's are left out, as the browser has better ones."""
        header = request.headers.get(b"Cookie")
        own: list[dict[str, str]] = []
        site: list[dict[str, str]] = []
        if not header:
            return SplitCookies(own, site)
        known = self._set.get((origin_of(request.url), jar_of(request))) or ()
        for name, value in parse_header(text_of(header)).items():
            if not is_kept(name, value) or is_clearance(name):
                continue
            # POST /fetch sets others than ASCII only where a session begins.
            given = value.isascii() and hash((name, value)) not in known
            (own if given else site).append({"name": name, "value": value})
        return SplitCookies(own, site)


def jar_of(request: Request) -> str:
    """Return the name of a request's cookie jar; empty for Scrapy's default one."""
    jar: Any = request.meta.get("cookiejar")
    return "" if jar is None else repr(jar)
