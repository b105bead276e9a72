"""A page that takes the memory, or the browser that it shares, is stopped; the others are told honestly.

By a clock that jumps: a machine that stands still for a moment takes no looks away from the watchdog.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeVar

import psutil
import pytest

from captcha_bypass.browsers import watchdog
from captcha_bypass.browsers.launch.processes import resident_trees
from captcha_bypass.browsers.watchdog import Watchdog
from captcha_bypass.concurrency import Background
from tests.support.virtual_time import VirtualLoop

T = TypeVar("T")

MIB = 1024**2


class Browser:
    """One that answers, uses CPU and holds memory as it is told."""

    def __init__(self, world: World, pid: int, tasks: int) -> None:
        self._world = world
        self.root = SimpleNamespace(pid=pid)
        self.process = self
        self.occupants = SimpleNamespace(tasks=tasks)
        self.is_running, self.is_dead = True, False
        self.is_strained = False
        self.answering = asyncio.Event()
        self.answering.set()

    async def beat(self) -> None:
        await self.answering.wait()

    async def weigh(self) -> int:
        return self._world.exact.get(self.root.pid, 0)

    async def kill(self, cause: str) -> None:
        self.is_running, self.is_dead = False, True
        self._world.fleet.browsers.remove(self)
        self._world.killed.append((self.root.pid, cause))

    def strain(self) -> None:
        self.is_strained = True

    def relax(self) -> None:
        self.is_strained = False


class Fleet:
    """Some browsers."""

    def __init__(self) -> None:
        self.browsers: list[Browser] = []
        self.background = Background()


class World:
    """A fleet that is watched, what its processes use, and what is done to them."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.fleet = Fleet()
        self.killed: list[tuple[int, str]] = []
        self.share: dict[int, float] = {}
        self.rough: dict[int, int] = {}
        self.exact: dict[int, int] = {}
        self.driver = Browser(self, 0, 0)
        fleet: Any = self.fleet
        driver: Any = SimpleNamespace(beat=self.driver.beat, pid=0)
        self.watch = Watchdog(fleet, driver, max_browser_bytes=1024 * MIB)

    def browser(self, pid: int, tasks: int = 1) -> Browser:
        browser = Browser(self, pid, tasks)
        self.fleet.browsers.append(browser)
        return browser

    def cpu(self, pid: int) -> float:
        return self.share.get(pid, 0.0) * self._loop.time()

    def after(self, seconds: float) -> list[tuple[int, str]]:
        self._loop.advance(seconds)
        return self.killed


async def at_once(call: Callable[..., T], *arguments: object) -> T:
    """Stand for `asyncio.to_thread` on a clock that would jump ahead of a thread."""
    return call(*arguments)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    loop = VirtualLoop()
    world = World(loop)
    for name, seconds in (
        ("LOOK_EVERY", 0.01),
        ("BEAT_EVERY", 0.02),
        ("LATE_SECONDS", 0.1),
        ("STRAINED_CPU", 0.1),
        ("STOPPED_CPU", 0.01),
        ("STARVED_CPU", 0.2),
        ("HOGGING_CPU", 0.4),
    ):
        monkeypatch.setattr(watchdog, name, seconds)
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=loop.time))
    monkeypatch.setattr(asyncio, "to_thread", at_once)
    monkeypatch.setattr(watchdog, "_cpu_seconds", world.cpu)
    monkeypatch.setattr(
        watchdog, "resident_trees", lambda pids: {pid: world.rough.get(pid, 0) for pid in pids}
    )

    async def begin() -> None:
        world.fleet.background.run(world.watch.keep())

    loop.run(begin())
    yield world
    loop.run(world.fleet.background.close())
    loop.shutdown()


def test_browser_that_takes_too_much_memory_is_killed_while_it_has_tasks(
    world: World,
) -> None:
    world.browser(1)
    world.browser(2)
    world.rough = {1: 1600 * MIB, 2: 1600 * MIB}
    world.exact = {1: 1537 * MIB, 2: 1535 * MIB}
    assert world.after(0.3) == [(1, "memory")]


def test_browser_without_tasks_is_left_to_be_replaced_in_order(world: World) -> None:
    world.browser(1, tasks=0)
    world.rough = world.exact = {1: 4096 * MIB}
    assert world.after(0.3) == []


def test_busy_browser_that_does_not_answer_is_killed_where_tasks_share_it(
    world: World,
) -> None:
    shared, own = world.browser(1, tasks=2), world.browser(2, tasks=2)
    world.share = {1: 0.9, 2: 0.9}
    shared.answering.clear()
    assert world.after(0.6) == [(1, "busy")]
    assert own in world.fleet.browsers


def test_busy_browser_is_not_blamed_for_the_silence_of_a_driver_that_stands_still(
    world: World,
) -> None:
    world.browser(1, tasks=2).answering.clear()
    world.driver.answering.clear()
    world.share = {1: 0.9}
    assert world.after(0.6) == []
    world.driver.answering.set()
    assert world.after(0.6) == [(1, "busy")]


def test_page_that_is_alone_in_the_service_harms_nobody(world: World) -> None:
    world.browser(1).answering.clear()
    world.share = {1: 0.9}
    assert world.after(0.8) == []


def test_page_that_hogs_the_machine_is_stopped_for_tasks_in_other_browsers(
    world: World,
) -> None:
    world.browser(1).answering.clear()
    world.browser(2)
    world.share = {1: 0.9}
    assert world.after(0.9) == [(1, "busy")]


def test_browser_that_waits_for_a_busy_machine_is_not_killed(world: World) -> None:
    world.browser(1, tasks=3).answering.clear()
    world.share = {1: 0.05}
    assert world.after(0.8) == []


def test_driver_that_does_not_answer_costs_the_busiest_browser(world: World) -> None:
    world.browser(1)
    world.browser(2)
    busiest = world.browser(3)
    world.share = {0: 0.9, 3: 0.9}
    world.after(0.05)
    world.driver.answering.clear()
    busiest.answering.clear()
    assert world.after(0.6)[:1] == [(3, "busy")]


def test_browser_that_is_slow_to_answer_gets_no_more_tasks_until_it_does(
    world: World,
) -> None:
    browser = world.browser(1)
    world.share = {1: 0.9}
    browser.answering.clear()
    world.after(0.3)
    assert browser.is_strained
    browser.answering.set()
    world.after(0.2)
    assert not browser.is_strained


def test_browser_whose_task_has_ended_meanwhile_gets_tasks_again_once_it_answers(
    world: World,
) -> None:
    browser = world.browser(1)
    world.share = {1: 0.9}
    browser.answering.clear()
    world.after(0.3)
    browser.occupants.tasks = 0
    world.after(0.1)
    assert browser.is_strained, "it has not answered yet"
    browser.answering.set()
    world.after(0.2)
    assert not browser.is_strained


def test_memory_of_a_tree_is_that_of_all_its_processes() -> None:
    grow = "import time; kept = bytearray(80 << 20); time.sleep(60)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grow!r}])"
    with subprocess.Popen([sys.executable, "-c", code]) as root:
        try:
            deadline = time.monotonic() + 30
            found = resident_trees([root.pid, 2**22 + 1])
            while found[root.pid] <= 80 * MIB and time.monotonic() < deadline:
                time.sleep(0.02)  # leaves the processor to those that have to start
                found = resident_trees([root.pid, 2**22 + 1])
            assert found[root.pid] > 80 * MIB
            assert found[2**22 + 1] == 0
        finally:
            for child in psutil.Process(root.pid).children():
                child.kill()
            root.kill()
