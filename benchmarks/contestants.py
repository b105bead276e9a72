"""Who is measured: each a process of its own that is given a URL and hands back a solved page."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.adapters import ADAPTERS, Json, Solve, Solved, judged, native
from benchmarks.meter import ProcessTree
from tests.support.service import run_service

ROOT = Path(__file__).resolve().parents[1]
#: Bytes of one answer of a bare loop: a whole page in a line.
_LINE_BYTES = 16 * 2**20
#: Seconds a bare loop gets to close its browser after its last line.
_STOP_SECONDS = 20
_ENDED = "the process of the loop ended"


@dataclass(frozen=True)
class Contestant:
    """One that takes part.

    Attributes:
        solve: Opens a URL of the challenge site and waits for its success text.
        tree: Its processes; None if they are not known.
        folder: Where its TMPDIR (`tmp`), its HOME (`home`) and its log are; None if it was running
            before and is somebody else's to stop.
    """

    name: str
    solve: Solve
    tree: ProcessTree | None
    folder: Path | None = None


@dataclass(frozen=True)
class Peer:
    """A service that is already running: what `--peer NAME=ADAPTER:URL[@PID]` says."""

    name: str
    adapter: str
    url: str
    pid: int | None

    @classmethod
    def parse(cls, text: str) -> Peer:
        """Return what the option's value says; ValueError if it does not fit."""
        name, _, rest = text.partition("=")
        adapter, _, address = rest.partition(":")
        url, at, pid = address.rpartition("@")
        if not at:
            url, pid = pid, ""
        if not name or adapter not in ADAPTERS or not url.startswith("http"):
            raise ValueError(f"expected NAME=ADAPTER:URL[@PID], ADAPTER of {', '.join(ADAPTERS)}")
        return cls(name, adapter, url.rstrip("/"), int(pid) if at else None)

    def contestant(self, session: aiohttp.ClientSession) -> Contestant:
        """Return it, ready to be measured."""
        tree = None if self.pid is None else ProcessTree(self.pid)
        return Contestant(self.name, ADAPTERS[self.adapter](session, self.url), tree)


def environment_in(folder: Path) -> dict[str, str]:
    """Make the folders of a contestant and return the environment that points to them."""
    for name in ("tmp", "home"):
        (folder / name).mkdir(parents=True)
    return {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(folder / "tmp"),
        "HOME": str(folder / "home"),
    }


@asynccontextmanager
async def own_service(
    session: aiohttp.ClientSession, folder: Path, workers: int, *, guarded: bool = True
) -> AsyncIterator[Contestant]:
    """Run this project's service, with or without its guard, for as long as the block lasts."""
    environment = environment_in(folder)
    # All tasks are for the one challenge site, which wants no mercy.
    flags: tuple[str, ...] = (
        "--workers",
        str(workers),
        "--max-per-host",
        "0",
        "--log-format",
        "json",
    )
    name, module = (
        ("service", "captcha_bypass") if guarded else ("unguarded", "benchmarks.unguarded")
    )
    flags = (*flags, "--log-level", "debug")
    with run_service(folder, *flags, env=environment, module=module) as service:
        tree = ProcessTree(service.process.pid)
        yield Contestant(name, native(session, service.url), tree, folder)


def hand_over_seconds(log: str) -> dict[str, float]:
    """Return how long the pool took to lend each task its page, by the service's JSON log."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    lent = [line for line in lines if line.get("message") == "page lent"]
    return {line["task_id"]: line["seconds"] for line in lent}


class _Loop:
    """Talks to a process of `benchmarks.naive`: a line there, a line back."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = itertools.count()
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._ended = False

    async def solve(self, url: str) -> Solved:
        if self._ended:
            return Solved(error=_ENDED)
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        number = next(self._ids)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"id": number, "url": url}).encode() + b"\n")
        try:
            answer = await self._waiting[number]
        finally:
            del self._waiting[number]
        return Solved(error=answer["error"]) if "error" in answer else judged(answer["html"])

    async def listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        async for line in self._process.stdout:
            answer = json.loads(line)
            if (future := self._waiting.get(answer["id"])) and not future.done():
                future.set_result(answer)
        self._ended = True
        for future in self._waiting.values():
            if not future.done():
                future.set_result({"error": _ENDED})


@asynccontextmanager
async def bare_loop(folder: Path, kind: str) -> AsyncIterator[Contestant]:
    """Run a bare Playwright loop, `warm` or `cold`, for as long as the block lasts."""
    environment = environment_in(folder)
    with (folder / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.naive", kind),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            limit=_LINE_BYTES,
            cwd=ROOT,
            env=environment,
            start_new_session=True,  # Ctrl+C is for the harness, which then stops it in order
        )
    assert process.stdin is not None  # noqa: S101 - it was asked for
    loop = _Loop(process)
    listener = asyncio.create_task(loop.listen())
    try:
        yield Contestant(kind, loop.solve, ProcessTree(process.pid), folder)
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await listener
