"""The API with its dashboard over a real server and a real queue; only the browsers are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientResponse, DummyCookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from captcha_bypass.api.application import DOOR, application
from captcha_bypass.config import Config
from captcha_bypass.history import History, Minute, TaskEntry
from captcha_bypass.human.waits import Waits
from captcha_bypass.metrics import Metrics
from captcha_bypass.nodes.sessions import NodeSessions
from captcha_bypass.status import Egress, Readiness, Status, StatusBoard
from captcha_bypass.tasks.memory import MemoryQueue
from tests.support.fetching import NoFetches
from tests.support.flaresolverr_service import FakeSessions
from tests.support.native_tasks import BASE
from tests.support.scripted_queue import Script
from tests.support.status import ToldBrowsers
from tests.support.waiting_pages import WaitingTasks

A, B = "CANARY-key-a", "CANARY-key-b"


class CountedBoard(StatusBoard):
    """Tells how often it was asked."""

    asked = 0

    async def now(self, owner: str | None = None) -> Status:
        self.asked += 1
        return await super().now(owner)


class CountedHistory(History):
    """Tells how often its tasks and minutes were summed up."""

    listed = summed = 0

    def entries(self, owner: str, since: int = 0) -> list[TaskEntry]:
        self.listed += 1
        return super().entries(owner, since)

    def minutes(self, owner: str) -> list[Minute]:
        self.summed += 1
        return super().minutes(owner)


class Events:
    """Server-sent events, read one after the other."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response

    async def next(self, *names: str) -> tuple[str, Any]:
        """Return the next event, or the next of these names; raises EOFError at the end."""
        while True:
            fields = {}
            while line := (await self.response.content.readline()).decode().rstrip("\n"):
                name, _, value = line.partition(": ")
                fields[name] = value
            if not fields:
                raise EOFError
            if not names or fields["event"] in names:
                return fields["event"], json.loads(fields["data"])

    async def of(self, name: str) -> Any:  # noqa: ANN401 - whatever JSON
        return (await self.next(name))[1]


@dataclass
class Dashboard:
    client: TestClient[web.Request, web.Application]
    queue: MemoryQueue
    script: Script
    sessions: FakeSessions
    board: CountedBoard
    history: CountedHistory
    browsers: ToldBrowsers

    @property
    def app(self) -> web.Application:
        return self.client.app

    @property
    def origin(self) -> str:
        return str(self.client.make_url("/")).rstrip("/")

    @asynccontextmanager
    async def through_the_door(self) -> AsyncIterator[str]:
        """Open another port, whose connections are bounded as the program's are; yield its URL."""
        server = self.client.server
        assert isinstance(server, TestServer)
        assert server.runner is not None
        assert server.runner.server is not None
        door = self.app[DOOR]
        door.open_to(server.runner.server, files=64)
        port = await asyncio.get_running_loop().create_server(door, "127.0.0.1", 0)
        yield f"http://127.0.0.1:{port.sockets[0].getsockname()[1]}"
        port.close()

    async def ask(
        self,
        method: str,
        path: str,
        cookie: str | None = None,
        *,
        json: object = None,
        **headers: str,
    ) -> ClientResponse:
        """Send a request; a header's name may have _ for -."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if cookie is not None:
            fields["Cookie"] = cookie
        return await self.client.request(
            method, path, json=json, headers=fields, allow_redirects=False
        )

    @asynccontextmanager
    async def listening(self, cookie: str | None = None, **headers: str) -> AsyncIterator[Events]:
        response = await self.ask("GET", "/dashboard/api/events", cookie, **headers)
        async with response:
            assert response.status == 200, await response.text()
            assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            yield Events(response)

    async def log_in(self, key: str) -> str:
        """Log in as the page does, and return the cookie as it is sent back."""
        response = await self.ask("POST", "/dashboard/login", json={"key": key}, Origin=self.origin)
        assert response.status == 200, await response.text()
        (morsel,) = response.cookies.values()
        return f"{morsel.key}={morsel.value}"

    async def submit(self, **headers: str) -> str:
        response = await self.ask("POST", "/solve", json=BASE, **headers)
        assert response.status == 202, await response.text()
        return str((await response.json())["task_id"])


MakeDashboard = Callable[..., Awaitable[Dashboard]]


@asynccontextmanager
async def serving(
    waiting: WaitingTasks | None = None,
    **settings: Any,  # noqa: ANN401
) -> AsyncIterator[Dashboard]:
    """Run the service; its tasks end as a Script says, or wait for a person."""
    config = Config(**{"workers": 1, **settings})
    history = CountedHistory()
    queue = MemoryQueue(
        max_pending=config.max_queue,
        result_ttl=config.result_ttl,
        max_results_bytes=config.max_results_bytes,
        observer=history,
    )
    script, sessions = Script(), FakeSessions()
    browsers = ToldBrowsers(Readiness(browser="firefox 140.0"))
    board = CountedBoard(queue, browsers, Egress(failures={"dns_error": 2}))
    waits = Waits(queue, most=4, seconds=600.0)
    app = application(
        config, queue, NodeSessions(sessions), board, Metrics(), NoFetches(), history, waits
    )
    if waiting is not None:
        waiting.waits = waits
    await queue.start(script if waiting is None else waiting, config.workers)
    server = TestServer(app, handler_cancellation=True)
    async with TestClient(server, cookie_jar=DummyCookieJar()) as client:
        yield Dashboard(client, queue, script, sessions, board, history, browsers)
        await queue.stop(0)
