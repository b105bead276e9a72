"""A stand-in for the service behind the operator's page: it says what a test wants it to say.

For what the real one says only now and then: hostile texts, lost connections, a thousand tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler

from tests.support.dashboard_data import Json, details, minutes, status
from tests.support.dashboard_watcher import Watcher
from tests.support.repository import ROOT

STATIC = ROOT / "captcha_bypass/api/dashboard/static"
#: As strict as the service's own.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; frame-src 'none'"
)
COOKIE = "operator"


class StandIn:
    """What the page talks to; a test changes its attributes and pushes events.

    Attributes:
        key: The API key to log in with; None: none is needed.
        refusal: Why nothing is shown, with HTTP 403; None: it is.
        away: Whether connections are cut, as of a service that has died.
        live_away: Whether those of the live view are.
        requests: Method and path of each request that was answered.
    """

    def __init__(self) -> None:
        self.key: str | None = None
        self.refusal: str | None = None
        self.away = self.live_away = False
        self.status = status()
        self.tasks: dict[str, Json] = {}
        self.details: dict[str, Json] = {}
        self.minutes = minutes()
        self.html: dict[str, str] = {}
        self.jpeg: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.watchers: list[Watcher] = []
        self._streams: set[web.StreamResponse] = set()
        self._changed = asyncio.Event()
        self.server = TestServer(self._application())

    @property
    def url(self) -> str:
        return str(self.server.make_url("/dashboard"))

    @property
    def listeners(self) -> int:
        return len(self._streams)

    def add(self, *entries: Json, **changes: object) -> None:
        """Add tasks to the list, with details to be had."""
        for entry in entries:
            self.tasks[entry["id"]] = entry
            self.details[entry["id"]] = details(entry, **changes)

    async def push(self, name: str, data: object) -> None:
        """Send an event to each page that listens."""
        for stream in list(self._streams):
            await _send(stream, _event(name, data))

    async def change(self, entry: Json, **changes: object) -> None:
        """Change a task, and tell of it."""
        self.add(entry, **changes)
        await self.push("tasks", {"reset": False, "tasks": [entry], "removed": []})

    def go_away(self) -> None:
        """Cut all connections, and every one to come."""
        self.away = True
        for stream in list(self._streams):
            _cut(stream)
        for watcher in self.watchers:
            _cut(watcher.socket)

    async def until_listeners(self, count: int) -> None:
        await self.until(lambda: self.listeners == count)

    async def watcher(self, count: int = 1) -> Watcher:
        """Wait for the live view to connect, and return its newest connection."""
        await self.until(lambda: len(self.watchers) >= count)
        return self.watchers[-1]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds; it is looked at whenever something was asked."""
        async with asyncio.timeout(15):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._met])
        app.router.add_get("/dashboard", self._index)
        app.router.add_static("/dashboard/static", STATIC)
        app.router.add_get("/dashboard/api/session", self._session)
        app.router.add_post("/dashboard/login", self._login)
        app.router.add_post("/dashboard/logout", self._logout)
        app.router.add_get("/dashboard/api/events", self._events)
        app.router.add_get("/dashboard/api/tasks/{id}", self._task)
        app.router.add_get("/dashboard/api/tasks/{id}/live", self._live)
        app.router.add_get("/task/{id}/evidence", self._evidence)
        app.router.add_delete("/task/{id}", self._delete)
        app.router.add_delete("/sessions/{name}", self._end_session)
        return app

    @web.middleware
    async def _met(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.away or (self.live_away and request.path.endswith("/live")):
            assert request.transport is not None
            request.transport.abort()
            raise web.HTTPServiceUnavailable
        self.requests.append((request.method, request.path))
        self._changed.set()
        known = self.key is None or request.cookies.get(COOKIE) == "1"
        guarded = request.path.startswith(("/dashboard/api", "/task", "/sessions"))
        if guarded and not known and request.path != "/dashboard/api/session":
            return _refused(401, "unauthorized", "A key is needed.")
        response = await handler(request)
        self._changed.set()
        return response

    async def _index(self, _: web.Request) -> web.FileResponse:
        headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
        return web.FileResponse(STATIC / "index.html", headers=headers)

    async def _session(self, request: web.Request) -> web.Response:
        if self.refusal:
            return _refused(403, "forbidden", self.refusal)
        known = self.key is None or request.cookies.get(COOKIE) == "1"
        needs = self.key is not None
        return web.json_response({"authenticated": known, "needs_key": needs, "version": "0.0.0"})

    async def _login(self, request: web.Request) -> web.Response:
        if (await request.json())["key"] != self.key:
            return _refused(401, "unauthorized", "That is no key of this service.")
        response = web.json_response({})
        response.set_cookie(COOKIE, "1", httponly=True, samesite="Strict")
        return response

    async def _logout(self, _: web.Request) -> web.Response:
        response = web.json_response({})
        response.del_cookie(COOKIE)
        return response

    async def _events(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        whole = {"reset": True, "tasks": list(self.tasks.values()), "removed": []}
        now = self.status | {"now": time.time()}
        first = _event("status", now) + _event("tasks", whole) + _event("minutes", self.minutes)
        # Whatever is pushed once the page shows any of it comes after it.
        self._streams.add(stream)
        self._changed.set()
        try:
            await _send(stream, first)
            await asyncio.Event().wait()  # until the page hangs up, which cancels this
        finally:
            self._streams.discard(stream)
            self._changed.set()
        return stream

    async def _task(self, request: web.Request) -> web.Response:
        found = self.details.get(request.match_info["id"])
        if found is None:
            return _refused(404, "not_found", "No such task.")
        return web.json_response(found)

    async def _live(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        watcher = Watcher(socket)
        self.watchers.append(watcher)
        self._changed.set()
        await watcher.listen()
        return socket

    async def _evidence(self, request: web.Request) -> web.Response:
        task_id = request.match_info["id"]
        if request.query.get("part") == "jpeg" and task_id in self.jpeg:
            return web.Response(body=self.jpeg[task_id], content_type="image/jpeg")
        if request.query.get("part") == "html" and task_id in self.html:
            return web.Response(text=self.html[task_id], content_type="text/plain")
        return _refused(404, "no_evidence", "Nothing was kept of this task.")

    async def _delete(self, request: web.Request) -> web.Response:
        entry = self.tasks.get(request.match_info["id"])
        if entry is None:
            return _refused(404, "not_found", "No such task.")
        if entry["outcome"] is None:
            ended = entry | {"state": "error", "outcome": "cancelled"}
            await self.change(ended, error={"code": "cancelled", "message": "Cancelled."})
        else:
            await self.change(entry | {"kept": False, "evidence": False})
        return web.json_response({})

    async def _end_session(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        left = [session for session in self.status["sessions"] if session["name"] != name]
        if len(left) == len(self.status["sessions"]):
            return _refused(404, "not_found", f"There is no session {name!r}.")
        self.status["sessions"] = left
        await self.push("status", self.status)
        return web.json_response({})


def _refused(code: int, name: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": name, "message": message}}, status=code)


def _event(name: str, data: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


async def _send(stream: web.StreamResponse, events: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        await stream.write(events)


def _cut(response: web.StreamResponse) -> None:
    request = getattr(response, "_req", None)
    if request is not None and request.transport is not None:
        request.transport.abort()


@contextlib.asynccontextmanager
async def stand_in() -> AsyncIterator[StandIn]:
    """Serve a stand-in until the block ends."""
    service = StandIn()
    await service.server.start_server(shutdown_timeout=0.1)
    async with service.server:
        yield service
