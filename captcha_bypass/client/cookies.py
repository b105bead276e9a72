"""A browser's cookies: for whom they are, and as what other programs take."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import cookiejar
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie as the API has it (docs/api.md); a domain with a leading dot is also for hosts below.

    Attributes:
        expires: Seconds since 1970; -1: a session cookie, which has no end.
        partition_key: Origin of the page around the frame that it belongs to; such a cookie goes
            nowhere else.
    """

    name: str
    value: str
    domain: str
    path: str = "/"
    expires: float = -1
    http_only: bool = False
    secure: bool = False
    same_site: str = "Lax"
    partition_key: str | None = None

    def __repr__(self) -> str:
        """Tell all but the value, which is a secret."""
        return f"Cookie({self.name!r}, domain={self.domain!r}, path={self.path!r})"

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Self:
        """Read one of the service's.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        partition = fields.get("partitionKey")
        return cls(
            str(fields["name"]),
            str(fields["value"]),
            str(fields["domain"]),
            str(fields.get("path") or "/"),
            float(fields.get("expires", -1)),
            bool(fields.get("httpOnly", False)),
            bool(fields.get("secure", False)),
            str(fields.get("sameSite") or "Lax"),
            None if partition is None else str(partition),
        )

    def fields(self) -> dict[str, Any]:
        """Return it as a request of the API, and Playwright's storage state, take it."""
        found = {
            "name": self.name,
            "value": self.value,
            "domain": self.domain,
            "path": self.path,
            "expires": self.expires,
            "httpOnly": self.http_only,
            "secure": self.secure,
            "sameSite": self.same_site,
        }
        return (
            found if self.partition_key is None else {**found, "partitionKey": self.partition_key}
        )

    def live(self) -> bool:
        """Whether it has not expired yet."""
        return self.expires < 0 or self.expires > time.time()

    def goes_to(self, url: str) -> bool:
        """Whether a browser would send it there."""
        parts = urlsplit(url)
        path = parts.path or "/"
        below = path == self.path or path.startswith(self.path.rstrip("/") + "/")
        safe = not self.secure or parts.scheme == "https"
        at_home = self.is_for((parts.hostname or "").lower())
        return at_home and below and safe and self.live() and self.partition_key is None

    def is_for(self, host: str) -> bool:
        """Whether it is for this host, given in lower case and without brackets."""
        domain = self.domain.lower()
        return host == domain.removeprefix(".").strip("[]") or (
            domain.startswith(".") and host.endswith(domain)
        )

    def in_jar(self) -> cookiejar.Cookie:
        """Return it as the standard library has it."""
        dotted = self.domain.startswith(".")
        # The library calls hosts without a dot by another name (http.cookiejar.eff_request_host).
        domain = self.domain if "." in self.domain else f"{self.domain}.local"
        return cookiejar.Cookie(
            version=0,
            name=self.name,
            value=self.value,
            port=None,
            port_specified=False,
            domain=domain,
            domain_specified=dotted,
            domain_initial_dot=dotted,
            path=self.path,
            path_specified=True,
            secure=self.secure,
            expires=None if self.expires < 0 else int(self.expires),
            discard=self.expires < 0,
            comment=None,
            comment_url=None,
            rest={"HttpOnly": ""} if self.http_only else {},
        )


def jar_of(cookies: Iterable[Cookie]) -> cookiejar.CookieJar:
    """Return a jar for requests, httpx, urllib and others.

    Without cookies of other sites' frames, which no such client has.
    """
    strict = cookiejar.DefaultCookiePolicy.DomainStrictNonDomain
    jar = cookiejar.CookieJar(cookiejar.DefaultCookiePolicy(strict_ns_domain=strict))
    for cookie in cookies:
        if cookie.partition_key is None:
            jar.set_cookie(cookie.in_jar())
    return jar


def of_jar(jar: Iterable[cookiejar.Cookie]) -> list[dict[str, Any]]:
    """Return a jar's cookies as a request of the API takes them."""
    found = []
    for cookie in jar:
        domain = cookie.domain
        if not cookie.domain_specified:
            domain = domain.removesuffix(".local") if domain.count(".") == 1 else domain
        read = Cookie(
            cookie.name,
            cookie.value or "",
            domain,
            cookie.path,
            -1 if cookie.expires is None else cookie.expires,
            cookie.has_nonstandard_attr("HttpOnly"),
            cookie.secure,
        )
        if read.live():
            found.append(read.fields())
    return found


def netscape(cookies: Iterable[Cookie]) -> str:
    """Return a file for `curl -b`, wget, yt-dlp and others; 0 is the end of a session cookie."""
    lines = ["# Netscape HTTP Cookie File"]
    for cookie in cookies:
        if cookie.partition_key is not None or "\t" in cookie.name + cookie.value:
            continue  # it cannot be said there
        lines.append(
            "\t".join(
                [
                    ("#HttpOnly_" if cookie.http_only else "") + cookie.domain,
                    _flag(cookie.domain.startswith(".")),
                    cookie.path,
                    _flag(cookie.secure),
                    str(max(0, int(cookie.expires))),
                    cookie.name,
                    cookie.value,
                ]
            )
        )
    return "\n".join(lines) + "\n"


def _flag(value: bool) -> str:
    return "TRUE" if value else "FALSE"
