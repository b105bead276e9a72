"""A site behind a challenge that browsers pass at once, with answers of every kind."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import random
import secrets
from collections import Counter

from aiohttp import web
from aiohttp.typedefs import Handler

CHALLENGE = """<!doctype html><title>Just a moment...</title><h1>Checking</h1>
<script>fetch("/clear", {method: "POST"}).then(() => location.reload())</script>"""
STUCK = "<!doctype html><title>Just a moment...</title><h1>Checking</h1>"
ETAG = '"one"'
#: Takes all pages of the site, and answers everything in its place.
WORKER = """addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => event.respondWith(new Response("forged")));"""
WITH_WORKER = """<!doctype html><h1>With a worker</h1>
<script>navigator.serviceWorker.register("/worker.js")</script>"""


def some_bytes(count: int) -> bytes:
    """Return bytes that look random, the same each time."""
    return random.Random(count).randbytes(count)  # noqa: S311 - they protect nothing


class FetchSite:
    """The application, and what it has seen.

    Args:
        uses: Requests that one clearance is good for.
        stuck: Its challenge is never passed.
        is_open: There is none.
    """

    def __init__(self, *, uses: int = 10**9, stuck: bool = False, is_open: bool = False) -> None:
        self._uses = uses
        self._stuck = stuck
        self._open = is_open
        #: Clearance -> uses left.
        self._cleared: dict[str, int] = {}
        #: Paths that need no clearance.
        self.unchallenged = {"/worker.js"}
        self.seen: Counter[str] = Counter()
        self.solves = 0
        self.challenges = 0
        self.running = self.most_running = 0
        self.hung_up: Counter[str] = Counter()
        #: Let go of what /hold/N waits for.
        self.go_on = asyncio.Event()
        self.app = web.Application(middlewares=[self._gate], client_max_size=2**30)
        self.app.add_routes(
            [
                web.post("/clear", self._clear),
                web.route("*", "/echo", _echo),
                web.route("*", "/mirror", _mirror),
                web.get("/worker.js", _worker),
                web.get("/with-worker", _with_worker),
                web.get("/bytes/{n:[0-9]+}", _bytes),
                web.get("/status/{n:[0-9]+}", _status),
                web.get("/cookies", _cookies),
                web.get("/count", _count),
                web.get("/etag", _etag),
                web.get("/gzip", _gzip),
                web.get("/redirect", _redirect),
                web.get("/slow", self._slow),
                web.get("/endless", _endless),
                web.get("/hold/{n:[0-9]+}", self._hold),
                web.get("/{rest:.*}", _page),
            ]
        )

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.seen[request.path] += 1
        token = request.cookies.get("clearance", "")
        if request.path not in ("/clear", "/favicon.ico") and not self._open:
            if self._cleared.get(token, 0) < 1 and request.path not in self.unchallenged:
                self.challenges += 1
                html = STUCK if self._stuck else CHALLENGE
                headers = {"cf-mitigated": "challenge", "Server": "cloudflare"}
                return web.Response(
                    text=html, status=403, content_type="text/html", headers=headers
                )
            if token in self._cleared:
                self._cleared[token] -= 1
        if request.path == "/favicon.ico":  # a browser's own, whenever it likes
            return await handler(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await handler(request)
        finally:
            self.running -= 1

    async def _clear(self, request: web.Request) -> web.Response:
        self.solves += 1
        token = secrets.token_hex(8)
        self._cleared[token] = self._uses
        response = web.Response(status=204)
        response.set_cookie("clearance", token, httponly=True)
        return response

    async def _slow(self, request: web.Request) -> web.Response:
        try:
            await asyncio.sleep(float(request.query.get("seconds", 0.2)))
        except asyncio.CancelledError:
            self.hung_up[request.path] += 1
            raise
        return web.json_response({"slow": True})

    async def _hold(self, request: web.Request) -> web.Response:
        await self.go_on.wait()
        return web.json_response({"held": request.match_info["n"]})


async def _echo(request: web.Request) -> web.Response:
    body = await request.read()
    told = {
        "method": request.method,
        "headers": [[name, value] for name, value in request.headers.items()],
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "cookies": dict(request.cookies),
        "query": dict(request.query),
    }
    return web.json_response(told)


async def _mirror(request: web.Request) -> web.Response:
    """Send back what came, in the way that the query asks for."""
    status = int(request.query.get("status", 200))
    return web.Response(body=await request.read(), status=status)


async def _worker(request: web.Request) -> web.Response:
    return web.Response(text=WORKER, content_type="text/javascript")


async def _with_worker(request: web.Request) -> web.Response:
    policy = {"Content-Security-Policy": "default-src 'self' 'unsafe-inline'; connect-src 'none'"}
    return web.Response(text=WITH_WORKER, content_type="text/html", headers=policy)


async def _bytes(request: web.Request) -> web.Response:
    return web.Response(body=some_bytes(int(request.match_info["n"])))


async def _status(request: web.Request) -> web.Response:
    status = int(request.match_info["n"])
    headers = {"WWW-Authenticate": 'Basic realm="x"'} if status == 401 else {}
    return web.Response(status=status, body=None if status == 204 else b"as asked", headers=headers)


async def _cookies(request: web.Request) -> web.Response:
    response = web.Response(text="set")
    for number in range(3):
        response.set_cookie(f"c{number}", f"v{number}", httponly=number == 1)
    return response


async def _count(request: web.Request) -> web.Response:
    """Count the visits of a client in a cookie."""
    count = int(request.cookies.get("count", "0")) + 1
    response = web.Response(text=str(count))
    response.set_cookie("count", str(count))
    return response


async def _etag(request: web.Request) -> web.Response:
    if request.headers.get("If-None-Match") == ETAG:
        return web.Response(status=304, headers={"ETag": ETAG})
    return web.Response(text="whole", headers={"ETag": ETAG})


async def _gzip(request: web.Request) -> web.Response:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-test"}
    return web.Response(body=gzip.compress(some_bytes(50_000)), headers=headers)


async def _redirect(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": request.query.get("to", "/page")})


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(bytes(64 * 1024))


async def _page(request: web.Request) -> web.Response:
    return web.Response(text="<!doctype html><h1>Through</h1>", content_type="text/html")
