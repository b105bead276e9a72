"""Every error of the browser has a code; proxies are used for everything or fail."""

from __future__ import annotations

import asyncio
import base64
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.hard_site import SEEN
from tests.support.service import Service
from tests.support.solve_client import Client

pytestmark = pytest.mark.browser


async def code(client: Client, url: str, **more: object) -> str:
    view = await client.solve(url=url, success_text="never", timeout=10, **more)
    assert view["status"] == "error", view
    assert view["data"] is None
    return str(view["error"]["code"])


async def test_unknown_host(client: Client) -> None:
    # .invalid never resolves (RFC 2606): no packet but the resolver's.
    assert await code(client, "http://nowhere.invalid/") == "dns_error"


async def test_closed_port(client: Client) -> None:
    assert await code(client, "http://127.0.0.1:65431/") == "connection_refused"


async def test_port_that_browsers_deny(client: Client) -> None:
    assert await code(client, "http://127.0.0.1:25/") == "blocked_address"


async def test_redirect_loop(client: Client, hard: TestServer) -> None:
    assert await code(client, str(hard.make_url("/loop"))) == "redirect_loop"


async def test_connection_broken_off(client: Client) -> None:
    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    server = await asyncio.start_server(slam, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await code(client, f"http://127.0.0.1:{port}/") == "connection_reset"


@pytest.mark.parametrize("page", ["garbled", "to-garbled"])
async def test_page_that_the_browser_cannot_decode(
    client: Client, hard: TestServer, page: str
) -> None:
    url = str(hard.make_url(f"/{page}"))
    view = await client.solve(url=url, success_text="compression", timeout=15)
    assert view["status"] == "error", view
    assert view["error"]["code"] == "navigation_error"
    assert "contentEncodingError" in view["error"]["message"]


async def test_https_to_a_plain_port(client: Client, hard: TestServer) -> None:
    assert await code(client, f"https://127.0.0.1:{hard.port}/") == "tls_error"


@pytest.fixture
def own_certificate(tmp_path: Path) -> ssl.SSLContext:
    """TLS with a certificate that nobody trusts."""
    key, cert = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run([*request, "-keyout", key, "-out", cert], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


async def test_untrusted_certificate(client: Client, own_certificate: ssl.SSLContext) -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=own_certificate)
    await site.start()
    try:
        port = runner.addresses[0][1]
        assert await code(client, f"https://127.0.0.1:{port}/") == "tls_error"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("page", "expected"), [("js-to-dead", "dns_error"), ("js-to-inside", "blocked_address")]
)
async def test_page_that_leads_to_what_cannot_be_reached_ends_at_once(
    client: Client, hard: TestServer, page: str, expected: str
) -> None:
    view = await client.solve(url=str(hard.make_url(f"/{page}")), success_text="never", timeout=30)
    assert view["error"]["code"] == expected, view


class Proxy:
    """A real HTTP proxy for plain http, which wants user:pass and counts what it did."""

    credentials = "Basic " + base64.b64encode(b"user:pass").decode()

    def __init__(self) -> None:
        self.served: list[str] = []
        self.refused = 0
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()

    def close(self) -> None:
        """Hang up: a warm browser keeps its connections for the next page."""
        for writer in self._open:
            writer.close()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = dict(
                    line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
                )
                lowered = {name.lower(): value for name, value in headers.items()}
                if lowered.get("proxy-authorization") != self.credentials:
                    self.refused += 1
                    writer.write(
                        b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                        b'Proxy-Authenticate: Basic realm="p"\r\nContent-Length: 0\r\n\r\n'
                    )
                else:
                    self.served.append(head.split()[1])
                    body = b"<p>through the proxy</p>"
                    writer.write(
                        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
                        b"Content-Length: %d\r\n\r\n" % len(body) + body
                    )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self._open.discard(writer)
            writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    yield proxy
    server.close()
    proxy.close()
    await server.wait_closed()


async def test_proxy_with_credentials_carries_the_task(
    client: Client, hard: TestServer, proxy: Proxy, service: Service
) -> None:
    url = str(hard.make_url("/plain"))
    settings = {"server": f"http://127.0.0.1:{proxy.port}", "username": "user", "password": "pass"}
    data = await client.solved(
        url=url, success_text="through the proxy", timeout=20, proxy=settings
    )
    assert data["timeout_reached"] is False
    assert url in proxy.served
    assert not hard.app[SEEN]


@pytest.mark.parametrize("password", ["wrong-canary-1", None])
async def test_proxy_that_refuses_is_an_error_and_never_a_direct_connection(
    client: Client, hard: TestServer, proxy: Proxy, service: Service, password: str | None
) -> None:
    settings = {"server": f"http://127.0.0.1:{proxy.port}"}
    if password is not None:
        settings |= {"username": "user", "password": password}
    url = str(hard.make_url("/plain"))
    assert await code(client, url, proxy=settings) == "proxy_error"
    assert proxy.refused
    assert not hard.app[SEEN]
    assert "wrong-canary-1" not in service.log


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_dead_proxy_is_an_error_and_never_a_direct_connection(
    client: Client, hard: TestServer, scheme: str
) -> None:
    url = str(hard.make_url("/plain"))
    settings = {"server": f"{scheme}://127.0.0.1:65431"}
    assert await code(client, url, proxy=settings) == "proxy_error"
    assert not hard.app[SEEN]
