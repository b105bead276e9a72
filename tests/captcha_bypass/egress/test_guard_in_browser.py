"""A real browser behind its guard: proxies, the bound of a task, and a browser that goes past it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from captcha_bypass.egress.connections import MAX_CONNECTIONS
from captcha_bypass.errors import StartupError
from tests.captcha_bypass.egress.proxies import SocksProxy
from tests.captcha_bypass.egress.servers import Server, serving
from tests.support.service import Service, eventually, run_service
from tests.support.solve_client import Client, client_of

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><p id=out>page</p><script>
const socket = new WebSocket(`ws://${location.host}/socket`);
socket.onopen = () => socket.send("words");
socket.onmessage = ({data}) => document.getElementById("out").textContent = data;
</script>"""
FLOOD = """<!doctype html><p>flood</p><script>
(async () => { while (true) await (await fetch("/megabyte", {cache: "no-store"})).text(); })();
</script>"""
CROWD = """<!doctype html><p id=out>crowd</p><script>
const all = [];
for (let i = 0; i < 300; i++) all.push(new WebSocket(`ws://${location.host}/socket`));
</script>"""
REQUESTS = web.AppKey("REQUESTS", list[str])


async def _page(request: web.Request) -> web.Response:
    request.app[REQUESTS].append(request.path)
    if request.path == "/megabyte":
        return web.Response(body=bytes(1_000_000))
    text = {"/flood": FLOOD, "/crowd": CROWD}.get(request.path, PAGE)
    return web.Response(text=text, content_type="text/html")


async def _socket(request: web.Request) -> web.WebSocketResponse:
    request.app[REQUESTS].append(request.path)
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            await socket.send_str(f"{message.data} over a socket")
    return socket


@pytest.fixture
async def pages() -> AsyncIterator[TestServer]:
    app = web.Application()
    app[REQUESTS] = []
    app.add_routes([web.get("/socket", _socket), web.get("/{name:.*}", _page)])
    server = TestServer(app)
    async with server:
        yield server


class _Behind(Server):
    """Stands for a site that runs elsewhere."""

    def __init__(self, port: int) -> None:
        super().__init__(self.nobody)
        self.port = port

    async def nobody(self, *_: object) -> None:
        raise AssertionError


@pytest.fixture
async def socks(pages: TestServer) -> AsyncIterator[SocksProxy]:
    proxy = SocksProxy("user", "canary-1")
    assert pages.port is not None
    proxy.behind = _Behind(pages.port)
    async with proxy.running():
        yield proxy


def settings(proxy: SocksProxy, password: str) -> dict[str, str | None]:
    server = f"socks5://127.0.0.1:{proxy.port}"
    return {"server": server, "username": proxy.username, "password": password}


async def test_socks_proxy_with_a_login_carries_a_task_and_its_websocket(
    client: Client, pages: TestServer, socks: SocksProxy, service: Service
) -> None:
    # No resolver knows that name (RFC 6761): only the proxy can have been asked for it.
    data = await client.solved(
        url="http://site.test:8080/",
        success_text="words over a socket",
        timeout=20,
        proxy=settings(socks, "canary-1"),
    )
    assert data["timeout_reached"] is False
    assert set(socks.asked) == {("site.test", 8080)}
    assert set(socks.kinds) == {3}
    requests = pages.app[REQUESTS]
    assert "/" in requests
    assert "/socket" in requests
    assert "canary-1" not in service.log


async def test_socks_proxy_that_refuses_the_login_is_an_error_and_never_gone_around(
    client: Client, pages: TestServer, socks: SocksProxy, service: Service
) -> None:
    url = str(pages.make_url("/"))
    proxy = settings(socks, "canary-2")
    view = await client.solve(url=url, success_text="never", timeout=20, proxy=proxy)
    assert view["error"]["code"] == "proxy_error", view
    assert "proxy.password" in view["error"]["message"]
    assert socks.refused
    assert pages.app[REQUESTS] == []
    assert "canary-2" not in service.log


async def answer_oddly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(
        b"HTTP/1.1 407 No\r\nContent-Type: text/html\r\nContent-Length: 12\r\n"
        b'Proxy-Authenticate: Basic realm="x"\r\nX-Name: caf\xe9.pdf\r\n\r\n<p>words</p>'
    )
    await writer.drain()


async def test_odd_answer_of_a_site_comes_as_it_is(client: Client) -> None:
    async with serving(answer_oddly) as server:
        data = await client.solved(url=server.url, success_text="words", timeout=20)
    assert data["status_code"] == 407  # of the site, not of a proxy
    assert data["headers"]["x-name"] == "caf\xe9.pdf"  # no UTF-8: Latin-1


async def test_page_that_moves_too_much_ends_at_once_and_the_next_task_works(
    tmp_path: Path, pages: TestServer
) -> None:
    flags = ("--workers", "1", "--max-task-bytes", "200000")
    with run_service(tmp_path, *flags) as service:
        async with client_of(service) as client:
            await client.until_warm()
            url = str(pages.make_url("/flood"))
            view = await client.solve(url=url, success_text="never", timeout=60)
            assert view["error"]["code"] == "too_much_traffic", view
            assert "--max-task-bytes" in view["error"]["message"]
            flooded = pages.app[REQUESTS].count("/megabyte")
            assert 0 < flooded < 5
            url = str(pages.make_url("/"))
            data = await client.solved(url=url, success_text="words over a socket", timeout=20)
            assert data["timeout_reached"] is False
            assert pages.app[REQUESTS].count("/megabyte") == flooded


async def test_page_that_takes_all_connections_leaves_its_neighbours_theirs(
    client: Client, pages: TestServer, service: Service
) -> None:
    before = service.log.count("too many connections")
    crowd = await client.submit(url=str(pages.make_url("/crowd")), success_text="never", timeout=50)
    requests = pages.app[REQUESTS]
    # Firefox opens one WebSocket to a host after the other.
    assert await eventually(lambda: requests.count("/socket") >= MAX_CONNECTIONS - 10, 30)
    url = str(pages.make_url("/"))
    data = await client.solved(url=url, success_text="words over a socket", timeout=20)
    assert data["timeout_reached"] is False
    assert requests.count("/socket") <= MAX_CONNECTIONS + 1
    await client.delete(crowd)
    assert service.log.count("too many connections") <= before + 1


def test_browser_that_goes_past_its_guard_ends_the_service(tmp_path: Path) -> None:
    firefox = shutil.which("firefox-esr") or shutil.which("firefox")
    disloyal = tmp_path / "disloyal"
    disloyal.write_text(
        f"""#!/bin/sh
last=
for word in "$@"; do
  case "$last" in
    -profile|--profile)
      echo 'user_pref("network.proxy.allow_hijacking_localhost", false);' >> "$word/user.js" ;;
  esac
  last=$word
done
exec {firefox} "$@"
"""
    )
    disloyal.chmod(0o700)
    # It ends by itself, and may be gone before anybody asks whether it has started.
    flags = ("--browser-path", str(disloyal))
    with run_service(tmp_path / "service", *flags, ready=False) as service:
        assert service.process.wait(60) == StartupError.exit_code
        last = service.log.strip().splitlines()[-1]
        assert last.startswith("captcha-bypass: error: firefox ")
        assert "does not send everything through its proxy" in last
        assert "--browser-path" in last
        assert service.family() == []
        assert service.folders() == []
