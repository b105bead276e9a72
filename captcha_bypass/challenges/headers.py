"""How a mark shows in a response header: what its value is, or begins with.

Sites choose the values, so each test takes time in proportion to their length; no regular
expression runs on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

#: Who passes it: a browser by itself (`automatic`), a person (`human`), or nobody (`block`).
Kind = Literal["automatic", "human", "block"]

_HEX = frozenset("0123456789abcdef")
#: The groups of a UUID.
_UUID = [8, 4, 4, 4, 12]


def is_word(word: str) -> Callable[[str], bool]:
    """The value is this."""
    return lambda value: value == word


def begins_with(word: str) -> Callable[[str], bool]:
    """The value is this, or goes on with something else than a letter or digit."""
    return lambda value: value.startswith(word) and not value[len(word) :][:1].isalnum()


def given(value: str) -> bool:
    """There is a value."""
    return value != ""


def host_below(suffix: str) -> Callable[[str], bool]:
    """The value is a URL on such a host."""
    return lambda value: _url(value)[0].endswith(suffix)


def google_sorry(value: str) -> bool:
    """The page for "unusual traffic", on a Google of any country."""
    host, path = _url(value)
    return path.startswith("/sorry/") and (host.startswith("google.") or ".google." in host)


def _url(value: str) -> tuple[str, str]:
    """Return host and path; both empty where it is no such URL."""
    if not value.startswith(("http://", "https://")):
        return "", ""
    try:
        parts = urlsplit(value)
    except ValueError:
        return "", ""
    return parts.netloc, parts.path


def anubis_cookie(value: str) -> bool:
    """A cookie `...-cookie-verification` with a UUID; newer ones add a hash of the settings."""
    name, _, rest = value.partition("=")
    mark = "-cookie-verification"
    before, found, added = name.partition(mark)
    if not found or any(sign in before for sign in "; \t"):
        return False
    if added and not (added[0] == "-" and len(added) == 9 and _HEX.issuperset(added[1:])):
        return False
    groups = rest[:36].split("-")
    return [len(group) for group in groups] == _UUID and all(map(_HEX.issuperset, groups))


def go_away_refresh(value: str) -> bool:
    """A reload of go-away's own; the last part of its path can be configured."""
    seconds, _, rest = value.partition(";")
    key, _, url = rest.partition("=")
    if not seconds.isdecimal() or key.strip() != "url":
        return False
    path = url.strip().partition("?")[0]
    _, found, below = path.partition("/.well-known/.")
    return found != "" and "go-away/" in below and len(path.split()) == 1


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """A mark in one response header."""

    vendor: str
    kind: Kind
    name: str  # lower case
    is_mark: Callable[[str], bool]  # of a value in lower case
    statuses: frozenset[int] | None = None  # None: any

    def matches(self, status: int, values: list[str]) -> bool:
        """Whether one of the header's values, in lower case, has the mark."""
        if self.statuses is not None and status not in self.statuses:
            return False
        return any(map(self.is_mark, values))
