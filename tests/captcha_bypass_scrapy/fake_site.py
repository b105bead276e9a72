"""A guarded site without a browser, for faults and for large numbers."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.captcha_bypass_scrapy.fake_browser import BROWSER
from tests.support.service import eventually


@asynccontextmanager
async def serving(app: web.Application, host: str) -> AsyncIterator[str]:
    """Serve an application on a free port; yields its address."""
    async with TestServer(app, host=host) as server:
        yield f"http://{server.host}:{server.port}"


@dataclass
class FakeSite:
    """Pages that want a cookie, the browser's user-agent and the address it was given to.

    Attributes:
        uses: How many pages a clearance is good for.
        rotates: Whether every page replaces the clearance, as some vendors do.
        wants_browser: Whether cookies help nobody but the browser, as TLS fingerprints do.
        challenge: Status, headers and body of the challenge.
        slow: Seconds a page takes.
        together: How many requests must have come before the first is answered.
        gzip: Whether challenges are compressed.
        closed: Path of a page that nobody gets; with a clearance it says so once another page was served,
            for what alone has tried a clearance looks like its whole site.
        late: Paths whose first answer takes `late_seconds`; None: until a page was served.
        check: Where `/to-check/` sends visitors without clearance, if not to a page of the site.
    """

    url: str = ""
    uses: float = float("inf")
    rotates: bool = False
    wants_browser: bool = False
    challenge: tuple[int, dict[str, str], str] = (
        403,
        {"cf-mitigated": "challenge", "Content-Type": "text/html"},
        "<title>Just a moment...</title>",
    )
    slow: float = 0.0
    together: int = 0
    cookie: str = "cf_clearance"
    gzip: bool = False
    closed: str = ""
    late: frozenset[str] = frozenset()
    late_seconds: float | None = None
    check: str = ""
    challenges: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    seen: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=itertools.count)

    def grant(self, address: str = "127.0.0.1") -> str:
        """Give out a clearance to the browser at this address."""
        token = f"token-{next(self._numbers)}"
        self._tokens[token] = (address, self.uses)
        return token

    async def served(self, count: int) -> None:
        """Wait until that many pages were served."""
        assert await eventually(lambda: self.pages.total() >= count, 30)

    def _admits(self, request: web.Request) -> bool:
        token = request.cookies.get(self.cookie, "")
        address, left = self._tokens.get(token, ("", 0))
        good = (
            left > 0
            and request.headers.get("User-Agent") == BROWSER
            and request.remote == address
            and (not self.wants_browser or request.headers.get("X-Is-Browser") == "yes")
            and request.path != self.closed
        )
        if good:
            self._tokens[token] = (address, left - 1)
        return good

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/open/{n}", self._open)
        app.router.add_get("/to/{n}", self._redirect)
        app.router.add_route("*", "/to-check/{n}", self._to_check)
        app.router.add_get("/homemade/{n}", self._homemade)
        app.router.add_route("*", "/{path:.*}", self._guarded)
        return app

    async def _open(self, request: web.Request) -> web.Response:
        self.seen.append((request.path, dict(request.headers), dict(request.cookies)))
        return _html(f"open {request.path}")

    async def _redirect(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"/page/{request.match_info['n']}"})

    async def _to_check(self, request: web.Request) -> web.Response:
        """Send those without clearance away to a page with the challenge."""
        if self._admits(request):
            return await self._page(request)
        where = f"{self.check}/check?back={request.path}" if self.check else "/check"
        return web.Response(status=302, headers={"Location": where})

    async def _homemade(self, request: web.Request) -> web.Response:
        if self._admits(request):
            return await self._page(request)
        self.challenges[request.path] += 1
        return _html("prove you are human")

    async def _guarded(self, request: web.Request) -> web.Response:
        self.seen.append((request.path, dict(request.headers), dict(request.cookies)))
        first = request.path not in self.challenges
        late = first and request.path in self.late
        if late and self.late_seconds is None:
            await self.served(1)
        await asyncio.sleep((self.late_seconds or 0.0) if late else self.slow)
        assert await eventually(lambda: len(self.seen) >= self.together, 30)
        if request.path == self.closed and self.cookie in request.cookies:
            await self.served(1)
        if request.path.startswith("/denied"):
            return web.Response(status=403, text="<h1>Access denied</h1>", content_type="text/html")
        if self._admits(request):
            return await self._page(request)
        self.challenges[request.path] += 1
        status, headers, body = self.challenge
        response = web.Response(status=status, headers=headers, text=body)
        if self.gzip:
            response.enable_compression(web.ContentCoding.gzip)
        return response

    async def _page(self, request: web.Request) -> web.Response:
        self.pages[request.path] += 1
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nDisallow: /secret\n")
        body = (await request.read()).decode()
        facts = {"path": request.path, "method": request.method, "body": body}
        response = _html(f"page {json.dumps({**facts, 'cookies': dict(request.cookies)})}")
        if self.rotates:
            old = request.cookies[self.cookie]
            new = self.grant()
            self._tokens[new] = self._tokens.pop(old)
            response.set_cookie(self.cookie, new, path="/")
        return response


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html")
