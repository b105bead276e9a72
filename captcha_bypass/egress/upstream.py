"""The proxy of a task: who it is, and how a connection through it is asked for."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

from python_socks import ProxyError, ProxyType
from python_socks.async_.asyncio.v2 import Proxy as Socks

from captcha_bypass.egress.rules import Destination
from captcha_bypass.errors import TaskError
from captcha_bypass.wire.models import Proxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

#: HTTP's status for it; SOCKS has none.
WRONG_LOGIN = 407


@dataclass(frozen=True)
class Upstream:
    """The proxy a task's traffic goes through; `scheme` is http, https or socks5."""

    scheme: str
    destination: Destination
    username: str | None = None
    password: str = field(default="", repr=False)
    #: The operator's own: it may have an address that is not public.
    trusted: bool = False

    @classmethod
    def of(cls, proxy: Proxy, *, trusted: bool = False) -> Upstream:
        """Return the proxy that a request, or the operator, has named."""
        scheme, _, authority = proxy.server.partition("://")
        password = "" if proxy.password is None else proxy.password.get_secret_value()
        return cls(scheme, Destination.parse(authority), proxy.username, password, trusted)

    @property
    def is_http(self) -> bool:
        """Whether it takes plain http requests as they are, without a tunnel."""
        return self.scheme != "socks5"

    @property
    def credentials(self) -> bytes:
        """The header line that logs in to it (RFC 7617), or nothing."""
        if self.username is None:
            return b""
        pair = base64.b64encode(f"{self.username}:{self.password}".encode())
        return b"Proxy-Authorization: Basic " + pair + b"\r\n"


@cache
def tls_context() -> ssl.SSLContext:
    """Return what an https proxy's certificate is checked with; reading it takes 20 ms, so once."""
    return ssl.create_default_context()


async def start_tls(upstream: Upstream, writer: asyncio.StreamWriter) -> None:
    """Talk TLS to an https proxy from here on.

    Raises:
        TaskError: `proxy_error`: its certificate is not trusted, or it does not speak TLS.
    """
    try:
        await writer.start_tls(tls_context(), server_hostname=upstream.destination.host)
    except (OSError, ValueError):
        message = "No trusted TLS connection to the proxy; check its scheme and certificate."
        raise TaskError("proxy_error", message) from None


async def ask_http_proxy(upstream: Upstream, proxy: Streams, destination: Destination) -> None:
    """Turn a connection to an http proxy into one to a destination (RFC 9110, section 9.3.6).

    Raises:
        TaskError: `proxy_error`: it refused.
    """
    reader, writer = proxy
    head = f"CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n".encode()
    writer.write(head + upstream.credentials + b"\r\n")
    try:
        answer = await reader.readuntil(b"\r\n\r\n")
    except (OSError, EOFError, asyncio.LimitOverrunError):
        raise refusal(None) from None
    status = re.match(rb"HTTP/1\.\d (\d{3})", answer)
    if status is None or not status[1].startswith(b"2"):
        raise refusal(int(status[1]) if status else None)


async def ask_socks_proxy(upstream: Upstream, proxy: Streams, destination: Destination) -> None:
    """Turn a connection to a SOCKS5 proxy into one to a destination (RFC 1928, RFC 1929).

    Raises:
        TaskError: `proxy_error`: it refused.
    """
    password = None if upstream.username is None else _Given(upstream.password)
    dialled: Any = _Dialled(proxy)
    place = upstream.destination
    client = Socks(ProxyType.SOCKS5, *place, upstream.username, password, forward=dialled)
    try:
        await client.connect(*destination)
    except ProxyError as error:
        # The library has no number for a login that was refused, or that nobody gave.
        wrong_login = "authentication" in str(error)
        raise refusal(WRONG_LOGIN if wrong_login else error.error_code) from None
    except (OSError, EOFError, ValueError, AssertionError):
        raise refusal(None) from None  # it answered something else


class _Given(str):
    """A password that was given, though it may be empty: the library takes an empty one for none."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return True


class _Dialled:
    """Gives the library a connection that is there already, to an address that was checked.

    It stands where the library would go through another proxy first, and is the stream as well.
    """

    def __init__(self, streams: Streams) -> None:
        self._reader, self._writer = streams

    async def connect(self, **_: object) -> Self:
        return self

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def read_exactly(self, size: int) -> bytes:
        return await self._reader.readexactly(size)

    async def close(self) -> None:
        """Whoever dialled closes it."""


def unreachable() -> TaskError:
    """Return the error for a proxy that does not answer at all."""
    message = "The proxy cannot be reached; check proxy.server (or --proxy-url)."
    return TaskError("proxy_error", message)


def refusal(status: int | None) -> TaskError:
    """Return the error for a proxy that answered with that HTTP status or SOCKS reply code."""
    if status == WRONG_LOGIN:
        message = (
            "The proxy wants other credentials; check proxy.username and proxy.password "
            "(or --proxy-username and --proxy-password)."
        )
    elif status is None:
        message = "The proxy refused; check its kind, address and credentials."
    else:
        message = f"The proxy did not open the connection (it answered {status})."
    return TaskError("proxy_error", message)
