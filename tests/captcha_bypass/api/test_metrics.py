"""GET /metrics: right counts after every kind of end, bounded labels, and nothing about users."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self
from unittest.mock import AsyncMock, Mock, patch

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from captcha_bypass.api.application import application
from captcha_bypass.app import STARTUP, create_app
from captcha_bypass.browsers.sessions import Sessions
from captcha_bypass.challenges import VENDORS, Challenge
from captcha_bypass.config import Config
from captcha_bypass.errors import TaskError
from captcha_bypass.metrics import Metrics
from captcha_bypass.nodes.sessions import NodeSessions
from captcha_bypass.solving.outcome import Findings, Outcome
from captcha_bypass.solving.worker import Worker
from captcha_bypass.status import Browsers, StatusBoard
from captcha_bypass.tasks.memory import MemoryQueue
from captcha_bypass.wire.task import Task
from tests.support.fetching import NoFetches
from tests.support.samples import Samples, key, parse, solves
from tests.support.scripted_queue import until
from tests.support.status import BROWSERS, EGRESS, ToldBrowsers

# Through the API


@dataclass
class Pages:
    """Stands in for browsers: what a page shows is what its URL's path says."""

    permits: list[Any] = field(default_factory=list)
    sessions: Sessions = field(default_factory=lambda: Sessions(most=1, ttl=1.0))
    ends: asyncio.Event = field(default_factory=asyncio.Event)

    is_ready, unavailable = True, None

    async def __aenter__(self) -> Self:
        return self

    async def ready(self) -> None:
        """At once."""

    async def broken(self) -> None:
        await asyncio.Future()

    async def __aexit__(self, *_: object) -> None:
        """Nothing is to be stopped."""

    def counts(self) -> Browsers:
        return BROWSERS

    @asynccontextmanager
    async def page(self, *, permit: object, **_: object) -> AsyncIterator[None]:
        self.permits.append(permit)
        yield None

    async def solve(self, _tab: object, task: Task, *_: object) -> Outcome:
        kind = task.url.rpartition("/")[2].partition("?")[0]
        found = Findings(task.url)
        if kind == "hang":
            await self.ends.wait()
        elif kind == "bug":
            raise ValueError(task.url)
        elif kind == "dns":
            raise TaskError("dns_error", "no such host")
        elif kind == "late":
            return Outcome(found, timeout_reached=True)
        elif kind in VENDORS:
            challenged = replace(found, obstacle=Challenge(kind, "automatic"))
            return Outcome(challenged, timeout_reached=True)
        return Outcome(found)


@dataclass
class Service:
    client: TestClient[web.Request, web.Application]
    pages: Pages
    metrics: Metrics

    async def submit(self, kind: str, **fields: object) -> str:
        url = f"http://canary-host.test/{kind}?canary-query"
        body = {"url": url, "no_challenge": True, "timeout": 10, **fields}
        async with self.client.post("/solve", json=body) as response:
            task_id: str = (await response.json())["task_id"]
        return task_id

    async def solved(self, kind: str, **fields: object) -> None:
        task_id = await self.submit(kind, **fields)
        async with self.client.get(f"/result/{task_id}?wait=10") as response:
            assert (await response.json())["status"] in ("completed", "error")

    async def text(self, **headers: str) -> str:
        async with self.client.get("/metrics", headers=headers) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            return await response.text()

    async def samples(self) -> Samples:
        return parse(await self.text())


MakeService = Callable[..., Awaitable[Service]]


@pytest.fixture
async def make_service() -> AsyncIterator[MakeService]:
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> Service:  # noqa: ANN401
            config = Config(**{"workers": 2, **settings})
            limits = (config.max_queue, config.result_ttl, config.max_results_bytes)
            queue = MemoryQueue(
                max_pending=limits[0], result_ttl=limits[1], max_results_bytes=limits[2]
            )
            metrics, pages = Metrics(domains=config.metrics_domains), Pages()
            pool: Any = pages
            board = StatusBoard(queue, ToldBrowsers(numbers=BROWSERS), EGRESS)
            app = application(
                config, queue, NodeSessions(Sessions(most=1, ttl=1.0)), board, metrics, NoFetches()
            )
            stack.enter_context(patch("captcha_bypass.solving.worker.solve", pages.solve))
            await queue.start(Worker(pool, 10_000, report=metrics.task_ended), config.workers)
            stack.push_async_callback(queue.stop, 0)
            client = await stack.enter_async_context(TestClient(TestServer(app)))
            return Service(client, pages, metrics)

        yield make


async def test_every_end_of_a_task_is_counted_once_under_its_outcome(
    make_service: MakeService,
) -> None:
    service = await make_service()
    kinds = ["ok", "ok", "late", "dns", "bug", "cloudflare"]
    for kind in kinds:
        await service.solved(kind)
    hanging = await service.submit("hang")
    await until(lambda: len(service.pages.permits) == len(kinds) + 1)
    async with service.client.delete(f"/task/{hanging}") as response:
        assert response.status == 200
    samples = await service.samples()
    assert solves(samples) == {
        ("completed", "none"): 2,
        ("timeout", "none"): 1,
        ("timeout", "cloudflare"): 1,
        ("dns_error", "none"): 1,
        ("internal_error", "none"): 1,
        ("cancelled", "none"): 1,
    }
    times = {
        outcome: samples[key("captcha_bypass_solve_seconds_count", outcome=outcome)]
        for outcome in ("completed", "timeout", "error", "cancelled")
    }
    assert times == {"completed": 2, "timeout": 2, "error": 2, "cancelled": 1}


async def test_queue_is_counted_as_it_stands(make_service: MakeService) -> None:
    service = await make_service(max_per_host=0)
    tasks = [await service.submit("hang") for _ in range(5)]
    await until(lambda: len(service.pages.permits) == 2)
    names = ["queue_depth", "tasks_running", "workers"]
    found = await service.samples()
    assert [found[key(f"captcha_bypass_{name}")] for name in names] == [3, 2, 2]
    assert found[key("captcha_bypass_queue_oldest_seconds")] > 0
    for task_id in reversed(tasks):  # pending ones first: no worker ever had them
        async with service.client.delete(f"/task/{task_id}"):
            pass
    found = await service.samples()
    assert [found[key(f"captcha_bypass_{name}")] for name in names] == [0, 0, 2]
    assert solves(found) == {("cancelled", "none"): 2}


async def test_no_secret_and_no_host_shows_by_default(make_service: MakeService) -> None:
    service = await make_service(api_key=("canary-key-1",))
    service.client.session.headers["Authorization"] = "Bearer canary-key-1"
    secret = {
        "proxy": {
            "server": "http://canary-proxy.test:1",
            "username": "canary",
            "password": "canary",
        },
        "cookies": [{"name": "canary", "value": "canary"}],
        "headers": {"X-Canary": "canary"},
    }
    for kind in ("ok", "dns", "bug", "cloudflare"):
        await service.solved(kind, **secret)
    service.metrics.v1_request("canary-host.test", "solved", 1)
    text = await service.text()
    sample = 'captcha_bypass_solves_total{challenge="none",kind="none",outcome="completed"} 1.0'
    assert sample in text
    assert "canary" not in text.lower()
    assert ".test" not in text
    assert "http" not in text


async def test_key_is_asked_for_where_there_is_one(make_service: MakeService) -> None:
    service = await make_service(api_key=("good-key-1",))
    async with service.client.get("/metrics") as response:
        assert response.status == 401
    assert await service.text(Authorization="Bearer good-key-1")


async def test_scrapes_do_not_disturb_each_other(make_service: MakeService) -> None:
    service = await make_service()
    await service.solved("ok")
    texts = await asyncio.gather(*(service.samples() for _ in range(10)))
    assert [solves(samples) for samples in texts] == [{("completed", "none"): 1}] * 10


async def test_application_counts_tasks_and_gives_them_its_proxy() -> None:
    pages, engine = Pages(), Mock(warning=None, version="153.0")
    config = Config(workers=1, proxy_url="http://10.0.0.1:3128")
    with (
        patch("captcha_bypass.app.BrowserPool", lambda *_, **__: pages),
        patch("captcha_bypass.solving.worker.solve", pages.solve),
    ):
        app = create_app(config, AsyncMock(return_value=engine))
        async with TestClient(TestServer(app)) as client:
            running = app[STARTUP].begin()
            service = Service(client, pages, Metrics())
            await service.solved("late")
            found = await service.samples()
            assert not running.done()
    assert solves(found) == {("timeout", "none"): 1}
    assert found[key("captcha_bypass_browsers_alive")] == 2
    assert found[key("captcha_bypass_egress_connections_total")] == 0
    (permit,) = pages.permits
    assert str(permit.upstream.destination) == "10.0.0.1:3128"
    assert permit.upstream.trusted
