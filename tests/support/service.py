"""The real service as a process of its own, driven from outside."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.support.warm_firefox import FOLDER

PATH = f"{FOLDER}:/usr/bin:/bin:/usr/sbin:/sbin"
#: Nothing listens there: a fetcher fails at once on every machine, and no packet leaves it.
NO_NETWORK = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
Json = dict[str, Any]
#: Seconds within which a page has come also on a machine that is busy.
PATIENCE = 15.0


class Service:
    """A running `captcha-bypass` process."""

    def __init__(self, process: subprocess.Popen[str], url: str, tmp: Path) -> None:
        self.process = process
        self.url = url
        #: Its TMPDIR: whatever its browsers leave behind is in here.
        self.tmp = tmp

    @property
    def log(self) -> str:
        return (self.tmp / "log").read_text()

    def family(self) -> list[psutil.Process]:
        """All processes that this service started, found by its folder in their environment."""
        found = []
        for process in psutil.process_iter():
            try:
                inside = str(self.tmp) in process.environ().get("CAPTCHA_BYPASS_INSTANCE", "")
                if inside and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def browsers(self) -> list[psutil.Process]:
        """The processes of its browsers."""
        return [p for p in self.family() if _env(p, "CAPTCHA_BYPASS_BROWSER")]

    def labels(self) -> set[str]:
        """One label for each browser that has a process."""
        return {label for p in self.family() if (label := _env(p, "CAPTCHA_BYPASS_BROWSER"))}

    def content_processes(self) -> list[psutil.Process]:
        """The processes of its browsers that run pages."""
        found = []
        for process in self.process_tree():
            try:
                if process.cmdline()[-1:] == ["tab"] and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def content_pids(self) -> frozenset[int]:
        """Process ids of those."""
        return frozenset(process.pid for process in self.content_processes())

    def process_tree(self) -> list[psutil.Process]:
        """All its descendants, also those that hide their environment."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def folders(self) -> list[Path]:
        """The folders of services under its TMPDIR."""
        return list(self.tmp.glob("captcha-bypass-*/service-*"))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those still running; a zombie is not."""
    left = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                left.append(process)
        except psutil.Error:
            continue
    return left


def _env(process: psutil.Process, name: str) -> str | None:
    try:
        return process.environ().get(name)
    except psutil.Error:
        return None


@contextmanager
def run_service(
    tmp: Path,
    *flags: str,
    env: dict[str, str] | None = None,
    prefix: Sequence[str] = (),
    module: str = "captcha_bypass",
    ready: bool = True,
) -> Iterator[Service]:
    """Start the service with stock Firefox on a free port; it is gone when the block ends.

    Later flags win, `env` is added to its environment, and its TMPDIR and HOME are `tmp`. A
    `prefix` is a command that ends in running the service under its own process id; `module` is run
    in place of the program itself. With `ready` the block begins when its start is over.
    """
    tmp.mkdir(exist_ok=True)
    command = [sys.executable, "-m", module, "--browser", "firefox", "--port", "0"]
    with (tmp / "log").open("a") as log:
        process = subprocess.Popen(
            [*prefix, *command, *flags],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # so that a test can press Ctrl+C: the group gets the signal
            env={"PATH": PATH, "TMPDIR": str(tmp), "HOME": str(tmp), **(env or {})},
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        match = re.search(r"http://\S+", line)
        assert match, f"it did not start: {line!r}, {(tmp / 'log').read_text()}"
        if ready:
            _until_started(match.group())
        yield Service(process, match.group(), tmp)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        process.stdout.close()


def _until_started(url: str) -> None:
    """Wait until a service has its first browser, or knows why it has none."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
        try:
            connection.request("GET", "/health")
            if json.load(connection.getresponse())["status"] != "starting":
                return
        finally:
            connection.close()
        time.sleep(0.02)
    raise AssertionError("it neither has a browser nor knows why not")


class Client:
    """Talks to a service as a user does."""

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


async def eventually(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition()` becomes true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True
