"""The real service as a process of its own, driven from outside."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import psutil

from tests.support.warm_firefox import FOLDER

PATH = f"{FOLDER}:/usr/bin:/bin:/usr/sbin:/sbin"
#: Nothing listens there: a fetcher fails at once on every machine, and no packet leaves it.
NO_NETWORK = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}


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


async def eventually(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition()` becomes true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True
