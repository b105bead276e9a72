"""A stub service as a process of its own, and its client."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import psutil

from benchmarks.contestants import ROOT

#: Seconds a stub's task takes where it shall not end meanwhile.
NEVER = 3600.0
_TASK = {"url": "https://example.com/page", "success_text": "Welcome", "timeout": 60}


class Stub:
    """A running stub service and a client of it."""

    def __init__(self, process: psutil.Process, session: aiohttp.ClientSession, url: str) -> None:
        self.process = process
        self._session = session
        self._url = url

    async def submit(self) -> str:
        """Queue a task and return its id."""
        async with self._session.post(f"{self._url}/solve", json=_TASK) as response:
            response.raise_for_status()
            task_id: str = (await response.json())["task_id"]
            return task_id

    async def result(self, task_id: str, wait: float) -> str:
        """Return the task's status."""
        where = f"{self._url}/result/{task_id}"
        async with self._session.get(where, params={"wait": wait}) as response:
            response.raise_for_status()
            status: str = (await response.json())["status"]
            return status

    async def round_trip(self) -> None:
        """Submit a task and wait for its page."""
        status = await self.result(await self.submit(), wait=30)
        if status != "completed":
            raise RuntimeError(f"the stub's task is {status}")

    async def reuse(self) -> None:
        """Have a task answered from a clearance that is there."""
        where, task = f"{self._url}/solve", {**_TASK, "reuse": 600}
        async with self._session.post(where, params={"wait": 30}, json=task) as response:
            response.raise_for_status()
            view = await response.json()
        if not view["data"]["clearance"]["reused"]:
            raise RuntimeError("the stub's task was not answered from a clearance")

    async def cancel(self, task_id: str) -> None:
        """Take a task out of the queue."""
        async with self._session.delete(f"{self._url}/task/{task_id}") as response:
            response.raise_for_status()
            await response.read()

    async def health(self) -> int:
        """Return how many tasks are pending."""
        async with self._session.get(f"{self._url}/health") as response:
            response.raise_for_status()
            queued: int = (await response.json())["queue"]
            return queued

    async def fill(self, count: int) -> None:
        """Queue so many tasks at once."""
        async with self._session.post(f"{self._url}/fill", params={"count": count}) as response:
            response.raise_for_status()

    def cpu(self) -> float:
        """CPU seconds of the stub so far."""
        times = self.process.cpu_times()
        return times.user + times.system

    def memory(self) -> tuple[int, int]:
        """Bytes that are the stub's alone (USS), and all that it has mapped in (RSS)."""
        memory = self.process.memory_full_info()
        return memory.uss, memory.rss


@asynccontextmanager
async def running(delay: float) -> AsyncIterator[Stub]:
    """Run a stub service; all but four of its tasks are pending if `delay` is NEVER."""
    command = [sys.executable, "-m", "benchmarks.stub_service", "--delay", str(delay)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None  # noqa: S101 - it was asked for
    try:
        url = (await process.stdout.readline()).decode().strip()
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            yield Stub(psutil.Process(process.pid), session, url)
    finally:
        if process.returncode is None:
            process.kill()  # it holds nothing worth a goodbye
        await process.wait()
