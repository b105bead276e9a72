"""The proxy of a task: who it is, and how a connection through it is asked for."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr
from python_socks import ProxyConnectionError, ProxyError, ProxyType
from python_socks.async_.asyncio.v2 import Proxy as SocksProxy

from captcha_bypass.egress.rules import Destination
from captcha_bypass.errors import TaskError

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


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
    def of(
        cls, server: str, username: str | None, password: SecretStr | None, *, trusted: bool = False
    ) -> Upstream:
        """Take scheme and place out of `scheme://host:port`."""
        scheme, _, authority = server.partition("://")
        secret = "" if password is None else password.get_secret_value()
        return cls(scheme, Destination.parse(authority), username, secret, trusted)

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


async def start_tls(upstream: Upstream, writer: asyncio.StreamWriter) -> None:
    """Talk TLS to an https proxy from here on.

    Raises:
        TaskError: `proxy_error`: its certificate is not trusted, or it does not speak TLS.
    """
    try:
        context = ssl.create_default_context()
        await writer.start_tls(context, server_hostname=upstream.destination.host)
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


async def through_socks(
    upstream: Upstream, addresses: Sequence[str], destination: Destination
) -> Streams:
    """Open a connection through a SOCKS5 proxy at the first of its addresses that answers.

    Raises:
        TaskError: `proxy_error`: it refused, or cannot be reached.
    """
    password = None if upstream.username is None else upstream.password
    for address in addresses:
        port = upstream.destination.port
        client = SocksProxy(ProxyType.SOCKS5, address, port, upstream.username, password)
        try:
            stream = await client.connect(*destination)
        except ProxyConnectionError:
            continue
        except ProxyError as error:
            raise refusal(error.error_code) from None
        except (OSError, EOFError, ValueError):
            raise refusal(None) from None
        return stream.reader, stream.writer
    raise unreachable()


def unreachable() -> TaskError:
    """Return the error for a proxy that does not answer at all."""
    message = "The proxy cannot be reached; check proxy.server (or --proxy-url)."
    return TaskError("proxy_error", message)


def refusal(status: int | None) -> TaskError:
    """Return the error for a proxy that answered with that HTTP status or SOCKS reply code."""
    if status == 407:
        message = (
            "The proxy wants other credentials (407); check proxy.username and proxy.password "
            "(or --proxy-username and --proxy-password)."
        )
    elif status is None:
        message = "The proxy refused; check its kind, address and credentials."
    else:
        message = f"The proxy did not open the connection (it answered {status})."
    return TaskError("proxy_error", message)
