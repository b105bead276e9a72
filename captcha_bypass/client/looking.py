"""Whether an answer is a challenge, from as few bytes of its body as that takes."""

from __future__ import annotations

import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from captcha_bypass import challenges
from captcha_bypass.challenges import LONGEST_INTERSTITIAL, Challenge, glance

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Bytes that nearly all pages are told by from challenges.
_GLANCE_BYTES = 4 * 1024
#: Bytes of a document, unpacked, that are looked at; more than LONGEST_INTERSTITIAL, so that a longer
#: page counts as one.
_MOST_BYTES = LONGEST_INTERSTITIAL + 1
#: Bytes of a challenge that are kept until it is known what becomes of it; a longer one is cut.
KEPT_BYTES = 1024 * 1024


class Look:
    """Looks at one answer.

    Args:
        headers: Pairs, as they came.
    """

    def __init__(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        self._status = status
        self._headers: dict[str, list[str]] = {}
        for name, value in headers:
            self._headers.setdefault(name.lower(), []).append(value)
        self._plain = (
            status in glance.ORDINARY
            and glance.TELLING_HEADERS.isdisjoint(self._headers)
            and not glance.telling_cookies(self._bytes("set-cookie"))
        )

    def wants(self, body: bytes) -> int:
        """Return how many bytes from the body's start it takes to tell.

        Args:
            body: As many as there are so far, as they came.
        """
        if not challenges.body_matters(self._status, self._headers):
            return 0
        if not self._plain:
            return _MOST_BYTES
        if len(body) < _GLANCE_BYTES:
            return _GLANCE_BYTES
        return _MOST_BYTES if self._marked(body) else 0

    def challenge(self, body: bytes) -> Challenge | None:
        """Say whose challenge it is, or None for the site's own answer.

        Args:
            body: As many bytes as `wants` has asked for, or all.
        """
        if self._plain and not self._marked(body):
            return None
        found = challenges.detect(self._status, self._headers, self._unpacked(body))
        return found if found is not None and found.solvable else None

    def set_cookies(self) -> list[str]:
        """Return the Set-Cookie headers."""
        return self._headers.get("set-cookie", [])

    def _marked(self, body: bytes) -> bool:
        return glance.marked(self._bytes("content-type"), self._unpacked(body))

    def _bytes(self, name: str) -> list[bytes]:
        return [value.encode("latin-1", "replace") for value in self._headers.get(name, [])]

    def _unpacked(self, body: bytes) -> bytes:
        coding = ",".join(self._headers.get("content-encoding", [])).strip().lower()
        return body if coding in ("", "identity") else _unpack(coding, body)


def _unpack(coding: str, body: bytes) -> bytes:
    """Return the start of what was packed, at most _MOST_BYTES; nothing where that cannot be read."""
    if coding in ("gzip", "x-gzip", "deflate"):
        # 47: zlib's own format, or gzip's. Some servers' deflate is neither.
        for wbits in (47, -15):
            try:
                return zlib.decompressobj(wbits).decompress(body, _MOST_BYTES)
            except zlib.error:
                continue
    elif coding == "br" and (brotli := _module("brotli")) is not None:
        try:
            found: bytes = brotli.Decompressor().process(body, output_buffer_limit=_MOST_BYTES)
        except (brotli.error, TypeError):  # TypeError: one that cannot be bounded
            return b""
        return found[:_MOST_BYTES]  # it may be a little more
    elif coding == "zstd" and (zstd := _module("compression.zstd", "backports.zstd")) is not None:
        try:
            found = zstd.ZstdDecompressor().decompress(body, _MOST_BYTES)
        except zstd.ZstdError:
            return b""
        return found
    return b""


def _module(*names: str) -> Any:  # noqa: ANN401 - modules without types
    """Return the first of these modules that is there: HTTP libraries have them where they use them."""
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    return None
