"""The API with its dashboard over a real server and a real queue; only the browsers are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientResponse, DummyCookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from captcha_bypass.api.application import application
from captcha_bypass.config import Config
from captcha_bypass.metrics import Metrics
from captcha_bypass.status import Egress, Readiness, StatusBoard
from captcha_bypass.tasks.memory import MemoryQueue
from tests.support.fetching import NoFetches
from tests.support.flaresolverr_service import FakeSessions
from tests.support.native_tasks import BASE
from tests.support.scripted_queue import Script
from tests.support.status import ToldBrowsers

A, B = "CANARY-key-a", "CANARY-key-b"


@dataclass
class Dashboard:
    client: TestClient[web.Request, web.Application]
    queue: MemoryQueue
    script: Script
    sessions: FakeSessions

    @property
    def origin(self) -> str:
        return str(self.client.make_url("/")).rstrip("/")

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
async def serving(**settings: Any) -> AsyncIterator[Dashboard]:  # noqa: ANN401
    """Run the service."""
    config = Config(**{"workers": 1, **settings})
    queue = MemoryQueue(
        max_pending=config.max_queue,
        result_ttl=config.result_ttl,
        max_results_bytes=config.max_results_bytes,
    )
    script, sessions = Script(), FakeSessions()
    board = StatusBoard(queue, ToldBrowsers(Readiness(browser="firefox 140.0")), Egress())
    app = application(config, queue, sessions, board, Metrics(), NoFetches())
    await queue.start(script, config.workers)
    server = TestServer(app, handler_cancellation=True)
    async with TestClient(server, cookie_jar=DummyCookieJar()) as client:
        yield Dashboard(client, queue, script, sessions)
    await queue.stop(0)
