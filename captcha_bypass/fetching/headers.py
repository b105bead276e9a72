"""Which request headers and methods a page may send: the Fetch standard's rules, and two of ours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

from captcha_bypass.errors import FieldError
from captcha_bypass.fetching.messages import Headers, Request, origin_of

#: https://fetch.spec.whatwg.org/#forbidden-request-header, without cookies and Referer: see below.
FORBIDDEN = frozenset(
    {
        *("accept-charset", "accept-encoding"),
        *("access-control-request-headers", "access-control-request-method"),
        *("connection", "content-length", "date", "dnt", "expect", "host", "keep-alive", "origin"),
        *("set-cookie", "te", "trailer", "transfer-encoding", "upgrade", "via"),
    }
)
_FORBIDDEN_PREFIXES = ("proxy-", "sec-")
_COOKIES = frozenset({"cookie", "cookie2"})
#: Headers by which some frameworks let a request say another method than its own.
_OVERRIDES = frozenset({"x-http-method", "x-http-method-override", "x-method-override"})
#: https://fetch.spec.whatwg.org/#forbidden-method
FORBIDDEN_METHODS = frozenset({"CONNECT", "TRACE", "TRACK"})
_WITHOUT_BODY = frozenset({"GET", "HEAD"})

#: RFC 9110 section 5.6.2, `token`.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
#: What a value may not have anywhere; blanks around it are not sent.
_NOT_IN_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_BLANKS = " \t"

_BROWSERS_OWN = "is set by the browser itself"


def refusals(request: Request) -> list[FieldError]:
    """Return what a page could not send as it is asked for; no message has a value in it."""
    found = []
    method = request.method.upper()
    if not _TOKEN.fullmatch(request.method):
        found.append(FieldError("method", "is not an HTTP method"))
    elif method in FORBIDDEN_METHODS:
        found.append(FieldError("method", "browsers do not send CONNECT, TRACE or TRACK"))
    elif request.body is not None and method in _WITHOUT_BODY:
        found.append(FieldError("body", f"browsers send no body with {method}"))
    origin = origin_of(request.url)
    for index, (name, value) in enumerate(request.headers):
        if not _TOKEN.fullmatch(name):
            found.append(FieldError(f"headers.{index}", "is not a header name"))
        elif reason := _refusal(name.lower(), value, origin):
            found.append(FieldError(f"headers.{name}", reason))
    return found


def _refusal(name: str, value: str, origin: str) -> str | None:
    if name in _COOKIES:
        return "is set by the browser; cookies have a field of their own"
    if name == "user-agent":
        # Pages may set it; but then it is not the browser any more that got the clearance.
        return "is the browser's own, which its clearance is bound to"
    if name in FORBIDDEN or name.startswith(_FORBIDDEN_PREFIXES):
        return _BROWSERS_OWN
    if _NOT_IN_VALUE.search(value):
        return "must be Latin-1 text without control characters"
    if name in _OVERRIDES and FORBIDDEN_METHODS & {
        m.strip(_BLANKS).upper() for m in value.split(",")
    }:
        return "browsers do not send CONNECT, TRACE or TRACK"
    if name == "referer" and not _is_of(origin, value):
        return "must be a URL of the site that is asked; browsers send no other"
    return None


def _is_of(origin: str, url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https") and origin_of(url) == origin
    except ValueError:  # a port or address that is none
        return False


def as_page_sends(headers: Sequence[tuple[str, str]]) -> tuple[Headers, str]:
    """Part headers that nothing is wrong with into those that a page sets, and its referrer.

    Returns:
        The headers, and a URL without fragment and credentials; empty: none is sent.
    """
    referrer = ""
    kept = []
    for name, value in headers:
        if name.lower() == "referer":
            parts = urlsplit(value)
            host = parts.netloc.rpartition("@")[2]
            referrer = urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
        else:
            kept.append((name, value))
    return tuple(kept), referrer
