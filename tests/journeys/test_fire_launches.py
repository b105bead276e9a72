"""Browsers that cannot be started: said so at once, and back by itself when the cause is gone."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil
import pytest
from aiohttp.test_utils import TestServer

from tests.support.fake_service import PAGE, program, run_fake_service
from tests.support.fire import AGAIN_SECONDS, dead, drivers, hit, parents, tree, until_health
from tests.support.service import PATH, Service, run_service
from tests.support.solve_client import Client, Json, client_of

pytestmark = pytest.mark.browser

#: Seconds in which the service is back by itself after the cause is gone.
HEAL_SECONDS = 30.0
HAS_XVFB = shutil.which("Xvfb", path=PATH) is not None


async def falls_and_rises(
    service: Service, request: Json, fall: Callable[[], object], rise: Callable[[], object]
) -> str:
    """Take from a working service what every launch needs, kill its browsers, and give it back.

    Returns the reason that it gave meanwhile.

    Args:
        request: Of a page that is solved at once.
        fall: Takes it.
        rise: Gives it back.
    """
    async with client_of(service) as client:
        await solves(client, request)
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
        await solves(client, request)
        return str(health["reason"])


async def solves(client: Client, request: Json) -> None:
    data = await client.solved(**request)
    assert (data["timeout_reached"], data["status_code"]) == (False, 200), data


def plain(hard: TestServer) -> Json:
    return {"url": str(hard.make_url("/plain")), "success_text": "plain", "timeout": AGAIN_SECONDS}


async def until_none_is_left(service: Service, client: Client) -> None:
    """Kill its browsers until it has noticed, by itself, that it can start no other."""
    deadline = time.monotonic() + HEAL_SECONDS
    while (await client.health())[0] != 503:
        assert time.monotonic() < deadline, "it does not notice that no browser can be had"
        hit([process for parent in parents(service) for process in tree(parent)])
        await asyncio.sleep(0.2)


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Its browsers cost nothing: what it cannot start is not seen by what it would start."""
    with run_fake_service(tmp_path_factory.mktemp("fake"), "--workers", "1") as service:
        yield service


async def test_missing_binary_is_unavailable_and_its_return_is_noticed(fake: Service) -> None:
    binary = program(fake.tmp)
    away = binary.with_name("away")
    reason = await falls_and_rises(
        fake, PAGE, lambda: binary.rename(away), lambda: away.rename(binary)
    )
    assert "camoufox" in reason


async def test_driver_that_does_not_start_is_unavailable_and_its_return_is_noticed(
    fake: Service,
) -> None:
    script = fake.folders()[0] / "driver"

    def fall() -> None:
        script.chmod(0o600)
        hit(drivers(fake))

    await falls_and_rises(fake, PAGE, fall, lambda: script.chmod(0o700))


#: Runs a command with a small file system on $0, which only it and its children see.
SMALL_DISK = 'mount -t tmpfs -o size=256m,mode=0700 none "$0" && exec "$@"'


@dataclass
class Firefoxes:
    """A service with a real Firefox, a display if there is Xvfb, and a small disk if one can be mounted."""

    service: Service
    #: Why it has no disk of its own.
    no_disk: str
    #: Its TMPDIR, as seen from here: a disk of its own is reached through the service.
    files: Path


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefoxes]:
    tmp = tmp_path_factory.mktemp("real")
    small = tmp / "small"
    small.mkdir()
    prefix = ("unshare", "--mount", "sh", "-c", SMALL_DISK, str(small))
    no_disk = _refusal(*prefix, "true")
    flags = ("--workers", "1", "--headless", "virtual" if HAS_XVFB else "true")
    env = {"TMPDIR": str(small)}
    with run_service(tmp, *flags, env=env, prefix=() if no_disk else prefix) as service:
        yield Firefoxes(service, no_disk, Path(f"/proc/{service.process.pid}/root{small}"))


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
    real: Firefoxes, hard: TestServer
) -> None:
    if real.no_disk:
        pytest.skip(f"no file system can be mounted here: {real.no_disk}")
    with Filler(real.files / "filler") as filler:
        await falls_and_rises(real.service, plain(hard), filler.start, filler.stop)


@pytest.mark.skipif(not HAS_XVFB, reason="Xvfb is not installed")
async def test_display_that_is_gone_is_unavailable_and_back_again_and_dies_with_the_service(
    real: Firefoxes, hard: TestServer
) -> None:
    service = real.service
    (script,) = real.files.glob("captcha-bypass-*/service-*/xvfb")

    def fall() -> None:
        script.chmod(0o600)
        hit(displays(service))

    await falls_and_rises(service, plain(hard), fall, lambda: script.chmod(0o700))
    family = service.family()
    assert displays(service)
    service.process.kill()  # the last that is asked of it
    service.process.wait(5)
    assert await dead(family, 5)


def displays(service: Service) -> list[psutil.Process]:
    found = []
    for process in service.family():
        with suppress(psutil.Error):  # it has ended meanwhile, as short-lived ones of Firefox do
            if process.name() == "Xvfb":
                found.append(process)
    return found


def _refusal(*command: str) -> str:
    """Why a command fails; nothing if it does not."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""
