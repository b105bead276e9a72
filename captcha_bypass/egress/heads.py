"""Heads of the requests that a browser sends to its proxy."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from captcha_bypass.egress.rules import Destination

#: Meant for the proxy, not for the site.
_FOR_PROXY = (b"proxy-connection:", b"proxy-authorization:")
#: A page chooses much of what these read, so no repeat in them can go back (`++`, `*+`).
_FIRST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++) (\S++) HTTP/1\.1")
#: No blank before the colon, no line folded, none that ends in another way: what follows a head must
#: be the same to us and to whoever gets it.
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++):([^\r\n\0]*+)")
_ABSOLUTE = re.compile(rb"(?i:http)://([^/?#]++)([^#]*+)(?:#.*+)?")


@dataclass(frozen=True)
class Head:
    """The head of one request."""

    method: bytes
    #: As it stands: `host:port` for CONNECT, else the whole URL.
    target: bytes
    destination: Destination
    #: What the site itself gets as target.
    path: bytes
    #: Header lines without those for the proxy.
    lines: list[bytes]
    #: Bytes that follow the head.
    body_bytes: int

    @property
    def is_connect(self) -> bool:
        """Whether the browser asks for a tunnel."""
        return self.method == b"CONNECT"

    def for_site(self) -> bytes:
        """Return the head as the site itself takes it."""
        return self._with_target(self.path)

    def for_proxy(self, credentials: bytes) -> bytes:
        """Return the head as another proxy takes it, with its login."""
        return self._with_target(self.target, credentials)

    def _with_target(self, target: bytes, extra: bytes = b"") -> bytes:
        first = b"%b %b HTTP/1.1\r\n" % (self.method, target)
        return first + b"".join(line + b"\r\n" for line in self.lines) + extra + b"\r\n"


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read the next request's head; None when the browser has hung up.

    Raises:
        ValueError: it is no request to a proxy, or too long.
    """
    try:
        text = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, OSError):
        return None
    except asyncio.LimitOverrunError:
        raise ValueError("the head is too long") from None
    first, *lines = text[:-4].split(b"\r\n")
    match = _FIRST_LINE.fullmatch(first)
    if match is None:
        raise ValueError("not an HTTP/1.1 request")
    method, target = match.groups()
    if method == b"CONNECT":
        return Head(method, target, Destination.parse(target.decode("ascii")), b"", [], 0)
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise ValueError("not a request to a proxy")
    destination = Destination.parse(absolute[1].decode("ascii"), default_port=80)
    path = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
    kept = [line for line in lines if not line.lower().startswith(_FOR_PROXY)]
    return Head(method, target, destination, path, kept, _body_bytes(kept))


def _body_bytes(lines: list[bytes]) -> int:
    """Browsers send a body's length ahead; anything else cannot be told from the next request."""
    lengths = []
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError("a line that is no header")
        name, value = match[1].lower(), match[2].strip(b" \t")
        if name == b"transfer-encoding":
            raise ValueError("a body without a length")
        if name == b"content-length":
            lengths.append(value)
    if len(lengths) > 1 or not all(value.isdigit() for value in lengths):
        raise ValueError("a length that is none")
    return sum(map(int, lengths))
