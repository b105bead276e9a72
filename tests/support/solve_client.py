"""Talks to a running service as a user of POST /solve does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.support.service import Service

Json = dict[str, Any]
#: Seconds within which a page has come also on a machine that is busy.
PATIENCE = 15.0


class Client:
    """Each call is one request, but for those that wait for a task to be somewhere."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url

    async def submit(self, **request: object) -> str:
        async with self._session.post(f"{self.url}/solve", json=request) as response:
            body = await response.json()
            assert response.status == 202, body
            return str(body["task_id"])

    async def result(self, task_id: str, wait: float = 0) -> Json:
        url = f"{self.url}/result/{task_id}"
        async with self._session.get(url, params={"wait": wait}) as response:
            body: Json = await response.json()
            return body

    async def finished(self, task_id: str) -> Json:
        """Poll until the task has ended."""
        while (view := await self.result(task_id, wait=30))["status"] in ("pending", "running"):
            continue
        return view

    async def solve(self, **request: object) -> Json:
        """Submit a task and return how it ended."""
        return await self.finished(await self.submit(**request))

    async def solved(self, **request: object) -> Json:
        """Submit a task that must complete, and return its data."""
        view = await self.solve(**request)
        assert view["status"] == "completed", view
        data: Json = view["data"]
        return data

    async def unfinished(
        self, timeout: float, came: Callable[[Json], bool] | None = None, **request: object
    ) -> Json:
        """Submit a task that never gets through, and return how it ended.

        Once more with more time where its page had not come: `timeout` is what most machines need for
        it, and a busy one takes longer to open any page.
        """
        for seconds in (timeout, PATIENCE):
            view = await self.solve(timeout=seconds, **request)
            if (came or page_came)(view):
                break
        return view

    async def delete(self, task_id: str) -> tuple[int, Json]:
        async with self._session.delete(f"{self.url}/task/{task_id}") as response:
            return response.status, await response.json()

    async def end_session(self, name: str) -> None:
        async with self._session.delete(f"{self.url}/sessions/{name}") as response:
            assert response.status == 200, await response.text()

    async def health(self) -> tuple[int, Json]:
        async with self._session.get(f"{self.url}/health") as response:
            return response.status, await response.json()

    async def until_warm(self) -> None:
        """Wait until a browser runs, so that its launch takes nothing off a task's timeout."""
        for _ in range(1500):
            if (await self.health())[1].get("browsers", {}).get("tasks"):
                return
            await asyncio.sleep(0.02)
        raise AssertionError("no browser")

    async def until_running(self, task_id: str) -> None:
        for _ in range(1500):
            if (await self.result(task_id))["status"] != "pending":
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it never ran")

    async def until_waiting_for_human(self, task_id: str) -> None:
        for _ in range(1500):
            if (await self.result(task_id))["status"] == "waiting_for_human":
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it never waited for a person")


def page_came(view: Json) -> bool:
    """Whether a task that has ended had a page, and an answer of its site."""
    if view["error"]:
        return bool(view["error"]["code"] != "browser_unavailable")
    return view["data"]["status_code"] is not None


@asynccontextmanager
async def client_of(service: Service) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, service.url)
