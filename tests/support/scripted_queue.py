"""Handlers of a queue whose tasks end as a test says, and waits for what they bring about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from captcha_bypass.tasks.base import JsonDict, Record, TaskQueue

#: Longer than any test may take: a wait that only ends by its time fails the test.
FOR_EVER = 3600.0


class Script:
    """A handler whose tasks end when, and as, the test says."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.running: set[str] = set()
        self.cancelled: list[str] = []
        self.payloads: dict[str, JsonDict] = {}
        self.most = 0
        self._ends: dict[str, asyncio.Future[JsonDict]] = {}

    async def __call__(self, task_id: str, payload: JsonDict) -> JsonDict:
        self.started.append(task_id)
        self.payloads[task_id] = dict(payload)
        self.running.add(task_id)
        self.most = max(self.most, len(self.running))
        self._ends[task_id] = asyncio.get_running_loop().create_future()
        try:
            return await self._ends[task_id]
        except asyncio.CancelledError:
            self.cancelled.append(task_id)
            raise
        finally:
            self.running.discard(task_id)

    def end(self, task_id: str, outcome: JsonDict | Exception | None = None) -> None:
        """Let a running task return the outcome, or raise it."""
        if isinstance(outcome, Exception):
            self._ends[task_id].set_exception(outcome)
        else:
            self._ends[task_id].set_result({"data": {}} if outcome is None else outcome)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something that other coroutines bring about, or in more time a process of its own."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - handlers of any implementation, without events
            await asyncio.sleep(0.002)


async def ended(queue: TaskQueue, task_id: str) -> Record:
    """Wait until a task has ended."""
    async with asyncio.timeout(10):
        record = await queue.wait(task_id, FOR_EVER)
    assert record is not None
    assert record.finished
    return record


async def at_once(task_id: str, payload: JsonDict) -> JsonDict:
    """A handler that is done before it has begun."""
    return {"data": {"task": task_id, "payload": payload}}
