"""Which sites' requests the browser sends, because the site takes them from nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captcha_bypass_scrapy import request_state
from captcha_bypass_scrapy.keys import SiteKey, key_of

if TYPE_CHECKING:
    from scrapy import Request

    from captcha_bypass_scrapy.options import Options

#: Sites that are remembered; the oldest are forgotten, and cost a refused request again.
MAX_SITES = 10_000


class Ways:
    """Remembers, for each site and proxy, who sends its requests.

    In mode fetch that is the browser as soon as the site has challenged, in mode auto as soon as it
    has refused the browser's cookies from Scrapy. The other modes do not ask.
    """

    def __init__(self) -> None:
        #: Who challenged.
        self._vendors: dict[SiteKey, str] = {}
        #: Of those, the sites that refuse the cookies.
        self._refusing: set[SiteKey] = set()
        #: Sites where the browser's answers are challenges, too, to the user's detector.
        self._in_vain: set[SiteKey] = set()

    def by_browser(self, request: Request, options: Options) -> bool:
        """Whether the browser sends a request."""
        if options.mode not in ("auto", "fetch"):
            return False
        if request_state.goes_by_browser(request):
            return True
        return bool(self._vendors) and self.of_site(key_of(request), options)

    def of_site(self, key: SiteKey, options: Options) -> bool:
        """Whether the browser sends the requests of a site with such options."""
        if options.mode == "auto":
            return key in self._refusing and key not in self._in_vain
        return options.mode == "fetch" and key in self._vendors

    def open(self, key: SiteKey, vendor: str, *, refuses: bool) -> None:
        """Have the browser send a site's requests from now on.

        Args:
            vendor: Who challenged.
            refuses: Whether the site refuses the cookies, so that mode auto goes this way as well.
        """
        if len(self._vendors) >= MAX_SITES and key not in self._vendors:
            oldest = next(iter(self._vendors))
            del self._vendors[oldest]
            self._refusing.discard(oldest)
            self._in_vain.discard(oldest)
        self._vendors[key] = vendor
        if refuses:
            self._refusing.add(key)

    def give_up(self, key: SiteKey) -> None:
        """Note that the browser's answers are no better; mode auto uses its pages then."""
        self._in_vain.add(key)

    def has_given_up(self, key: SiteKey) -> bool:
        """Whether they were found to be no better."""
        return key in self._in_vain

    def vendor(self, key: SiteKey) -> str:
        """Return who challenged at a site."""
        return self._vendors.get(key, "unknown")
