"""FlareSolverr's API over a real server and a real queue, without a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from captcha_bypass.api.application import application
from captcha_bypass.api.fetch_places import Fetching
from captcha_bypass.config import Config
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.metrics import Metrics
from captcha_bypass.nodes.sessions import NodeSessions
from captcha_bypass.sharing.clearances import Clearances
from captcha_bypass.sharing.queue import SharedQueue
from captcha_bypass.status import Egress, Readiness, StatusBoard
from captcha_bypass.tasks.base import Handler
from captcha_bypass.tasks.memory import MemoryQueue
from captcha_bypass.wire.task import SessionKey
from tests.support.fetching import NoFetches
from tests.support.status import ToldBrowsers

Json = dict[str, Any]


@dataclass
class FakeSessions:
    """Sessions as far as the API sees them: names, and the proxies they were made with."""

    made: dict[SessionKey, Upstream | None] = field(default_factory=dict)

    def names(self, owner: str = "") -> list[str]:
        return [key.name for key in self.made if key.owner == owner]

    def create(self, key: SessionKey, upstream: Upstream | None) -> bool:
        if key in self.made:
            return False
        self.made[key] = upstream
        return True

    async def destroy(self, key: SessionKey) -> bool:
        if key not in self.made:
            return False
        del self.made[key]
        return True


class _Recorded(Metrics):
    """Metrics that tell a test of each task of `/v1`."""

    def __init__(self, reports: list[tuple[str, str]]) -> None:
        super().__init__()
        self._reports = reports

    def v1_request(self, domain: str, result: str, seconds: float) -> None:
        super().v1_request(domain, result, seconds)
        self._reports.append((domain, result))


@dataclass
class V1:
    """The service, and a client of it."""

    client: TestClient[web.Request, web.Application]
    queue: MemoryQueue
    #: What the API asks in its place.
    shared: SharedQueue
    sessions: FakeSessions
    #: What was reported of tasks: domain, result.
    reports: list[tuple[str, str]]
    browsers: ToldBrowsers

    @property
    def url(self) -> str:
        return str(self.client.make_url("/")).rstrip("/")

    async def post(self, **command: object) -> ClientResponse:
        return await self.client.post("/v1", json=command)

    async def ok(self, **command: object) -> Json:
        """Send a command that must succeed, and return the answer."""
        response = await self.post(**command)
        body: Json = await response.json()
        assert response.status == 200, body
        assert body["status"] == "ok"
        return body

    async def message(self, **command: object) -> str:
        """Send a command that must fail, and return the message."""
        response = await self.post(**command)
        return await failure_of(response)


async def failure_of(response: ClientResponse) -> str:
    """Check that an answer is a failure of the contract's shape, and return its message."""
    body = await response.json()
    assert response.status == 500, body
    assert response.content_type == "application/json"
    assert set(body) == {"status", "message", "startTimestamp", "endTimestamp", "version"}
    assert body["status"] == "error"
    assert body["message"].startswith("Error: ")
    message: str = body["message"]
    return message


@asynccontextmanager
async def serving(
    handler: Handler,
    sessions: FakeSessions,
    fetching: Fetching | None = None,
    **settings: Any,  # noqa: ANN401
) -> AsyncIterator[V1]:
    """Run the API over a handler, and over what fetches; by itself nothing does."""
    config = Config(**{"workers": 2, "max_timeout": 300.0, **settings})
    queue = MemoryQueue(
        max_pending=config.max_queue,
        result_ttl=config.result_ttl,
        max_results_bytes=config.max_results_bytes,
    )
    reports: list[tuple[str, str]] = []
    browsers = ToldBrowsers(Readiness(version="140.0.1"))
    board = StatusBoard(queue, browsers, Egress())
    clearances = Clearances(config.clearance_ttl)
    shared = SharedQueue(queue, clearances, most_joined=config.max_queue)
    metrics, fetching = _Recorded(reports), fetching or NoFetches()
    app = application(
        config, shared, NodeSessions(sessions), board, metrics, fetching, clearances=clearances
    )
    async with AsyncExitStack() as stack:
        await shared.start(handler, config.workers)
        stack.push_async_callback(shared.stop, 0)
        server = TestServer(app, handler_cancellation=True)
        client = await stack.enter_async_context(TestClient(server))
        yield V1(client, queue, shared, sessions, reports, browsers)
