"""Which of the browser's cookies are used, and for which request."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The cookies that are a vendor's clearance. The browser has others, such as the session's, and
#: sharing those would merge the logins of a spider's several cookie jars.
VENDOR_COOKIES: dict[str, tuple[str, ...]] = {
    "cloudflare": ("cf_clearance", "__cf_bm", "_cfuvid", "cf_chl_*"),
    "datadome": ("datadome",),
    "aws-waf": ("aws-waf-token",),
    "imperva": ("incap_ses_*", "visid_incap_*", "nlbi_*", "reese84", "___utmvc"),
    "akamai": ("_abck", "bm_*", "ak_bmsc", "sec_cpt"),
    "human": ("_px*", "pxcts"),
    "ddos-guard": ("__ddg*",),
    "sucuri": ("sucuri_cloudproxy_uuid_*",),
    "anubis": ("*-anubis-auth*", "*-anubis-cookie-*"),
    "go-away": (".go-away-*",),
    "kasada": ("KP_*", "tkrm_*"),
}


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie of the browser's; a domain without a leading dot is that host's alone."""

    name: str
    value: str
    domain: str
    path: str = "/"
    expires: float = -1
    secure: bool = False
    http_only: bool = False
    same_site: str = "Lax"

    @classmethod
    def from_result(cls, fields: Mapping[str, Any]) -> Self:
        """Read a cookie of a task's result."""
        return cls(
            str(fields["name"]),
            str(fields["value"]),
            str(fields["domain"]),
            str(fields.get("path") or "/"),
            float(fields.get("expires", -1)),
            bool(fields.get("secure", False)),
            bool(fields.get("httpOnly", False)),
            str(fields.get("sameSite") or "Lax"),
        )

    def as_task(self) -> dict[str, Any]:
        """Return an entry of the field `cookies` of POST /solve."""
        return {
            "name": self.name,
            "value": self.value,
            "domain": self.domain,
            "path": self.path,
            "expires": self.expires,
            "secure": self.secure,
            "httpOnly": self.http_only,
            "sameSite": self.same_site,
        }

    def live(self) -> bool:
        """Whether it has not expired yet."""
        return self.expires < 0 or self.expires > time.time()

    def goes_to(self, url: str) -> bool:
        """Whether a browser would send it there."""
        parts = urlsplit(url)
        host, domain = (parts.hostname or "").lower(), self.domain.lower()
        at_home = host == domain.removeprefix(".").strip("[]") or (
            domain.startswith(".") and host.endswith(domain)
        )
        path = parts.path or "/"
        below = path == self.path or path.startswith(self.path.rstrip("/") + "/")
        return at_home and below and self.live() and (not self.secure or parts.scheme == "https")


def choose(
    cookies: Iterable[Cookie], vendor: str, wish: str | tuple[str, ...]
) -> tuple[Cookie, ...]:
    """Return the cookies to use.

    Args:
        cookies: All the browser has.
        vendor: Who challenged.
        wish: The setting CAPTCHA_BYPASS_COOKIES. `auto` is the vendor's own cookies; all of them
            where the vendor is not known or none of its names is there, because then the site's
            session is what remembers the solution.
    """
    everything = tuple(cookies)
    if wish == "all":
        return everything
    names = VENDOR_COOKIES.get(vendor, ()) if isinstance(wish, str) else wish
    chosen = tuple(c for c in everything if any(fnmatchcase(c.name, name) for name in names))
    return chosen if chosen or not isinstance(wish, str) else everything


def parse_header(header: str) -> dict[str, str]:
    """Read a Cookie header; what is no name=value pair is kept as a name without value."""
    pairs = (part.strip().partition("=") for part in header.split(";") if part.strip())
    return {name: value for name, _, value in pairs}


def format_header(cookies: Mapping[str, str]) -> str:
    """Write a Cookie header."""
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def rotated(cookies: Iterable[Cookie], set_cookies: Iterable[str]) -> tuple[Cookie, ...]:
    """Return the cookies with the values that a response's Set-Cookie headers gave them.

    Only values change: sites that rotate their clearance do it by name, and a deletion is not
    followed because the next challenge tells more surely.
    """
    fresh: dict[str, tuple[str, float]] = {}
    for header in set_cookies:
        try:
            parsed = SimpleCookie(header)
        except CookieError:
            continue
        for name, morsel in parsed.items():
            age = morsel["max-age"]
            if morsel.value and age != "0":
                expires = time.time() + int(age) if age.isdecimal() else -1.0
                fresh[name] = (morsel.value, expires)
    return tuple(
        replace(c, value=fresh[c.name][0], expires=fresh[c.name][1]) if c.name in fresh else c
        for c in cookies
    )
