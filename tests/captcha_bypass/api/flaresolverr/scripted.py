"""The service over a handler whose tasks end as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from captcha_bypass.wire.task import Task
from tests.support.flaresolverr_service import V1, Json, failure_of
from tests.support.scripted_queue import Script, until

CANARY = "CANARY-d41d8cd9"
URL = "http://site.test/"
GET: Json = {"cmd": "request.get", "url": URL}
POST: Json = {"cmd": "request.post", "url": URL, "postData": "a=b"}
SESSION_COOKIE: Json = {
    "name": "a",
    "value": "b\u00fc",
    "domain": "site.test",
    "path": "/",
    "expires": -1,
    "httpOnly": False,
    "secure": False,
    "sameSite": "Lax",
}
CLEARANCE: Json = {
    "name": "cf_clearance",
    "value": "abc",
    "domain": ".site.test",
    "path": "/",
    "expires": 1893456000.5,
    "httpOnly": True,
    "secure": True,
    "sameSite": "None",
    "partitionKey": "https://site.test",
}
DATA: Json = {
    "cookies": [CLEARANCE, SESSION_COOKIE],
    "headers": {"content-type": "text/html", "set-cookie": "a=b\nc=d", "vary": "a\nb"},
    "status_code": 404,
    "html": "<p>Welcome \N{SNOWMAN}</p>",
    "url": "http://site.test/final",
    "timeout_reached": False,
    "user_agent": "Mozilla/5.0 (the browser's)",
    "request_headers": {},
    "challenge": None,
    "solved": None,
    "block": None,
    "screenshot": None,
    "elapsed": 1.5,
}
PREFIX = "Error: Error solving the challenge. "
BLOCKED = (
    PREFIX + "Cloudflare has blocked this request. Probably your IP is banned for this site, "
    "check in your web browser."
)


@dataclass
class Scripted:
    """The service, and the script that ends its tasks."""

    v1: V1
    script: Script

    async def running(self, **command: object) -> tuple[asyncio.Task[Json], Task]:
        """Send a command; return its answer to come, and the task that a worker has got."""
        before = set(self.script.started)
        sent = asyncio.create_task(self._answer(**command))
        await until(lambda: sent.done() or self.script.running - before != set())
        assert not sent.done(), sent.result()
        (task_id,) = self.script.running - before
        return sent, Task.model_validate(self.script.payloads[task_id])

    async def task(self, **command: object) -> Task:
        """Return the task that a command makes."""
        sent, task = await self.running(**command)
        self.end(DATA)
        assert (await sent)["status"] == "ok"
        return task

    async def next_task(self) -> Task:
        """Wait for the task of a program that may start just now, end it well, and return it."""
        await until(lambda: self.script.running != set(), 60)
        (task_id,) = self.script.running
        self.end(DATA)
        return Task.model_validate(self.script.payloads[task_id])

    async def answer(self, outcome: Json, **command: object) -> Json:
        """Send a command whose task ends so, and return the answer."""
        sent, _ = await self.running(**command)
        self.end(outcome)
        async with asyncio.timeout(10):
            return await sent

    def end(self, data: Json) -> None:
        """End the running task with data, or an error."""
        (task_id,) = self.script.running
        self.script.end(task_id, data if "error" in data else {"data": data})

    async def _answer(self, **command: object) -> Json:
        response = await self.v1.post(**command)
        body: Json = await response.json()
        assert response.status == (200 if body["status"] == "ok" else 500)
        if body["status"] == "error":
            await failure_of(response)
        return body

    def idle(self) -> bool:
        """Whether the queue knows no task any more, and runs none."""
        return not self.v1.queue._entries and not self.v1.queue._running


Make = Callable[..., Awaitable[Scripted]]
