"""Names that hang: the task that asks for them waits, and nobody else does."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from captcha_bypass.egress import resolver
from captcha_bypass.egress.resolver import MAX_TASK_LOOKUPS, Lookups, Resolver
from captcha_bypass.egress.rules import Destination
from captcha_bypass.errors import TaskError
from tests.support.service import eventually

FINE = Destination("fine.example", 80)


class Names:
    """A resolver in which some names hang until they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.asked: list[str] = []
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self.getaddrinfo)

    def getaddrinfo(self, host: str, port: int, **kwargs: Any) -> list[Any]:  # noqa: ANN401 - as the original
        if kwargs["flags"]:
            return list(self._real(host, port, **kwargs))
        self.asked.append(host)
        if host.startswith("hangs"):
            self.go.wait(20)
        if host.startswith("none"):
            raise socket.gaierror
        return list(self._real("1.1.1.1", port, type=kwargs["type"]))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    found = Names(monkeypatch)
    yield found
    found.go.set()


def ask_for_many(lookups: Lookups, count: int) -> list[asyncio.Task[Any]]:
    return [
        asyncio.create_task(lookups.resolve(Destination(f"hangs{n}.example", 443)))
        for n in range(count)
    ]


async def until_asked(names: Names, count: int) -> None:
    assert await eventually(lambda: len(names.asked) >= count, 5)


async def test_names_that_hang_keep_no_other_task_from_its_own(names: Names) -> None:
    shared = Resolver()
    hanging = ask_for_many(shared.lookups(), 250)
    await until_asked(names, MAX_TASK_LOOKUPS)
    other = shared.lookups()
    for _ in range(50):
        assert [info[4] for info in await other.resolve(FINE)] == [("1.1.1.1", 80)]
    assert len(names.asked) == MAX_TASK_LOOKUPS + 50
    names.go.set()
    assert len(await asyncio.gather(*hanging)) == 250


async def test_name_that_hangs_is_one_that_cannot_be_resolved(
    names: Names, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resolver, "LOOKUP_SECONDS", 0.05)
    lookups = Resolver().lookups()
    with caplog.at_level(logging.INFO):
        ended = await asyncio.gather(*ask_for_many(lookups, 50), return_exceptions=True)
    assert {error.code for error in ended if isinstance(error, TaskError)} == {"dns_error"}
    assert len(ended) == 50
    assert len(caplog.records) == 1  # however many there are


async def test_lookups_that_nobody_waits_for_any_more_still_count(names: Names) -> None:
    lookups = Resolver().lookups()
    hanging = ask_for_many(lookups, MAX_TASK_LOOKUPS)
    await until_asked(names, MAX_TASK_LOOKUPS)
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)
    waiting = asyncio.create_task(lookups.resolve(FINE))
    await asyncio.sleep(0.05)
    assert FINE.host not in names.asked
    names.go.set()
    assert await waiting


async def test_address_needs_no_resolver(names: Names) -> None:
    lookups = Resolver().lookups()
    hanging = ask_for_many(lookups, MAX_TASK_LOOKUPS)
    await until_asked(names, MAX_TASK_LOOKUPS)
    found = await lookups.resolve(Destination("127.0.0.1", 80))
    assert [info[4] for info in found] == [("127.0.0.1", 80)]
    names.go.set()
    await asyncio.gather(*hanging)


async def test_all_tasks_together_are_bounded(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "MAX_LOOKUPS", 10)
    shared = Resolver()
    hanging = [task for _ in range(3) for task in ask_for_many(shared.lookups(), 8)]
    await until_asked(names, 10)
    await asyncio.sleep(0.05)
    assert len(names.asked) == 10
    names.go.set()
    await asyncio.gather(*hanging)


async def test_name_that_does_not_exist_is_told_so(names: Names) -> None:
    lookups = Resolver().lookups()
    for _ in range(2 * MAX_TASK_LOOKUPS):
        with pytest.raises(TaskError, match="cannot be resolved"):
            await lookups.resolve(Destination("none.example", 80))


def test_name_that_hangs_does_not_hold_up_the_end_of_the_program() -> None:
    program = """
import asyncio, socket, time
from captcha_bypass.egress.resolver import Resolver
from captcha_bypass.egress.rules import Destination
real = socket.getaddrinfo
def hang(*args, flags=0, **kwargs):
    return real(*args, flags=flags, **kwargs) if flags else time.sleep(600)
socket.getaddrinfo = hang
async def main():
    task = asyncio.create_task(Resolver().lookups().resolve(Destination("a.example", 80)))
    await asyncio.sleep(0.2)
    task.cancel()
asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
