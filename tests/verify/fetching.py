"""Checks 25 and 27 to 30: what POST /fetch asks of the browser."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import psutil
from aiohttp import web

from tests.support.solve_client import Json
from tests.verify.kit import Bench, check, commands

MIB = 1024 * 1024


async def _fetch(bench: Bench, url: str, **more: object) -> Json:
    asked = {"url": url, "timeout": 30, **more}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{bench.service.url}/fetch", json=asked) as response,
    ):
        told: Json = await response.json()
        assert response.status == 200, told
        return told


@contextlib.asynccontextmanager
async def _site(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    """Serve one handler for all paths and methods; yields its address."""
    app = web.Application(client_max_size=64 * MIB)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@check(25, "bytes, POST, methods and redirects by /fetch")
async def exact(bench: Bench) -> str:
    file = os.urandom(MIB)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": "http://10.1.2.3/"})
        if request.path == "/file":
            return web.Response(body=file)
        digest = hashlib.sha256(await request.read()).hexdigest()
        response = web.Response(headers={"X-Seen": f"{request.method} {digest}"})
        response.headers.add("Set-Cookie", "a=1")
        response.headers.add("Set-Cookie", "b=2")
        return response

    async with _site(answer) as url:
        got = await _fetch(bench, f"{url}/file")
        assert base64.b64decode(got["body"]) == file, "other bytes"
        got = await _fetch(bench, f"{url}/away")
        assert (got["status"], got["body"]) == (302, ""), got["status"]
        assert ["Location", "http://10.1.2.3/"] in got["headers"], got["headers"]
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            sent = os.urandom(500_000)
            body = base64.b64encode(sent).decode()
            got = await _fetch(bench, f"{url}/echo", method=method, body_base64=body)
            seen = f"{method} {hashlib.sha256(sent).hexdigest()}"
            assert ["X-Seen", seen] in got["headers"], got["headers"]
            cookies = [value for name, value in got["headers"] if name == "Set-Cookie"]
            assert cookies == ["a=1", "b=2"], cookies
    return f"{MIB} bytes, five methods, 302"


@check(27, "the site hears nothing of the page that fetches")
async def unheard(bench: Bench) -> str:
    paths: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        return web.Response(text="<p>ready</p>", content_type="text/html")

    async with _site(answer) as url:
        for number in range(3):
            await _fetch(bench, f"{url}/{number}")
    # The first is opened as a page, too; pages may ask for an icon.
    asked = [path for path in paths if path != "/favicon.ico"]
    assert sorted(asked) == ["/0", "/0", "/1", "/2"], paths
    return ", ".join(paths)


@check(28, "a worker of the site does not answer in its place")
async def workers(bench: Bench) -> str:
    worker = """addEventListener("install", () => skipWaiting());
        addEventListener("activate", (event) => event.waitUntil(clients.claim()));
        addEventListener("fetch", (event) => event.respondWith(new Response("the worker's")));"""
    page = """<p id=text></p><script>navigator.serviceWorker.register("/worker.js").then(() =>
        navigator.serviceWorker.ready).then(() => { text.textContent = "ready" })</script>"""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/worker.js":
            return web.Response(text=worker, content_type="text/javascript")
        return web.Response(text=page, content_type="text/html")

    async with _site(answer) as url:
        for path in ("/", "/1", "/2"):
            got = await _fetch(bench, f"{url}{path}", success_text="ready")
            assert base64.b64decode(got["body"]).decode() == page, "the worker's answer"
    return "three answers, none of them the worker's"


@check(29, "a client that hangs up ends its request at the site")
async def hang_up(bench: Bench) -> str:
    began, ended = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path != "/slow":
            return web.Response(text="<p>ready</p>", content_type="text/html")
        response = web.StreamResponse()
        await response.prepare(request)
        began.set()
        with contextlib.suppress(OSError):
            while not ended.is_set():
                await response.write(b"x")
                await asyncio.sleep(0.05)
                if request.transport is None or request.transport.is_closing():
                    break
        ended.set()
        return response

    async with _site(answer) as url:
        await _fetch(bench, url)
        asking = asyncio.create_task(_fetch(bench, f"{url}/slow"))
        await asyncio.wait_for(began.wait(), 10)
        asking.cancel()
        started = time.monotonic()
        await asyncio.wait_for(ended.wait(), 5)
        took = time.monotonic() - started
    assert took < 2, f"{took:.1f} s"
    return f"{took:.1f} s"


@check(30, "after a kill of page, browser or driver the next request is answered")
async def kills(bench: Bench) -> str:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<p>ready</p>", content_type="text/html")

    async with _site(answer) as url:
        for kind in ("page", "browser", "driver"):
            await _fetch(bench, url)
            if kind == "page":
                victims = bench.service.content_processes()
            else:
                named = "run-driver" if kind == "driver" else "profile"
                victims = [p for p, words in commands(bench) if any(named in w for w in words)]
            assert victims, f"no {kind} to kill"
            for process in victims:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            await asyncio.sleep(1)
            await _fetch(bench, url)
    return "three of three"
