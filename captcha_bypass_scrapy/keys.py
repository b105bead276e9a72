"""Where a request goes and how it gets there: the key of a clearance."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from scrapy import Request

_PORTS = {"http": 80, "https": 443, "socks5": 1080}


@dataclass(frozen=True, slots=True)
class Exit:
    """A proxy with its login: two logins at one proxy may leave by two addresses."""

    server: str
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.server

    def as_task(self) -> dict[str, str]:
        """Return the field `proxy` of POST /solve."""
        fields = {"server": self.server, "username": self.username, "password": self.password}
        return {name: value for name, value in fields.items() if value}


class Key(NamedTuple):
    """What one clearance is good for."""

    origin: str
    exit: Exit | None

    def __str__(self) -> str:
        return f"{self.origin} through {self.exit}" if self.exit else self.origin


def origin_of(url: str) -> str:
    """Return scheme://host, with the port where it is not the scheme's own."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if ":" in host:
        host = f"[{host}]"
    port = parts.port
    own = port is None or port == _PORTS.get(parts.scheme)
    return f"{parts.scheme}://{host}" if own else f"{parts.scheme}://{host}:{port}"


def same_site(one: str, other: str) -> bool:
    """Whether a redirect between two URLs stays at home: http to https, example.com to www."""
    first, second = ((urlsplit(url).hostname or "").lower() for url in (one, other))
    return first == second or first.endswith("." + second) or second.endswith("." + first)


def exit_of(request: Request) -> Exit | None:
    """Return the proxy a request leaves by.

    HttpProxyMiddleware takes the login out of `meta["proxy"]` into a header, so both are read.
    """
    proxy = request.meta.get("proxy")
    if not proxy:
        return None
    text = str(proxy).removeprefix("//")
    parts = urlsplit(text if "://" in text else f"http://{text}")
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = parts.port or _PORTS.get(parts.scheme, 80)
    username, password = parts.username, parts.password
    if username is not None:
        login = unquote(username), unquote(password or "")
    else:
        login = _basic_login(request.headers.get(b"Proxy-Authorization"))
    return Exit(f"{parts.scheme}://{host}:{port}", login[0] or None, login[1] or None)


def _basic_login(header: bytes | None) -> tuple[str, str]:
    scheme, _, value = (header or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return "", ""
    try:
        raw = base64.b64decode(value.strip(), validate=True)
    except binascii.Error:
        return "", ""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # HTTPPROXY_AUTH_ENCODING's default
    username, _, password = text.partition(":")
    return username, password
