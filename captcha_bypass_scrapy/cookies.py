"""Which of the browser's cookies are used, and for which request."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from captcha_bypass.challenges import CLEARANCE_COOKIES
from captcha_bypass_scrapy.keys import host_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Characters of a Set-Cookie header that are looked at; browsers keep 4096 of name and value.
_MAX_COOKIE = 8192
#: What browsers keep (RFC 6265bis section 5.6).
_MAX_KEPT = 4096
_CONTROLS = frozenset(map(chr, (*range(0x20), 0x7F)))
_NOT_IN_NAME = _CONTROLS | {";", "="}
_NOT_IN_VALUE = (_CONTROLS - {"\t"}) | {";"}


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

    def goes_to(self, url: str, *, any_path: bool = False) -> bool:
        """Whether a browser would send it there, or to some path there."""
        parts = urlsplit(url)
        host, domain = host_of(url), self.domain.lower()
        at_home = host == domain.removeprefix(".").strip("[]") or (
            domain.startswith(".") and host.endswith(domain)
        )
        path = parts.path or "/"
        below = path == self.path or path.startswith(self.path.rstrip("/") + "/")
        safe = not self.secure or parts.scheme == "https"
        return at_home and (below or any_path) and safe and self.live()


def choose(
    cookies: Iterable[Cookie], vendor: str, choice: str | tuple[str, ...]
) -> tuple[Cookie, ...]:
    """Return the cookies to use.

    Args:
        cookies: All the browser has.
        vendor: Who challenged.
        choice: The setting CAPTCHA_BYPASS_COOKIES. `auto` is the vendor's own cookies, because the
            site's session would merge the logins of a spider's several cookie jars; all of them
            where the vendor is not known or none of its names is there, because then the session
            is what remembers the solution.
    """
    everything = tuple(cookies)
    if choice == "all":
        return everything
    names = CLEARANCE_COOKIES.get(vendor, ()) if isinstance(choice, str) else choice
    chosen = tuple(c for c in everything if any(fnmatchcase(c.name, name) for name in names))
    return chosen if chosen or not isinstance(choice, str) else everything


def beside(new: Iterable[Cookie], old: Iterable[Cookie]) -> tuple[Cookie, ...]:
    """Return new cookies, and those of the old ones that are still good and were not set anew."""
    fresh = tuple(new)
    places = {(c.name, c.domain, c.path) for c in fresh}
    kept = (c for c in old if c.live() and (c.name, c.domain, c.path) not in places)
    return (*kept, *fresh)


def text_of(header: bytes) -> str:
    """Return a cookie header as text: UTF-8, as browsers write it, or Latin-1 where it is not."""
    try:
        return header.decode()
    except UnicodeDecodeError:
        return header.decode("latin-1")


def is_kept(name: str, value: str) -> bool:
    """Whether a browser, and so the service, takes such a cookie."""
    short = len(name) <= _MAX_KEPT and len(value) <= _MAX_KEPT
    named = bool(name) and name.strip(" ") == name and _NOT_IN_NAME.isdisjoint(name)
    return short and named and _NOT_IN_VALUE.isdisjoint(value)


def parse_header(header: str) -> dict[str, str]:
    """Read a Cookie header; what is no name=value pair is kept as a name without value."""
    pairs = (part.strip().partition("=") for part in header.split(";") if part.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


def merged_header(theirs: bytes, ours: Mapping[str, str]) -> bytes:
    """Write a Cookie header with a request's own cookies and ours, which win.

    Theirs stay byte by byte; ours are UTF-8, as Firefox sends them. One with a control character,
    which no site could have set, is left out.
    """
    kept = [
        part.strip()
        for part in theirs.split(b";")
        if part.strip() and text_of(part.partition(b"=")[0].strip()) not in ours
    ]
    added = [f"{n}={v}".encode() for n, v in ours.items() if (n + v).isprintable()]
    return b"; ".join([*kept, *added])


def set_name(header: bytes) -> str:
    """Return the name of the cookie that a Set-Cookie header sets."""
    return text_of(header[:_MAX_COOKIE].partition(b";")[0].partition(b"=")[0].strip())


def rotated(cookies: Iterable[Cookie], url: str, set_cookies: Iterable[str]) -> tuple[Cookie, ...]:
    """Return the cookies with the values that a response's Set-Cookie headers gave them.

    Only values change, and only of cookies that this host may set: sites that rotate their
    clearance do it by name, and a deletion is not followed because the next challenge tells more
    surely.
    """
    host = host_of(url)
    fresh: dict[tuple[str, str], tuple[str, float]] = {}
    for header in set_cookies:
        pair, *rest = header[:_MAX_COOKIE].split(";")
        name, _, value = (part.strip() for part in pair.partition("="))
        attributes = {k.strip().lower(): v.strip() for k, _, v in (r.partition("=") for r in rest)}
        domain = attributes.get("domain", "").lower().removeprefix(".") or host
        age = attributes.get("max-age", "")
        if (
            value
            and age != "0"
            and not age.startswith("-")
            and (host == domain or host.endswith("." + domain))
        ):
            known = age.isascii() and age.isdecimal() and len(age) < 12
            expires = time.time() + int(age) if known else -1.0
            fresh[name, domain] = (value, expires)
    return tuple(
        replace(c, value=found[0], expires=found[1])
        if (found := fresh.get((c.name, c.domain.lower().removeprefix(".")))) is not None
        else c
        for c in cookies
    )
