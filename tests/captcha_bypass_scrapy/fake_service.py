"""A service and a guarded site without a browser, for faults and for large numbers."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.captcha_bypass_scrapy.fake_browser import BROWSER, FakeBrowser
from tests.support.service import eventually

Json = dict[str, Any]


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


async def failed(task: Json) -> Json:
    """The browser did not get through."""
    return {"status": "error", "error": {"code": "dns_error", "message": "no"}, "data": None}


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html")


def page_of(task: Json, *, html: str = "<p>page by browser</p>", **changes: object) -> Json:
    """The data of a task that went well."""
    return {
        "cookies": [],
        "headers": {"content-type": "text/html; charset=utf-8"},
        "status_code": 200,
        "html": html,
        "url": task["url"],
        "timeout_reached": False,
        "user_agent": BROWSER,
        "request_headers": {},
        "challenge": None,
        "screenshot": None,
        "elapsed": 0.1,
        **changes,
    }


Answer = Callable[[Json], Awaitable[Json]]


class FakeService:
    """Speaks the HTTP contract and answers as told.

    Attributes:
        seconds: How long a task takes.
        pending: How long it is in the queue before.
        tasks: Bodies of POST /solve, in order.
        calls: (method, path, headers) of everything asked.
        refusals: Answers (status, headers, body) for the next POSTs, before tasks are taken.
        holds: Whether it has room to hold requests with `wait`.
        most: How many tasks there were at once.
        answer: Makes the view of GET /result of a task.
        go: What tasks wait for before they end; set, but where a test clears it.
        browser: Sends the requests of POST /fetch.
        fetch_refusals: Answers (status, headers, body) for the next of those.
        refused: Ids of clearances that were said to be refused, in order.
        hears: Whether it understands that.
    """

    def __init__(self, site: FakeSite) -> None:
        self.browser = FakeBrowser(site.cookie, site.grant)
        self.fetch_refusals: list[tuple[int, dict[str, str], object]] = []
        self.url = ""
        self.seconds = 0.1
        self.pending = 0.0
        self.tasks: list[Json] = []
        self.calls: list[tuple[str, str, dict[str, str]]] = []
        self.refusals: list[tuple[int, dict[str, str], object]] = []
        self.deleted: list[str] = []
        self.refused: list[str] = []
        self.hears = True
        self.holds = True
        self.now = self.most = 0
        self.answer: Answer = self.solved
        self.go = asyncio.Event()
        self.go.set()
        self._site = site
        self._running: dict[str, asyncio.Task[Json]] = {}
        self._begins: dict[str, float] = {}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/solve", self._solve)
        app.router.add_post("/fetch", self._fetch)
        app.router.add_post("/clearances/refused", self._refuse)
        app.router.add_get("/openapi.json", self._openapi)
        app.router.add_get("/result/{id}", self._result)
        app.router.add_delete("/task/{id}", self._delete)
        app.on_cleanup.append(self._stop)
        return app

    def cookie(self, task: Json, name: str | None = None, **changes: object) -> Json:
        return {
            "name": name or self._site.cookie,
            "value": self._site.grant(),
            "domain": urlsplit(task["url"]).hostname,
            "path": "/",
            "expires": -1,
            "httpOnly": True,
            "secure": False,
            "sameSite": "Lax",
            **changes,
        }

    async def solved(self, task: Json) -> Json:
        """The browser got through."""
        return {
            "status": "completed",
            "error": None,
            "data": page_of(task, cookies=[self.cookie(task)]),
        }

    async def until_known(self, task_id: str = "task-1") -> None:
        """Wait until a task is asked about: only then has the crawl its id, and can take it back."""
        path = f"/result/{task_id}"
        assert await eventually(lambda: any(call[1] == path for call in self.calls), 60)

    def restart(self) -> None:
        """Forget all tasks."""
        for running in self._running.values():
            running.cancel()
        self._running.clear()

    async def _stop(self, app: web.Application) -> None:
        self.restart()
        await self.browser.close()

    async def _openapi(self, request: web.Request) -> web.Response:
        """Describe itself; crawls ask for that once, so it is none of `calls`."""
        schemas = {"SolveRequest": {"properties": {"timeout": {"maximum": 300.0}}}}
        info = {"title": "captcha-bypass", "version": "1.2.3"}
        return web.json_response({"info": info, "components": {"schemas": schemas}})

    async def _fetch(self, request: web.Request) -> web.Response:
        self._note(request)
        if self.fetch_refusals:
            status, headers, body = self.fetch_refusals.pop(0)
            return web.json_response(body, status=status, headers=headers)
        status, answer = await self.browser.fetch(await request.json())
        return web.json_response(answer, status=status)

    def _note(self, request: web.Request) -> None:
        self.calls.append((request.method, request.path, dict(request.headers)))

    async def _solve(self, request: web.Request) -> web.Response:
        self._note(request)
        if self.refusals:
            status, headers, body = self.refusals.pop(0)
            return web.json_response(body, status=status, headers=headers)
        task = await request.json()
        self.tasks.append(task)
        task_id = f"task-{len(self.tasks)}"
        self._begins[task_id] = time.monotonic() + self.pending
        self._running[task_id] = asyncio.create_task(self._work(task))
        return web.json_response({"task_id": task_id}, status=202)

    async def _refuse(self, request: web.Request) -> web.Response:
        """End a clearance; one that was refused before is over already."""
        if not self.hears:
            return web.Response(status=404)
        clearance = (await request.json())["id"]
        ended = clearance not in self.refused
        self.refused.append(clearance)
        return web.json_response({"ended": ended})

    async def _work(self, task: Json) -> Json:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.pending + self.seconds)
            await self.go.wait()
            return await self.answer(task)
        finally:
            self.now -= 1

    async def _result(self, request: web.Request) -> web.Response:
        self._note(request)
        running = self._running.get(request.match_info["id"])
        if running is None:
            return web.json_response(
                {"status": "not_found", "error": None, "data": None}, status=404
            )
        wait = float(request.query.get("wait", 0))
        if wait and not self.holds and not running.done():
            error = {"code": "too_many_waiting", "message": "1000 requests are waiting."}
            return web.json_response({"error": error}, status=503, headers={"Retry-After": "1"})
        await asyncio.wait([running], timeout=wait)
        if not running.done():
            begun = time.monotonic() >= self._begins[request.match_info["id"]]
            status = "running" if begun else "pending"
            return web.json_response({"status": status, "error": None, "data": None})
        return web.json_response(running.result())

    async def _delete(self, request: web.Request) -> web.Response:
        self._note(request)
        task_id = request.match_info["id"]
        self.deleted.append(task_id)
        if (running := self._running.pop(task_id, None)) is not None:
            running.cancel()
        return web.json_response({"success": True, "message": "gone"})
