"""Processes that begin with their imports done, because they are forked off one that has them."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.repository import ROOT

_CONTEXT = multiprocessing.get_context("forkserver")
#: More than half of what a small crawl costs is importing that.
_CONTEXT.set_forkserver_preload(["tests.support.crawl_imports"])


class Forked:
    """A process that runs `main(*arguments)` and ends; what it prints goes to `log`.

    Its signals, its exit code and its environment are those of a process of its own.
    """

    def __init__(
        self,
        main: Callable[..., None],
        *arguments: object,
        env: Mapping[str, str],
        log: Path,
    ) -> None:
        log.touch()
        self._process = _CONTEXT.Process(
            target=_run, args=(main, arguments, dict(env), log), daemon=True
        )
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()

    async def wait(self) -> None:
        """Wait until it has ended."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        self._process.join()


def _run(
    main: Callable[..., None], arguments: tuple[object, ...], env: dict[str, str], log: Path
) -> None:
    with log.open("a") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 - until it ends
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(env)
    main(*arguments)
