"""A lent page: its user learns at once what happens to it, and it is closed once and for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.async_api import Error

from captcha_bypass.browsers.lease import CANCEL_SECONDS, NOTICE_SECONDS, Lease
from captcha_bypass.browsers.tab import Tab
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination
from captcha_bypass.errors import BrowserLost, TaskError
from tests.support.virtual_time import VirtualLoop

PERMIT = Permit(Destination.of("http://site.test/"))
MEMORY = TaskError("too_much_memory", "too much")


class Place:
    """Notes what is asked of it."""

    obstacle = "it was too busy"

    def __init__(self) -> None:
        self.closing_takes = 0.0
        self.closed: list[Tab] = []
        self.killed: list[str] = []
        self.at_check: TaskError | None = None
        page: Any = SimpleNamespace(url="http://site.test/")
        guard: Any = SimpleNamespace(overrun=None)
        self.tab = Tab(page, guard)
        place: Any = self
        self.lease = Lease(place)

    async def open(self, permit: Permit) -> Tab:
        return self.tab

    async def close_tab(self, tab: Tab) -> None:
        self.closed.append(tab)
        await asyncio.sleep(self.closing_takes)

    def check(self) -> None:
        if self.at_check is not None:
            self.lease.fail(self.at_check)

    async def kill(self, cause: str, culprit: Lease | None = None) -> None:
        await asyncio.sleep(0.1)
        self.killed.append(cause)

    def loss(self, *, suspect: bool) -> TaskError:
        return BrowserLost(suspect=suspect)


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.shutdown()


@pytest.fixture
def place() -> Place:
    return Place()


def test_what_happens_to_a_page_ends_the_time_it_is_lent_at_once(
    loop: VirtualLoop, place: Place
) -> None:
    async def lend() -> None:
        async with place.lease.until(60):
            await place.lease.open(PERMIT)
            asyncio.get_running_loop().call_later(3, place.lease.lose)
            await asyncio.sleep(50)

    with pytest.raises(TimeoutError):
        loop.run(lend())
    assert loop.time() == pytest.approx(3)
    with pytest.raises(BrowserLost):
        place.lease.raise_if_dead()


def test_page_that_moves_too_much_is_interrupted_and_told(loop: VirtualLoop, place: Place) -> None:
    async def lend() -> None:
        async with place.lease.until(60):
            tab: Any = await place.lease.open(PERMIT)
            tab.guard.overrun = TaskError("too_much_traffic", "too much")
            tab.guard.on_overrun()
            await asyncio.sleep(50)

    with pytest.raises(TimeoutError):
        loop.run(lend())
    assert loop.time() < 1
    with pytest.raises(TaskError) as caught:
        place.lease.raise_if_dead()
    assert caught.value.code == "too_much_traffic"


def test_nobody_is_interrupted_once_the_page_is_given_back(loop: VirtualLoop, place: Place) -> None:
    async def lend() -> str:
        async with place.lease.until(60):
            await place.lease.open(PERMIT)
            place.lease.end()
            place.lease.lose()
            await asyncio.sleep(5)
        return "left in order"

    assert loop.run(lend()) == "left in order"


def test_first_fault_is_what_is_told(place: Place) -> None:
    place.lease.fail(MEMORY)
    place.lease.fail(TaskError("browser_crashed", "gone"))
    place.lease.lose()
    with pytest.raises(TaskError) as caught:
        place.lease.raise_if_dead()
    assert caught.value is MEMORY


def test_page_is_closed_once_and_only_if_there_is_one(loop: VirtualLoop, place: Place) -> None:
    loop.run(place.lease.close())
    assert place.closed == []
    loop.run(place.lease.open(PERMIT))
    for _ in range(2):
        loop.run(place.lease.close())
    assert place.closed == [place.tab]


def test_page_of_a_cancelled_task_that_does_not_close_costs_its_browser(
    loop: VirtualLoop, place: Place
) -> None:
    place.closing_takes = 60.0

    async def cancel() -> None:
        await place.lease.open(PERMIT)
        closing = asyncio.create_task(place.lease.close_at_once())
        await asyncio.sleep(0.5)
        closing.cancel()  # a second time: the service stops
        with pytest.raises(asyncio.CancelledError):
            await closing

    loop.run(cancel())
    assert place.killed == ["close"]
    assert loop.time() < CANCEL_SECONDS + 0.5


def test_time_that_is_up_says_why_there_was_no_page(loop: VirtualLoop, place: Place) -> None:
    with pytest.raises(TaskError) as caught:
        loop.run(place.lease.handle_timeout())
    assert caught.value.code == "browser_unavailable"
    assert "it was too busy" in str(caught.value)
    assert place.killed == []


def test_page_that_is_not_given_back_costs_its_browser(loop: VirtualLoop, place: Place) -> None:
    loop.run(place.lease.open(PERMIT))
    loop.run(place.lease.handle_timeout())
    assert place.killed == ["hang"]


def test_error_of_a_dead_page_is_that_it_died(loop: VirtualLoop, place: Place) -> None:
    loop.run(place.lease.open(PERMIT))
    closed = Error("Target page, context or browser has been closed")
    assert loop.run(place.lease.explain(closed)).code == "browser_crashed"
    place.at_check = MEMORY
    with pytest.raises(TaskError) as caught:
        loop.run(place.lease.explain(closed))
    assert caught.value is MEMORY


def test_error_that_no_death_explains_is_told_without_delay(
    loop: VirtualLoop, place: Place
) -> None:
    place.at_check = MEMORY
    error = TaskError("dns_error", "no such host")
    assert loop.run(place.lease.explain(error)) is error
    assert loop.time() < NOTICE_SECONDS
