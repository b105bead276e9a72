"""The service without a browser, for faults and for large numbers: it passes the challenges of a `FakeSite`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from tests.captcha_bypass_scrapy.fake_browser import BROWSER, FakeBrowser
from tests.captcha_bypass_scrapy.fake_site import FakeSite
from tests.support.service import eventually

Json = dict[str, Any]


async def failed(task: Json) -> Json:
    """The browser did not get through."""
    return {"status": "error", "error": {"code": "dns_error", "message": "no"}, "data": None}


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
