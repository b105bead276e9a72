"""Browsers that cannot be started: said so at once, and back by itself when the cause is gone."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil
import pytest
from aiohttp.test_utils import TestServer

from tests.support.fire import dead, drivers, hit, parents, tree, until_health, works
from tests.support.service import PATH, Client, Service, client_of, run_service

pytestmark = pytest.mark.browser

#: Seconds in which the service is back by itself after the cause is gone.
HEAL_SECONDS = 30.0


async def falls_and_rises(
    service: Service, hard: TestServer, fall: Callable[[], None], rise: Callable[[], None]
) -> str:
    """Take from a working service what every launch needs, kill its browsers, and give it back.

    Returns the reason that it gave meanwhile.

    Args:
        fall: Takes it.
        rise: Gives it back.
    """
    request = {"url": str(hard.make_url("/plain")), "success_text": "plain", "timeout": 20}
    async with client_of(service) as client:
        await works(client, hard)
        fall()
        await until_none_is_left(service, client)
        for _ in range(2):
            view = await client.solve(**request)
            assert view["status"] == "error", view
            assert view["error"]["code"] == "browser_unavailable", view
            status, health = await client.health()
            assert (status, health["status"]) == (503, "unavailable")
            assert health["reason"]
        rise()
        await until_health(client, 200, HEAL_SECONDS)
        await works(client, hard)
        return str(health["reason"])


async def until_none_is_left(service: Service, client: Client) -> None:
    """Kill its browsers until it has noticed, by itself, that it can start no other."""
    deadline = time.monotonic() + HEAL_SECONDS
    while (await client.health())[0] != 503:
        assert time.monotonic() < deadline, "it does not notice that no browser can be had"
        hit([process for parent in parents(service) for process in tree(parent)])
        await asyncio.sleep(0.2)


class Wrapped:
    """A service whose browsers are started by a program that can be taken away."""

    def __init__(self, service: Service, program: Path) -> None:
        self.service = service
        self._program = program
        self._away = program.with_name("away")

    def take(self) -> None:
        self._program.rename(self._away)

    def give_back(self) -> None:
        self._away.rename(self._program)


@pytest.fixture(scope="module")
def wrapped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wrapped]:
    folder = tmp_path_factory.mktemp("wrapped")
    program = folder / "firefox"
    program.write_text('#!/bin/sh\nexec /usr/bin/firefox-esr "$@"\n')
    program.chmod(0o755)
    flags = ("--workers", "1", "--browser-path", str(program))
    with run_service(folder / "tmp", *flags) as service:
        yield Wrapped(service, program)


async def test_missing_binary_is_unavailable_and_its_return_is_noticed(
    wrapped: Wrapped, hard: TestServer
) -> None:
    reason = await falls_and_rises(wrapped.service, hard, wrapped.take, wrapped.give_back)
    assert "firefox" in reason


async def test_driver_that_does_not_start_is_unavailable_and_its_return_is_noticed(
    wrapped: Wrapped, hard: TestServer
) -> None:
    script = wrapped.service.folders()[0] / "driver"

    def fall() -> None:
        script.chmod(0o600)
        hit(drivers(wrapped.service))

    await falls_and_rises(wrapped.service, hard, fall, lambda: script.chmod(0o700))


@pytest.mark.skipif(shutil.which("Xvfb", path=PATH) is None, reason="Xvfb is not installed")
async def test_display_that_is_gone_is_unavailable_and_back_again_and_dies_with_the_service(
    tmp_path: Path, hard: TestServer
) -> None:
    with run_service(tmp_path, "--workers", "1", "--headless", "virtual") as service:
        script = service.folders()[0] / "xvfb"

        def fall() -> None:
            script.chmod(0o600)
            hit(displays(service))

        await falls_and_rises(service, hard, fall, lambda: script.chmod(0o700))
        family = service.family()
        assert displays(service)
        service.process.kill()
        service.process.wait(5)
        assert await dead(family, 5)


def displays(service: Service) -> list[psutil.Process]:
    return [process for process in service.family() if process.name() == "Xvfb"]


#: Runs a command with a small file system on $0, which only it and its children see.
SMALL_DISK = 'mount -t tmpfs -o size=256m,mode=0700 none "$0" && exec "$@"'


class Filler:
    """Fills a disk and keeps it full: what a killed browser frees must not help the next one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._file.unlink()

    def _fill(self) -> None:
        with self._file.open("wb", buffering=0) as file:
            while not self._stop.wait(0.01):
                with suppress(OSError):  # ENOSPC, which is the aim
                    while not self._stop.is_set():
                        file.write(bytes(65536))


async def test_full_disk_is_unavailable_and_its_space_is_noticed(
    tmp_path: Path, hard: TestServer
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    prefix = ("unshare", "--mount", "sh", "-c", SMALL_DISK, str(small))
    env = {"TMPDIR": str(small)}
    if reason := _refusal(*prefix, "true"):
        pytest.skip(f"no file system can be mounted here: {reason}")
    with (
        run_service(tmp_path, "--workers", "1", env=env, prefix=prefix) as service,
        # The file system is the service's own: it is reached through the service.
        Filler(Path(f"/proc/{service.process.pid}/root{small}/filler")) as filler,
    ):
        await falls_and_rises(service, hard, filler.start, filler.stop)


def _refusal(*command: str) -> str:
    """Why a command fails; nothing if it does not."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""
