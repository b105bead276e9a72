"""The native API over a real server and a real queue; only the browser's outcome is scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient

from captcha_bypass.history import History
from captcha_bypass.sharing.queue import SharedQueue
from captcha_bypass.tasks.base import Record
from captcha_bypass.tasks.memory import MemoryQueue
from tests.support.native_tasks import BASE, SOLUTION
from tests.support.scripted_queue import FOR_EVER, Script, until
from tests.support.status import ToldBrowsers

JSON = {"Content-Type": "application/json"}


class WatchedQueue(MemoryQueue):
    """Tells how many requests are held until their task ends."""

    held = 0

    async def wait(self, task_id: str, seconds: float) -> Record | None:
        self.held += 1
        try:
            return await super().wait(task_id, seconds)
        finally:
            self.held -= 1


@dataclass
class Service:
    client: TestClient[web.Request, web.Application]
    #: What runs the tasks, and what the API asks in its place.
    queue: WatchedQueue
    shared: SharedQueue
    script: Script
    browsers: ToldBrowsers
    history: History

    async def solve(self, **fields: object) -> str:
        """Submit a good request and return the task's id."""
        response = await self.client.post("/solve", json=BASE | fields)
        assert response.status == 202, await response.text()
        task_id: str = (await response.json())["task_id"]
        return task_id

    async def running(self, **fields: object) -> str:
        """Submit a good request and wait until a worker has it."""
        task_id = await self.solve(**fields)
        await until(lambda: task_id in self.script.running)
        return task_id

    async def view(self, task_id: str, query: str = "") -> dict[str, Any]:
        response = await self.client.get(f"/result/{task_id}{query}")
        answer: dict[str, Any] = await response.json()
        return answer

    async def end(self, task_id: str, outcome: dict[str, Any] | None = None) -> None:
        self.script.end(task_id, outcome or {"data": SOLUTION})
        async with asyncio.timeout(10):
            await self.queue.wait(task_id, FOR_EVER)


MakeService = Callable[..., Awaitable[Service]]


async def error_of(response: ClientResponse) -> dict[str, Any]:
    """Check that an answer is an error of the contract's shape and return its error object."""
    assert response.content_type == "application/json"
    body = await response.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    keys = {"code", "message"} | ({"fields"} if error["code"] == "invalid_request" else set())
    assert set(error) == keys
    assert error["message"]
    for field in error.get("fields", []):
        assert set(field) == {"field", "message"}
        assert field["message"]
    return error


async def waiting(service: Service, task_id: str) -> asyncio.Task[ClientResponse]:
    """Begin a long-poll, and return once the service holds it."""
    held = service.queue.held
    poll = asyncio.create_task(service.client.get(f"/result/{task_id}?wait=30"))
    await until(lambda: service.queue.held == held + 1)
    return poll


def but(**fields: object) -> dict[str, Any]:
    """The good request with some fields changed."""
    return BASE | fields


def cookie(**fields: object) -> dict[str, Any]:
    return but(cookies=[{"name": "a", "value": "b", **fields}])
