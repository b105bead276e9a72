"""Tasks that may share, what comes of them, and a queue that runs them as a test says."""

from __future__ import annotations

import itertools
from typing import Any

from pydantic import SecretStr

from captcha_bypass.sharing.clearances import Clearances
from captcha_bypass.sharing.queue import SharedQueue
from captcha_bypass.tasks.base import JsonDict, Record
from captcha_bypass.tasks.memory import MemoryQueue
from captcha_bypass.wire.models import SolveRequest
from captcha_bypass.wire.task import Task
from tests.support.native_tasks import SOLUTION
from tests.support.scripted_queue import Script, ended, until

TTL = 3600.0
URL = "http://site.test/"
#: What a browser has that got through.
SOLVED = SOLUTION | {"solved": "cloudflare", "screenshot": "cGljdHVyZQ=="}


def cookie(name: str, *, expires: float = -1, value: str = "v") -> JsonDict:
    return {**SOLUTION["cookies"][0], "name": name, "value": value, "expires": expires}


def payload(url: str = URL, owner: str = "", **fields: Any) -> JsonDict:  # noqa: ANN401 - of SolveRequest
    """Return a task as the queue gets it."""
    body = {"url": url, "no_challenge": True, "timeout": 10.0, **fields}
    return Task.of(SolveRequest.model_validate(body), owner).to_payload()


def proxy(port: int = 1, password: str | None = None) -> JsonDict:
    login = {} if password is None else {"username": "u", "password": SecretStr(password)}
    return {"server": f"http://proxy.test:{port}", **login}


class Stage:
    """A queue with four slots."""

    def __init__(self, most_joined: int = 100) -> None:
        self.events: list[str] = []
        self.clearances = Clearances(TTL, self.events.append)
        self.memory = MemoryQueue(max_pending=100, result_ttl=600, max_results_bytes=2**24)
        self.queue = SharedQueue(
            self.memory, self.clearances, most_joined=most_joined, report=self.events.append
        )
        self.script = Script()
        self._ids = map(str, itertools.count(1))

    async def submit(self, url: str = URL, owner: str = "", **fields: Any) -> str:  # noqa: ANN401
        task_id = next(self._ids)
        await self.queue.submit(task_id, payload(url, owner, **fields), 10.0, owner=owner)
        return task_id

    async def running(self, url: str = URL, owner: str = "", **fields: Any) -> str:  # noqa: ANN401
        """Hand in a task, and return its id once a worker has it."""
        task_id = await self.submit(url, owner, **fields)
        await until(lambda: task_id in self.script.running)
        return task_id

    async def solved(self, url: str = URL, owner: str = "", **fields: Any) -> Record:  # noqa: ANN401
        """Have a task solved by a browser."""
        task_id = await self.running(url, owner, **fields)
        self.script.end(task_id, {"data": SOLVED})
        return await ended(self.queue, task_id)


def clearance_of(record: Record) -> JsonDict:
    """Return what a result says of its clearance."""
    assert record.data is not None
    told: JsonDict = record.data["clearance"]
    return told
