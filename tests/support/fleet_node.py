"""A node of a fleet as a process of its own, whose tasks sleep: `python -m tests.support.fleet_node`.

It prints `ready`, then a line with the id of each task that it begins. SIGTERM ends it in order.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import Protocol
from unittest.mock import patch

from captcha_bypass.tasks.base import Handler, JsonDict
from captcha_bypass.tasks.fleet import store
from captcha_bypass.tasks.fleet.opening import Address, connect, opened
from captcha_bypass.tasks.fleet.queue import FleetQueue
from captcha_bypass.tasks.fleet.seal import Seal
from captcha_bypass.tasks.fleet.store import Store
from tests.support.repository import ROOT

SECRETS = ("a secret of the queue",)
#: About 20 kB, as long as an ordinary page.
PAGE = "<p>The quick brown fox jumps over the lazy dog, then does so once more.</p>\n" * 260
#: Seconds that a client waits, which is longer than any task.
LONG = 600.0


@contextmanager
def hurried(lease: float) -> Iterator[None]:
    """Have a fleet notice so many seconds later who is dead, all in proportion; 0: as soon as ever."""
    part = lease / store.LEASE_SECONDS
    sooner = {
        "store.LEASE_SECONDS": lease,
        "store.PAUSE_SECONDS": store.PAUSE_SECONDS * part,
        "store.PATIENCE_SECONDS": store.PATIENCE_SECONDS * part,
        "queue.BEAT_SECONDS": store.BEAT_SECONDS * part,
    }
    with ExitStack() as stack:
        for name, seconds in sooner.items() if lease else ():
            stack.enter_context(patch(f"captcha_bypass.tasks.fleet.{name}", seconds))
        yield


@asynccontextmanager
async def node(
    url: str,
    name: str,
    handler: Handler | None = None,
    slots: int = 0,
) -> AsyncIterator[FleetQueue]:
    """Have a node in this process; without a handler it only answers."""
    address = Address(url)
    redis = connect(address)
    shared = Store(
        redis,
        "fleet:",
        result_ttl=LONG,
        max_results_bytes=2**30,
        home_ttl=LONG,
        seal=Seal(SECRETS),
    )
    queue = FleetQueue(shared, name=name, max_pending=1_000_000)
    derived = Seal.derived(SECRETS, "nodes")
    async with opened(queue, redis, address, timeout=5.0, secrets=derived):
        await queue.start(handler, slots)
        yield queue


class Process:
    """A node that was started."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        #: Ids of the tasks that it has begun.
        self.begun: list[str] = []
        self._process = process
        self._reading = asyncio.create_task(self._read())
        self._ready = asyncio.Event()
        self._news = asyncio.Event()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line == b"ready\n":
                self._ready.set()
            else:
                self.begun.append(line.decode().strip())
                self._news.set()

    async def until_ready(self) -> None:
        async with asyncio.timeout(60):
            await self._ready.wait()

    async def until_begun(self, task_id: str) -> None:
        async with asyncio.timeout(60):
            while task_id not in self.begun:
                self._news.clear()
                await self._news.wait()

    async def kill(self) -> None:
        """End it as a crash does; what it said until then is in `begun`."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading


class Start(Protocol):
    async def __call__(self, url: str, name: str, *, slots: int, lease: float = 0.0) -> Process: ...


@asynccontextmanager
async def processes() -> AsyncIterator[Start]:
    """Yield what starts nodes; those that are left are killed."""
    async with AsyncExitStack() as stack:

        async def start(url: str, name: str, *, slots: int, lease: float = 0.0) -> Process:
            flags = ("--url", url, "--name", name, "--slots", str(slots), "--lease", str(lease))
            command = [sys.executable, "-m", __name__, *flags]
            process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, stdout=subprocess.PIPE
            )
            found = Process(name, process)
            stack.push_async_callback(found.kill)
            return found

        yield start


async def sleep(task_id: str, payload: JsonDict) -> JsonDict:
    """A handler whose tasks take as many seconds as they say."""
    await asyncio.sleep(payload["seconds"])
    return {"data": {"task": task_id, "asked": payload, "html": f"<!-- {task_id} -->{PAGE}"}}


async def _told(task_id: str, payload: JsonDict) -> JsonDict:
    print(task_id, flush=True)
    return await sleep(task_id, payload)


async def _serve(url: str, name: str, slots: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with node(url, name, _told, slots):
        print("ready", flush=True)
        await stop.wait()


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--lease", type=float, required=True)
    arguments = parser.parse_args()
    with hurried(arguments.lease):
        asyncio.run(_serve(arguments.url, arguments.name, arguments.slots))


if __name__ == "__main__":
    main()
