"""A request to a site, as far as it matters here, and what of it the service is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from captcha_bypass.challenges import is_clearance
from captcha_bypass.client.sites import SiteKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from captcha_bypass.client.sites import Clearance

#: Browsers set these by themselves, or, as the user-agent, a clearance is bound to them; cookies have a
#: field of their own. https://fetch.spec.whatwg.org/#forbidden-request-header
_BROWSERS_OWN = frozenset(
    {
        *("accept-charset", "accept-encoding", "connection", "content-length", "cookie", "cookie2"),
        *("access-control-request-headers", "access-control-request-method", "date", "dnt"),
        *("expect", "host", "keep-alive", "origin", "set-cookie", "te", "trailer"),
        *("transfer-encoding", "upgrade", "user-agent", "via"),
    }
)
_BROWSERS_PREFIXES = ("proxy-", "sec-")
_NOT_IN_COOKIES = frozenset(map(chr, (*range(0x20), 0x7F)))


@dataclass(frozen=True)
class Visit:
    """One request.

    Attributes:
        headers: As they would go out, the user's cookies among them.
        proxy: URL of the proxy that it leaves by, with its login.
        read_timeout: Seconds that the user's library waits for bytes; None: for ever.
        repeatable: Whether its body can be sent again.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    proxy: str | None = field(default=None, repr=False)
    read_timeout: float | None = None
    repeatable: bool = True

    @property
    def key(self) -> SiteKey:
        """The site and the proxy."""
        return SiteKey.of(self.url, self.proxy)

    @property
    def page(self) -> str:
        """The URL as a browser is told it."""
        return urlsplit(self.url)._replace(fragment="").geturl()

    def own_cookies(self) -> dict[str, str]:
        """Return the cookies that the user brings along, without those of any vendor."""
        header = next((v for name, v in self.headers.items() if name.lower() == "cookie"), "")
        pairs = (part.strip().partition("=") for part in header.split(";") if part.strip())
        return {
            name.strip(): value.strip()
            for name, _, value in pairs
            if name.strip() and not is_clearance(name.strip()) and _fits(name + value)
        }

    def cookie_fields(self) -> list[dict[str, str]]:
        """Return them as a request of the API takes them."""
        return [{"name": n, "value": v, "url": self.page} for n, v in self.own_cookies().items()]

    def fetch_headers(self) -> dict[str, str]:
        """Return the headers that a page may send; a Referer of another site is left out."""
        found = {}
        for name, value in self.headers.items():
            lower = name.lower()
            if lower in _BROWSERS_OWN or lower.startswith(_BROWSERS_PREFIXES):
                continue
            if lower != "referer" or self._is_of_site(value):
                found[name] = value
        return found

    def _is_of_site(self, referer: str) -> bool:
        try:
            return SiteKey.of(referer, self.proxy) == self.key
        except ValueError:  # a port or an address that is none
            return False

    def cleared(self, clearance: Clearance) -> dict[str, str]:
        """Return the headers that a clearance changes: the browser's cookies beside the user's."""
        ours = clearance.cookies_for(self.url)
        header = next((v for name, v in self.headers.items() if name.lower() == "cookie"), "")
        kept = [
            part.strip()
            for part in header.split(";")
            if part.strip() and part.partition("=")[0].strip() not in ours
        ]
        # UTF-8, as Firefox sends them; HTTP libraries write each character as one byte.
        added = [f"{n}={v}".encode().decode("latin-1") for n, v in ours.items() if _fits(n + v)]
        changes: dict[str, Any] = {"Cookie": "; ".join([*kept, *added])} if added else {}
        if clearance.user_agent:
            changes["User-Agent"] = clearance.user_agent
        return changes


def _fits(text: str) -> bool:
    return _NOT_IN_COOKIES.isdisjoint(text)
