"""A browser's state: it goes one way, its owner is told of each step, and its end is certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from captcha_bypass.browsers.browser import Browser
from captcha_bypass.browsers.lease import Lease
from captcha_bypass.browsers.tabs import SESSIONS_CLOSE_SECONDS, Means
from captcha_bypass.concurrency import Background
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination
from captcha_bypass.errors import BrowserLost, TaskError
from tests.support.fake_browsers import FakeEgress, FakeEngine, World
from tests.support.virtual_time import VirtualLoop

PERMIT = Permit(Destination.of("http://site.test/"))


class Owner:
    """Notes what it is told."""

    obstacle = "none has started"

    def __init__(self) -> None:
        self.started = self.updates = 0
        self.failures: list[str] = []

    def on_started(self) -> None:
        self.started += 1

    def on_not_started(self, error: Exception) -> None:
        self.failures.append(str(error))

    def update(self) -> None:
        self.updates += 1


class House:
    """A browser of a world, and its owner."""

    def __init__(self, loop: VirtualLoop, world: World) -> None:
        self.loop, self.world, self.owner = loop, world, Owner()
        self.browser: Browser = loop.run(self._make())

    async def _make(self) -> Browser:
        world: Any = self.world
        stand_ins: Any = (FakeEngine(), FakeEgress(), None, Background())
        return Browser(Means(*stand_ins), world, max_tasks=3, owner=self.owner)

    def start(self) -> Browser:
        self.loop.run(self.browser.started())
        return self.browser

    def lend(self) -> Lease:
        lease = Lease(self.browser)
        self.browser.seat(lease)
        return lease


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def house(world: World) -> Iterator[House]:
    loop = VirtualLoop()
    with patch("captcha_bypass.browsers.process.kill_marked", world.kill_marked):
        yield House(loop, world)
        loop.shutdown()


def test_repr_tells_state_and_counts(house: House) -> None:
    assert repr(house.browser) == "<Browser starting: 0 tasks now, 0 in all, 0 sessions>"
    browser = house.start()
    lease = house.lend()
    browser.begin_session()
    assert repr(browser) == "<Browser ready: 1 tasks now, 1 in all, 1 sessions>"
    browser.retire("memory")
    browser.release(lease)
    assert repr(browser) == "<Browser retiring: 0 tasks now, 1 in all, 1 sessions>"
    house.loop.run(browser.kill("memory"))
    assert repr(browser) == "<Browser dead: 0 tasks now, 1 in all, 1 sessions>"


def test_retiring_browser_takes_nobody_and_stays_for_those_it_has(house: House) -> None:
    browser = house.start()
    lease = house.lend()
    browser.begin_session()
    browser.retire("memory")
    assert not browser.accepts_tasks
    assert not browser.is_finished
    browser.release(lease)
    assert not browser.is_finished, "it keeps a session"
    told = house.owner.updates
    browser.end_session()
    assert browser.is_finished
    assert house.owner.updates > told, "its owner may close it now"


def test_browser_that_retires_while_it_starts_is_not_ready_afterwards(house: House) -> None:
    house.lend()
    house.browser.retire("tasks")
    browser = house.start()
    assert browser.has_started
    assert not browser.accepts_tasks
    assert house.owner.started == 1


def test_first_cause_counts_until_it_dies(house: House) -> None:
    browser = house.start()
    house.lend()
    causes = []
    browser.retire("page_crash")
    browser.retire("tasks")
    causes.append(browser.cause)
    house.loop.run(browser.kill("hang"))
    browser.retire("tasks")
    causes.append(browser.cause)
    assert causes == ["page_crash", "hang"]


def test_browser_is_used_up_when_a_task_gives_back_its_last_place(house: House) -> None:
    browser = house.start()
    leases = [house.lend() for _ in range(3)]
    assert browser.occupants.tasks_left == 0
    assert browser.cause is None, "they go on"
    browser.release(leases[0])
    assert browser.cause == "tasks"
    assert not browser.is_finished


def test_kill_returns_when_the_process_is_dead_and_its_tasks_are_told(
    house: House, world: World
) -> None:
    browser = house.start()
    hung, other = house.lend(), house.lend()
    house.loop.run(browser.kill("hang", hung))
    assert not world.living()
    hung.raise_if_dead()  # its own time was up
    with pytest.raises(BrowserLost):
        other.raise_if_dead()


def test_browser_that_does_not_close_by_itself_is_killed(house: House, world: World) -> None:
    browser = house.start()
    world.close_hangs = True
    browser.retire("idle")
    began = house.loop.time()
    house.loop.run(browser.close())
    assert not world.living()
    assert house.loop.time() - began == pytest.approx(FakeEngine.pace.close_seconds, abs=0.2)


@pytest.mark.parametrize(
    ("seconds", "sessions", "is_killed"),
    [(1, False, False), (3, False, True), (3, True, False), (60, True, True)],
)
def test_page_that_is_slow_to_close_costs_its_browser_later_where_sessions_live_in_it(
    house: House, world: World, seconds: float, sessions: bool, is_killed: bool
) -> None:
    browser = house.start()
    if sessions:
        browser.begin_session()
    tab = house.loop.run(browser.open(PERMIT))
    world.page_close_seconds = seconds
    began = house.loop.time()
    house.loop.run(browser.close_tab(tab))
    assert browser.is_dead is is_killed
    assert house.loop.time() - began < SESSIONS_CLOSE_SECONDS + 1


def test_browser_that_opens_no_page_dies_in_time_although_its_task_has_given_up(
    house: House, world: World
) -> None:
    browser = house.start()
    world.open_hangs = True
    began = house.loop.time()

    async def give_up() -> None:
        async with asyncio.timeout(6):
            await browser.open(PERMIT)

    with pytest.raises(TimeoutError):
        house.loop.run(give_up())
    assert not browser.is_dead
    house.loop.advance(began + FakeEngine.pace.open_seconds + 1 - house.loop.time())
    assert browser.is_dead
    assert browser.cause == "open"


def test_browser_that_died_is_found_dead_at_the_next_look(house: House, world: World) -> None:
    browser = house.start()
    lease = house.lend()
    world.living()[0].root.running = False
    assert browser.is_running
    browser.check()
    assert browser.is_finished
    assert browser.cause == "crash"
    with pytest.raises(BrowserLost):
        lease.raise_if_dead()


def test_launch_that_fails_is_told_to_owner_and_tasks(house: House, world: World) -> None:
    world.launch_fails = True
    with pytest.raises(TaskError) as caught:
        house.loop.run(house.browser.open(PERMIT))
    assert caught.value.code == "browser_unavailable"
    assert house.owner.failures == [str(caught.value)]
    assert house.browser.is_finished
    assert house.browser.cause is None


def test_task_that_gets_no_page_learns_whether_the_browser_ever_started(house: House) -> None:
    assert house.browser.obstacle == "none has started"
    assert "too busy" in house.start().obstacle
