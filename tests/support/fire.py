"""What the tests under fire do to a running service, and what has to hold all the same."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Self, TypeVar

import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.service import Service, alive, eventually
from tests.support.solve_client import Client, Json

T = TypeVar("T")
#: Seconds past its timeout in which a task has ended, whatever was done to its browser.
END_GRACE = 10.0
#: Seconds in which a slot that was hit serves a task again, a browser's start on a busy machine
#: included, which is what takes so long.
AGAIN_SECONDS = 40.0
#: How a task may end whose browser was hit, if not in a result.
CRASHED = frozenset({"browser_crashed"})


def repeated(short: int, long: int, seconds: float) -> pytest.MarkDecorator:
    """Give a test its number of repetitions: `times`, few in every run and many in a soak.

    Args:
        short: In every run.
        long: Behind the marker `soak`.
        seconds: What one repetition may take; the test's own timeout follows from it.
    """
    slow = [pytest.mark.soak, pytest.mark.timeout(60 + long * seconds)]
    few = [pytest.mark.timeout(60 + short * seconds)]
    cases = [pytest.param(short, marks=few), pytest.param(long, marks=slow)]
    return pytest.mark.parametrize("times", cases)


def seeded() -> random.Random:
    """Return a random generator whose seed stands in a failed test's output.

    FIRE_SEED=that seed draws the same numbers again.
    """
    seed = int(os.environ.get("FIRE_SEED") or time.time_ns() % 2**32)
    print(f"FIRE_SEED={seed}")
    return random.Random(seed)  # noqa: S311 - draws victims and moments, no secrets


def drivers(service: Service) -> list[psutil.Process]:
    """Its Playwright drivers."""
    return [p for p in service.family() if "run-driver" in cmdline(p)]


def parents(service: Service, *, busy: bool = False) -> list[psutil.Process]:
    """The main processes of its browsers, or of those that have a task's page only.

    One is busy by its connections, whose list the kernel does not give in one piece: while it changes,
    one may be missing. So none is believed only when it is seen again and again.
    """
    found = next(filter(None, (_parents(service, busy) for _ in range(5))), [])
    assert found or not busy, "no browser has a task's page"
    return found


def _parents(service: Service, busy: bool) -> list[psutil.Process]:
    owners = {driver.pid for driver in drivers(service)}
    found = []
    for process in service.browsers():
        try:
            if process.ppid() in owners and (not busy or _talks_to(process, service)):
                found.append(process)
        except psutil.Error:
            continue
    return found


def tree(parent: psutil.Process) -> list[psutil.Process]:
    """A browser's processes, found through their parent: sandboxed ones hide their mark."""
    try:
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def contents(parent: psutil.Process) -> list[psutil.Process]:
    """A browser's content processes."""
    return [p for p in tree(parent) if cmdline(p)[-1:] == ["tab"]]


def guards(service: Service) -> int:
    """How many pages it has, those that are ready for a task included: each has a guard at a port."""
    own = psutil.Process(service.process.pid).net_connections("tcp")
    return sum(c.status == psutil.CONN_LISTEN for c in own) - 1  # but for the one that clients know


def hit(processes: Iterable[psutil.Process], number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to each; those already gone are fine."""
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue


def cmdline(process: psutil.Process) -> list[str]:
    """A process's command line; of one that has ended meanwhile none."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _talks_to(process: psutil.Process, service: Service) -> bool:
    """Whether a browser goes through a guard: its main process does the network's work."""
    own = psutil.Process(service.process.pid).net_connections("tcp")
    guards = {c.laddr[1] for c in own if c.status == psutil.CONN_LISTEN}
    connections = process.net_connections("tcp")
    return any(port in guards for c in connections for port in c.raddr[1:])


class Gate:
    """A site whose page reloads itself until `open()`, and then shows "open words".

    So a task is in the middle of its page for as long as a test wants. Use as a fixture:
    `async with Gate() as gate`.
    """

    def __init__(self) -> None:
        self._open = False
        #: How often each task asked for the page.
        self._asked: Counter[int] = Counter()
        self._submitted = 0
        app = web.Application()
        app.add_routes([web.get("/{number}", self._page)])
        self.server = TestServer(app)

    async def __aenter__(self) -> Self:
        await self.server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.close()

    async def _page(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        if not number.isdigit():
            raise web.HTTPNotFound  # /favicon.ico
        self._asked[int(number)] += 1
        page = "<p>open words</p>" if self._open else f"<p>shut</p><script>{_RELOAD}</script>"
        return web.Response(text=f"<!doctype html>{page}", content_type="text/html")

    def open(self) -> None:
        """Let the tasks through, those that start again on another browser too."""
        self._open = True

    async def enter(self, client: Client, tasks: int, timeout: float) -> list[str]:
        """Shut the gate, submit tasks, and return their ids once all are at the page.

        Who asks a second time has it. By the third time the service was told, too, even where a busy
        machine holds up what the browser says by way of the driver: a browser that dies before that is
        not held against the task.
        """
        self._open = False
        numbers = range(self._submitted, self._submitted + tasks)
        self._submitted += tasks
        ids = [
            await client.submit(
                url=str(self.server.make_url(f"/{number}")),
                success_text="open words",
                timeout=timeout,
            )
            for number in numbers
        ]
        assert await eventually(lambda: all(self._asked[n] >= 3 for n in numbers), timeout), (
            f"{self._asked} of {numbers} came"
        )
        return ids


_RELOAD = "setTimeout(() => location.reload(), 300)"


async def dead(processes: list[psutil.Process], seconds: float) -> bool:
    """Whether all of them are dead within `seconds`."""
    return await eventually(lambda: not alive(processes), seconds)


async def ended(client: Client, tasks: list[str], within: float) -> list[Json]:
    """How the tasks ended; one that hangs is a failure."""
    deadline = time.monotonic() + within
    views = await asyncio.gather(*(client.result(task, wait=min(30.0, within)) for task in tasks))
    while any(view["status"] in ("pending", "running") for view in views):
        assert time.monotonic() < deadline, f"a task hangs: {views}"
        views = [await client.result(task, wait=1) for task in tasks]
    return views


def assert_result_or(codes: frozenset[str], views: list[Json]) -> None:
    """Each ended with a result or with one of these codes."""
    for view in views:
        assert view["status"] == "completed" or view["error"]["code"] in codes, view


async def works(client: Client, hard: TestServer) -> None:
    """The service solves the next task."""
    data = await client.solved(
        url=str(hard.make_url("/plain")), success_text="plain page", timeout=AGAIN_SECONDS
    )
    assert (data["timeout_reached"], data["status_code"]) == (False, 200), data


async def until_health(client: Client, status: int, seconds: float) -> Json:
    """Wait until /health answers with `status`; returns its body."""
    deadline = time.monotonic() + seconds
    while (answer := await client.health())[0] != status:
        assert time.monotonic() < deadline, f"/health still says {answer}"
        await asyncio.sleep(0.2)
    return answer[1]


async def settled(look: Callable[[], T], calm: float, seconds: float = 30.0) -> T:
    """Return what a look shows once it has shown the same for `calm` seconds."""
    deadline = time.monotonic() + seconds
    seen, since = look(), time.monotonic()
    while time.monotonic() - since < calm:
        assert time.monotonic() < deadline, f"still changing: {seen}"
        await asyncio.sleep(0.1)
        if (now := look()) != seen:
            seen, since = now, time.monotonic()
    return seen
