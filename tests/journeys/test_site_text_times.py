"""Whatever else reads what a site sends takes time in proportion to its length, too."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from captcha_bypass.browsers.failures import translate_page
from captcha_bypass.challenges import CLEARANCE_COOKIES, is_clearance, media_type
from captcha_bypass.egress import answers
from captcha_bypass.egress.rules import Destination
from captcha_bypass.solving import sources
from captcha_bypass.wire import text
from captcha_bypass_scrapy.documents import encoding_of
from tests.support.growth import grows_too_fast

if TYPE_CHECKING:
    from collections.abc import Callable


def _head(value: str) -> None:
    head = value.encode("latin-1")
    answers._FOR_PROXY.sub(b"", head)
    answers._STATUS_LINE.search(head)
    answers._END.search(head)
    answers._parsed(head, b"GET")


def _authority(value: str) -> None:
    with contextlib.suppress(ValueError):
        Destination.parse(value)


def _cookie_name(value: str) -> None:
    for vendor in CLEARANCE_COOKIES:
        is_clearance(value, vendor)


READERS: dict[str, tuple[Callable[[str], object], tuple[str, ...], tuple[str, ...]]] = {
    "answer heads": (
        _head,
        ("", "HTTP/1.1 200 OK\r\n", "HTTP/1", "ICY", "HTTP/1.1 "),
        ("a", " ", "1", ".", "a: b\r\n", "\r", "\n", "Proxy-Authenticate: ", ":", "Content-Length"),
    ),
    "hosts": (_authority, ("", "[", "a:"), ("a", ":", "1", ".", "[", "]", "a:1")),
    "sources": (
        lambda value: sources.decode(value.encode("latin-1"), value),
        ("", "<meta ", "\xe9"),
        ("charset", "charset=", "<meta ", "a", " ", "<", "\xe9", '"', "charset = '"),
    ),
    "visible text": (text.fold, ("",), (" ", "a", " a", "\u200b", "\u200b ")),
    "media types": (lambda value: media_type([value]), ("",), (",", ";", "a/b", "/", " ", "a/b,")),
    "error pages": (translate_page, ("about:neterror?",), ("e=", "&", "a", "?e=a&", "=")),
    "encodings": (
        lambda value: encoding_of(value, value),
        ("", "text/html; ", "<meta "),
        ("charset=", ";", '"', "a", " ", "\\", "<meta ", "<!--", "=", 'a="'),
    ),
    "cookie names": (_cookie_name, ("", "a"), ("a", "-", "_", "-anubis-auth", "incap_ses_", "cf_")),
}


@pytest.mark.parametrize("name", READERS)
def test_time_grows_with_the_length(name: str) -> None:
    read, starts, units = READERS[name]

    too_fast = [
        (start, unit)
        for start in starts
        for unit in units
        for end in ("", "\0", "!")
        if grows_too_fast(read, unit, 4096, start, end)
    ]

    assert too_fast == []
