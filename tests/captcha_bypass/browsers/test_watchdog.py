"""A page that takes the memory, or the browser that it shares, is stopped; the others are told honestly."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from captcha_bypass.browsers import watchdog
from captcha_bypass.browsers.launch.processes import resident_trees
from captcha_bypass.browsers.watchdog import Watchdog
from captcha_bypass.concurrency import Background

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

    def __init__(self) -> None:
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
        return self.share.get(pid, 0.0) * asyncio.get_running_loop().time()

    async def after(self, seconds: float) -> list[tuple[int, str]]:
        await asyncio.sleep(seconds)
        return self.killed


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    world = World()
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
    monkeypatch.setattr(watchdog, "_cpu_seconds", world.cpu)
    monkeypatch.setattr(
        watchdog, "resident_trees", lambda pids: {pid: world.rough.get(pid, 0) for pid in pids}
    )
    world.fleet.background.run(world.watch.keep())
    yield world
    await world.fleet.background.close()


async def test_browser_that_takes_too_much_memory_is_killed_while_it_has_tasks(
    world: World,
) -> None:
    world.browser(1)
    world.browser(2)
    world.rough = {1: 1600 * MIB, 2: 1600 * MIB}
    world.exact = {1: 1537 * MIB, 2: 1535 * MIB}
    assert await world.after(0.3) == [(1, "memory")]


async def test_browser_without_tasks_is_left_to_be_replaced_in_order(world: World) -> None:
    world.browser(1, tasks=0)
    world.rough = world.exact = {1: 4096 * MIB}
    assert await world.after(0.3) == []


async def test_busy_browser_that_does_not_answer_is_killed_where_tasks_share_it(
    world: World,
) -> None:
    shared, own = world.browser(1, tasks=2), world.browser(2, tasks=2)
    world.share = {1: 0.9, 2: 0.9}
    shared.answering.clear()
    assert await world.after(0.6) == [(1, "busy")]
    assert own in world.fleet.browsers


async def test_busy_browser_is_not_blamed_for_the_silence_of_a_driver_that_stands_still(
    world: World,
) -> None:
    world.browser(1, tasks=2).answering.clear()
    world.driver.answering.clear()
    world.share = {1: 0.9}
    assert await world.after(0.6) == []
    world.driver.answering.set()
    assert await world.after(0.6) == [(1, "busy")]


async def test_page_that_is_alone_in_the_service_harms_nobody(world: World) -> None:
    world.browser(1).answering.clear()
    world.share = {1: 0.9}
    assert await world.after(0.8) == []


async def test_page_that_hogs_the_machine_is_stopped_for_tasks_in_other_browsers(
    world: World,
) -> None:
    world.browser(1).answering.clear()
    world.browser(2)
    world.share = {1: 0.9}
    assert await world.after(0.9) == [(1, "busy")]


async def test_browser_that_waits_for_a_busy_machine_is_not_killed(world: World) -> None:
    world.browser(1, tasks=3).answering.clear()
    world.share = {1: 0.05}
    assert await world.after(0.8) == []


async def test_driver_that_does_not_answer_costs_the_busiest_browser(world: World) -> None:
    world.browser(1)
    world.browser(2)
    busiest = world.browser(3)
    world.share = {0: 0.9, 3: 0.9}
    await asyncio.sleep(0.05)
    world.driver.answering.clear()
    busiest.answering.clear()
    assert (await world.after(0.6))[:1] == [(3, "busy")]


async def test_browser_that_is_slow_to_answer_gets_no_more_tasks_until_it_does(
    world: World,
) -> None:
    browser = world.browser(1)
    world.share = {1: 0.9}
    browser.answering.clear()
    await asyncio.sleep(0.3)
    assert browser.is_strained
    browser.answering.set()
    await asyncio.sleep(0.2)
    assert not browser.is_strained


async def test_browser_whose_task_has_ended_meanwhile_gets_tasks_again_once_it_answers(
    world: World,
) -> None:
    browser = world.browser(1)
    world.share = {1: 0.9}
    browser.answering.clear()
    await asyncio.sleep(0.3)
    browser.occupants.tasks = 0
    await asyncio.sleep(0.1)
    assert browser.is_strained, "it has not answered yet"
    browser.answering.set()
    await asyncio.sleep(0.2)
    assert not browser.is_strained


def test_memory_of_a_tree_is_that_of_all_its_processes() -> None:
    grow = "import time; kept = bytearray(80 << 20); time.sleep(60)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grow!r}])"
    with subprocess.Popen([sys.executable, "-c", code]) as root:
        try:
            for _ in range(500):
                found = resident_trees([root.pid, 2**22 + 1])
                if found[root.pid] > 80 * MIB:
                    break
            assert found[root.pid] > 80 * MIB
            assert found[2**22 + 1] == 0
        finally:
            for child in psutil.Process(root.pid).children():
                child.kill()
            root.kill()
