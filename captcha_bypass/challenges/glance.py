"""Which answers are plainly normal, for crawlers that ask about every page.

`detect` reads 16 KiB for dozens of marks. Nearly all pages of a crawl are open ones, and these tests
cost them a few microseconds: headers first, the body only where they leave doubt.
"""

from __future__ import annotations

from captcha_bypass.challenges.signatures import HEADER_RULES

#: Sites answer with these by themselves. Of the vendors only those below are known to.
ORDINARY = frozenset({200, 201, 203, 206, 304, 404, 410})
#: In lower case: a vendor's mark, or a sign of one who challenges with status 200. Of `server` and
#: `location` there are marks with other statuses only; cookies are looked at by `telling_cookies`.
TELLING_HEADERS = frozenset(rule.name for rule in HEADER_RULES) - {
    "server",
    "location",
    "set-cookie",
} | {"x-iinfo", "x-cdn", "x-sucuri-id"}
_COOKIES = (b"-cookie-verification", b"incap_", b"acw_", b"go-away-", b"queue-it")
#: Of the rules that count with these statuses, as the vendors write them, in as few words as possible.
_MARKS = (b"ncapsula", b"sucuri_cloudproxy_js", b"go-away", b"var arg1", b"aliyun_waf_aa")
#: Documents of these vendors may begin with styles or settings of some KiB.
_LATE_MARKS = (b"_cf_chl_opt", b"anubis", b"data-pageid")
_MARK_BYTES = 2 * 1024
_LATE_BYTES = 4 * 1024
#: Media types of documents that no vendor sends in place of a page.
_OTHER_KINDS = (b"image/", b"application/json", b"text/plain", b"text/css", b"font/", b"video/")


def telling_cookies(cookies: list[bytes]) -> bool:
    """Whether a Set-Cookie header is that of a vendor who challenges with status 200."""
    if not cookies:
        return False
    return _has(b"\n".join(cookies).lower(), _COOKIES)


def marked(kinds: list[bytes], body: bytes) -> bool:
    """Whether the top of a document has a mark, so that `detect` should be asked.

    Args:
        kinds: The values of Content-Type.
        body: The document, decompressed.
    """
    if len(kinds) == 1 and kinds[0].startswith(_OTHER_KINDS) and b"," not in kinds[0]:
        return False
    return _has(body[:_MARK_BYTES], _MARKS) or _has(body[:_LATE_BYTES], _LATE_MARKS)


def _has(text: bytes, marks: tuple[bytes, ...]) -> bool:
    for mark in marks:  # noqa: SIM110 - a generator takes longer than the search
        if mark in text:
            return True
    return False
