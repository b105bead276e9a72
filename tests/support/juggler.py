"""Camoufox, with the fake Juggler peer in the place of its binary, as the service runs it."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import camoufox.utils
import pytest

from captcha_bypass.browsers.fleet import Limits
from captcha_bypass.browsers.launch.engines import Camoufox, Pace
from captcha_bypass.browsers.pool import BrowserPool
from captcha_bypass.browsers.sessions import Sessions
from captcha_bypass.egress.guards import Egress
from captcha_bypass.egress.rules import Rules
from captcha_bypass.solving import isolated
from captcha_bypass.solving.worker import Worker
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.wire.task import Task
from tests.support import fake_juggler
from tests.support.camoufox_bundle import lay_out
from tests.support.fake_browsers import LIMITS
from tests.support.repository import ROOT

#: As it is before any pool here replaces it.
REAL: Any = camoufox.utils.launch_options
#: Short, so that a peer that is silent is found out soon.
QUICK = Pace(open_seconds=1.5, close_seconds=0.3)


class Juggler:
    """A pool whose Camoufox is the peer, and what the peer was sent."""

    def __init__(
        self, folder: Path, engine: Camoufox, pool: BrowserPool, sessions: Sessions
    ) -> None:
        self._folder = folder
        self.engine = engine
        self.pool = pool
        self.sessions = sessions
        self.worker = Worker(pool, 10_000)

    async def solve(self, path: str, timeout: float = 15.0, **more: object) -> JsonDict:
        task = Task.model_validate(
            {"url": f"http://fake.test/{path}", "no_challenge": True, "timeout": timeout, **more}
        )
        return await self.worker("task", task.model_dump())

    async def code(self, path: str, **more: Any) -> str:  # noqa: ANN401 - fields of a task
        result = await self.solve(path, **more)
        return str(result.get("error", {}).get("code"))

    def started(self) -> dict[str, Any]:
        return dict(json.loads((self._folder / fake_juggler.STARTED).read_text()))

    def sent(self) -> list[dict[str, Any]]:
        return messages(self._folder)

    def methods(self) -> list[str]:
        return [message["method"] for message in self.sent()]

    def opened(self) -> int:
        """How many times it was told to open a page of the site."""
        return sum(
            "fake.test" in message.get("params", {}).get("url", "") for message in self.sent()
        )

    def silence(self, *methods: str) -> None:
        (self._folder / fake_juggler.SILENT).write_text(" ".join(methods))


def messages(folder: Path) -> list[dict[str, Any]]:
    """Return what peers that write to a folder were sent so far; one may be writing."""
    file = folder / fake_juggler.MESSAGES
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def lay_out_peer(installed: Path, folder: Path) -> Path:
    """Lay out a bundle below `installed` whose program is the peer, which writes to `folder`.

    Returns:
        The program.
    """
    program = lay_out(installed) / "camoufox-bin"
    program.unlink()
    peer = f"{sys.executable} -m {fake_juggler.__name__}"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {peer} {folder} "$@"\n')
    program.chmod(0o700)
    return program


def beside(program: Path) -> dict[str, Any]:
    """What the package's `launch_options` gets beside ours to start that program."""
    return {
        "executable_path": str(program),
        "fingerprint_preset": True,
        "block_webgl": True,
        "i_know_what_im_doing": True,
    }


@asynccontextmanager
async def running(folder: Path, limits: Limits = LIMITS) -> AsyncIterator[Juggler]:
    """A pool of browsers that are the peer."""
    more = beside(lay_out_peer(folder / "installed", folder))
    engine = Camoufox(version="0")
    engine.pace = QUICK
    egress, sessions = Egress(Rules(trust_named=True)), Sessions(most=1, ttl=60.0)
    pool = BrowserPool(
        engine,
        egress,
        headless="true",
        limits=limits,
        sessions=sessions,
        prepare=isolated.install,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(camoufox.utils, "launch_options", lambda **own: REAL(**own, **more))
        async with pool:
            yield Juggler(folder, engine, pool, sessions)
