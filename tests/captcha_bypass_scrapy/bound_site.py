"""A site of many kinds of answers, which it gives to the fake service's browser alone."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.captcha_bypass_scrapy.fake_site import FakeSite

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da6364f80f00010501012718e3660000000049454e44ae426082"
)
#: Any bytes, such as no text has.
BLOB = bytes(range(256)) * 200
PAGE = "<!doctype html><title>page</title><a href='/next'>next</a>"


@dataclass
class BoundSite:
    """A `FakeSite` whose pages are of many kinds.

    Attributes:
        seen: Each request that was let in: method, path, headers, cookies, digest of the body.
        failures: How often `/flaky` fails.
        now, most: Requests to `/slow` at once.
    """

    guard: FakeSite
    url: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    failures: int = 0
    now: int = 0
    most: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def paths(self) -> list[str]:
        return [request["path"] for request in self.seen]

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.router.add_route("*", "/echo{rest:.*}", self._echo)
        app.router.add_get("/page{rest:.*}", _page)
        app.router.add_get("/login", _login)
        app.router.add_get("/redirect", _redirect)
        app.router.add_get("/flaky", self._flaky)
        app.router.add_get("/slow{rest:.*}", self._slow)
        app.router.add_get("/status/{status}", _status)
        app.router.add_get("/gzip", _gzip)
        app.router.add_get("/blob.bin", _blob)
        app.router.add_get("/pixel.png", _pixel)
        app.router.add_get("/large", _large)
        app.router.add_get("/data.json", _json)
        app.router.add_get("/feed", _feed)
        app.router.add_get("/sitemap.xml.gz", _sitemap)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401
        if not self.guard._admits(request):
            self.refused[request.path] += 1
            status, headers, body = self.guard.challenge
            return web.Response(status=status, headers=headers, text=body)
        self.seen.append(
            {
                "method": request.method,
                "path": request.path,
                "headers": {name.lower(): value for name, value in request.headers.items()},
                "cookies": {
                    name: value
                    for name, value in request.cookies.items()
                    if name != self.guard.cookie
                },
                "digest": hashlib.sha256(await request.read()).hexdigest(),
            }
        )
        response: web.StreamResponse = await handler(request)
        return response

    async def _echo(self, request: web.Request) -> web.Response:
        return web.json_response(self.seen[-1])

    async def _flaky(self, request: web.Request) -> web.Response:
        self.failures -= 1
        return web.Response(status=503 if self.failures >= 0 else 200, text="well")

    async def _slow(self, request: web.Request) -> web.Response:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(float(request.query.get("seconds", "0.1")))
        finally:
            self.now -= 1
        return web.Response(text="slow")


async def _page(request: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


async def _login(request: web.Request) -> web.Response:
    response = web.Response(text="in", content_type="text/html")
    response.set_cookie("sid", f"of-{request.query.get('who', 'me')}", httponly=True)
    response.set_cookie("lang", "en")
    return response


async def _redirect(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": request.query.get("to", "/page/there")})


async def _status(request: web.Request) -> web.Response:
    return web.Response(status=int(request.match_info["status"]), text="as asked")


async def _gzip(request: web.Request) -> web.Response:
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/html; charset=utf-8"}
    return web.Response(body=gzip.compress((PAGE + "é").encode()), headers=headers)


async def _blob(request: web.Request) -> web.Response:
    return web.Response(body=BLOB, content_type="application/octet-stream")


async def _pixel(request: web.Request) -> web.Response:
    return web.Response(body=PIXEL, content_type="image/png")


async def _large(request: web.Request) -> web.Response:
    return web.Response(body=bytes(3_000_000))


async def _json(request: web.Request) -> web.Response:
    return web.json_response({"a": [1, 2]})


async def _feed(request: web.Request) -> web.Response:
    return web.Response(text="<rss><channel/></rss>", content_type="application/rss+xml")


async def _sitemap(request: web.Request) -> web.Response:
    host = f"http://{request.host}"
    locations = "".join(f"<url><loc>{host}/page/{n}</loc></url>" for n in range(3))
    xml = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{locations}</urlset>'
    return web.Response(body=gzip.compress(xml.encode()), content_type="application/gzip")
