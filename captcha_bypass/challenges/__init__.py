"""Tells bot challenges, captchas and refusals from normal pages.

Pure functions of (status, headers, body). Header names are in any case; a value is a string or
several, and a string may hold several joined by newlines, as browser drivers report Set-Cookie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .document import Document
from .headers import Kind
from .signatures import BODY_RULES, CLEARANCE_COOKIES, HEADER_RULES, REFINED_BY_BODY, is_clearance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "CLEARANCE_COOKIES",
    "KINDS",
    "LONGEST_INTERSTITIAL",
    "SHOWN_AS_HTML",
    "VENDORS",
    "Challenge",
    "Kind",
    "body_matters",
    "detect",
    "detect_headers",
    "is_clearance",
    "media_type",
]

#: Every name that `Challenge.vendor` may have.
VENDORS = frozenset(rule.vendor for rules in (HEADER_RULES, BODY_RULES) for rule in rules)


def _kinds(vendor: str) -> frozenset[Kind]:
    rules = (rule for found in (HEADER_RULES, BODY_RULES) for rule in found)
    kinds = {rule.kind for rule in rules if rule.vendor == vendor}
    return frozenset(kinds | {"human"} if "automatic" in kinds else kinds)


#: The kinds of each vendor's challenges: one that is automatic may turn out to show a captcha.
KINDS: Mapping[str, frozenset[Kind]] = {vendor: _kinds(vendor) for vendor in VENDORS}

# Challenge pages are small and carry their marks near the top; what follows is content.
_SCAN_LIMIT = 16 * 1024
#: No known interstitial is this long, so a longer page that loaded well is the page itself: whoever
#: cuts a document before `detect` leaves it longer than this.
LONGEST_INTERSTITIAL = 64 * 1024
#: What browsers show as HTML: their own types, and those of which they look at the content instead
#: (https://mimesniff.spec.whatwg.org/#determining-the-computed-mime-type-of-a-resource).
SHOWN_AS_HTML = frozenset(
    {"", "text/html", "application/xhtml+xml", "unknown/unknown", "application/unknown"}
)
# Lines of a header that are looked at, and characters of each: what browsers take of cookies.
_HEADER_LINES = 200
_HEADER_CHARS = 4096
_READ = frozenset(rule.name for rule in HEADER_RULES) | {"content-type", "content-length"}


@dataclass(frozen=True, slots=True)
class Challenge:
    """What stands between the client and the page.

    Attributes:
        vendor: Lower-case name of the protection; ``"captcha"`` when only a widget is known.
        kind: ``"automatic"`` passes by itself in a browser, ``"human"`` waits for a person,
            ``"block"`` is a refusal that a browser does not change.
    """

    vendor: str
    kind: Kind

    @property
    def solvable(self) -> bool:
        """Whether opening the page in a browser can help."""
        return self.kind != "block"


def detect(
    status: int, headers: Mapping[str, str | Sequence[str]], body: str | bytes = ""
) -> Challenge | None:
    """Say what the response is instead of the page, or None for a normal one.

    Args:
        status: HTTP status of the response.
        headers: Its headers.
        body: The document as received, decompressed, or as serialized by a browser.
    """
    fields = _normalise(headers)
    found = _from_headers(status, fields)
    if not body or not _worth_reading(status, fields, found):
        return found
    if status < 400 and len(body) > LONGEST_INTERSTITIAL:
        return found
    return _from_body(status, body, found) or found


def detect_headers(status: int, headers: Mapping[str, str | Sequence[str]]) -> Challenge | None:
    """Say what can be said without the body; None leaves `body_matters` to be asked."""
    return _from_headers(status, _normalise(headers))


def body_matters(status: int, headers: Mapping[str, str | Sequence[str]]) -> bool:
    """Say whether `detect` could answer differently with the body than without it."""
    fields = _normalise(headers)
    return _worth_reading(status, fields, _from_headers(status, fields))


def _normalise(headers: Mapping[str, str | Sequence[str]]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for given, value in headers.items():
        if (name := given.lower()) not in _READ:
            continue
        values = fields.setdefault(name, [])
        for part in [value] if isinstance(value, str) else value:
            if len(values) < _HEADER_LINES:
                lines = part[: _HEADER_LINES * _HEADER_CHARS].split("\n", _HEADER_LINES)
                values += [line[:_HEADER_CHARS].strip().lower() for line in lines]
    return fields


def _from_headers(status: int, fields: dict[str, list[str]]) -> Challenge | None:
    for rule in HEADER_RULES:
        if rule.name in fields and rule.matches(status, fields[rule.name]):
            return Challenge(rule.vendor, rule.kind)
    return None


def _worth_reading(status: int, fields: dict[str, list[str]], found: Challenge | None) -> bool:
    if found is not None and found.vendor not in REFINED_BY_BODY:
        return False
    declared = media_type(fields.get("content-type", ()))
    # A challenge page is HTML. Errors may come as JSON, to clients that ask for it, or as one line
    # of text ("error code: 1020").
    if declared not in SHOWN_AS_HTML and not (
        400 <= status < 500
        and (declared in {"application/json", "text/plain"} or declared.endswith("+json"))
    ):
        return False
    return status >= 400 or _declared_length(fields) <= LONGEST_INTERSTITIAL


def media_type(content_types: Iterable[str]) -> str:
    """Return the media type that browsers take from Content-Type headers, in lower case.

    That is the last one that is a type
    (https://fetch.spec.whatwg.org/#concept-header-extract-mime-type), or nothing.
    """
    declared = ""
    for part in ",".join(content_types).split(","):
        kind = part.partition(";")[0].strip().lower()
        main, slash, sub = kind.partition("/")
        if main and slash and sub and kind != "*/*":
            declared = kind
    return declared


def _declared_length(fields: dict[str, list[str]]) -> int:
    length = _first(fields, "content-length")
    return int(length) if length.isdecimal() and len(length) < 19 else 0


def _first(fields: dict[str, list[str]], name: str) -> str:
    return next(iter(fields.get(name, ())), "")


def _from_body(status: int, body: str | bytes, found: Challenge | None) -> Challenge | None:
    window = body[:_SCAN_LIMIT]
    # The marks are ASCII, and Latin-1 decodes any bytes without altering those.
    document = Document((window.decode("latin-1") if isinstance(window, bytes) else window).lower())
    for rule in BODY_RULES:
        if (found is None or found.vendor == rule.vendor) and rule.matches(status, document):
            return Challenge(rule.vendor, rule.kind)
    return None
