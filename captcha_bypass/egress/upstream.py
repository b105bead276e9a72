"""The task's own proxy: who it is, and how a connection through it is asked for."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address

from captcha_bypass.egress.rules import Destination
from captcha_bypass.errors import TaskError

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


async def ask(upstream: Upstream, proxy: Streams, destination: Destination) -> None:
    """Turn a connection to a proxy into one to a destination.

    Raises:
        TaskError: `proxy_error`: it refused.
    """
    asking = _ask_http if upstream.is_http else _ask_socks
    try:
        await asking(upstream, proxy, destination)
    except (OSError, EOFError, KeyError, ValueError, asyncio.LimitOverrunError):
        # It hung up, or answered something else.
        raise refusal(None) from None


async def _ask_http(upstream: Upstream, proxy: Streams, destination: Destination) -> None:
    """By CONNECT (RFC 9110, section 9.3.6)."""
    reader, writer = proxy
    head = f"CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n".encode()
    writer.write(head + upstream.credentials + b"\r\n")
    answer = await reader.readuntil(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.\d (\d{3})", answer)
    if status is None or not status[1].startswith(b"2"):
        raise refusal(int(status[1]) if status else None)


async def _ask_socks(upstream: Upstream, proxy: Streams, destination: Destination) -> None:
    """By SOCKS5 (RFC 1928), with a login if there is one (RFC 1929)."""
    reader, writer = proxy
    username = upstream.username
    writer.write(b"\5\1\0" if username is None else b"\5\2\0\2")
    version, method = await reader.readexactly(2)
    if version == 5 and method == 2 and username is not None:
        writer.write(b"\1" + _counted(username) + _counted(upstream.password))
        if (await reader.readexactly(2))[1] != 0:
            raise refusal(WRONG_LOGIN)
    elif version != 5 or method != 0:
        raise refusal(WRONG_LOGIN if version == 5 else None)
    writer.write(b"\5\1\0" + _place(destination))
    version, reply, _, kind = await reader.readexactly(4)
    if version != 5 or reply != 0:
        raise refusal(reply if version == 5 else None)
    # Where it connects from, which nobody wants to know.
    size = (await reader.readexactly(1))[0] if kind == 3 else {1: 4, 4: 16}[kind]
    await reader.readexactly(size + 2)


def _counted(text: str) -> bytes:
    data = text.encode()
    return bytes([len(data)]) + data


def _place(destination: Destination) -> bytes:
    """Names stay names: the proxy resolves them."""
    try:
        address = ip_address(destination.host)
    except ValueError:
        place = b"\3" + _counted(destination.host)
    else:
        place = (b"\1" if address.version == 4 else b"\4") + address.packed
    return place + destination.port.to_bytes(2, "big")


def unreachable() -> TaskError:
    """Return the error for a proxy that does not answer at all."""
    return TaskError("proxy_error", "The proxy cannot be reached; check proxy.server.")


def refusal(status: int | None) -> TaskError:
    """Return the error for a proxy that answered with that HTTP status or SOCKS reply code."""
    if status == WRONG_LOGIN:
        message = "The proxy wants other credentials; check proxy.username and proxy.password."
    elif status is None:
        message = "The proxy refused; check its kind, address and credentials."
    else:
        message = f"The proxy did not open the connection (it answered {status})."
    return TaskError("proxy_error", message)
