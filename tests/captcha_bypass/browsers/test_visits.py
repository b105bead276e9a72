"""The pages that requests of a session are sent through, without a browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from captcha_bypass.browsers.tab import Tab
from captcha_bypass.browsers.tabs import Tabs
from captcha_bypass.browsers.visits import Visit, Visits
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination
from captcha_bypass.errors import BrowserLost

PERMIT = Permit(Destination("site.test", 80))
ORIGIN = "http://site.test"


class FakeTabs:
    """Opens pages, and keeps those that are open."""

    open_seconds = 5.0

    def __init__(self) -> None:
        self.open: list[Tab] = []
        self.fails = False
        self.go_on = asyncio.Event()
        self.go_on.set()

    def open_beside(self, tab: Tab) -> asyncio.Task[Tab]:
        return asyncio.create_task(self._open())

    async def _open(self) -> Tab:
        await self.go_on.wait()
        if self.fails:
            raise TimeoutError
        tab = Tab(cast("Any", object()), cast("Any", None))
        self.open.append(tab)
        return tab

    @asynccontextmanager
    async def opening(self, permit: Permit) -> AsyncIterator[None]:
        try:
            yield
        except TimeoutError:
            raise BrowserLost from None

    async def close_page(self, tab: Tab, *, patient: bool) -> bool:
        assert patient
        self.open.remove(tab)
        return True


class World:
    def __init__(self) -> None:
        self.pages = FakeTabs()
        self.visits = Visits()
        first = Tab(cast("Any", object()), cast("Any", None))
        self.visit = Visit(self.visits, cast("Any", self), first, PERMIT, ORIGIN)

    @property
    def tabs(self) -> Tabs:
        return cast("Tabs", self.pages)


@pytest.fixture
async def world() -> World:
    return World()


async def test_requests_of_an_origin_share_one_page(world: World) -> None:
    tabs = await asyncio.gather(*(world.visit.tab() for _ in range(5)))
    assert len(set(map(id, tabs))) == len(world.pages.open) == 1


async def test_page_that_is_replaced_stays_until_it_is_given_up(world: World) -> None:
    old = await world.visit.tab()
    world.visit.replace(old)
    new = await world.visit.tab()
    assert new is not old
    assert world.pages.open == [old, new]
    world.visit.replace(old)  # by another of its users
    assert await world.visit.tab() is new
    await world.visit.give_up(old)
    await world.visit.give_up(old)
    assert world.pages.open == [new]


async def test_all_pages_are_closed_together(world: World) -> None:
    world.visit.replace(await world.visit.tab())
    await world.visit.tab()
    await world.visits.close(cast("Any", world))
    assert world.pages.open == []


async def test_pages_are_closed_once_requests_may_reach_something_else(world: World) -> None:
    home = cast("Any", world)
    await world.visits.admit(PERMIT, home)
    page = await world.visit.tab()
    await world.visits.admit(PERMIT, home)
    assert world.pages.open == [page]
    await world.visits.admit(Permit(Destination("other.test", 80)), home)
    assert world.pages.open == []


async def test_page_that_does_not_open_is_tried_again(world: World) -> None:
    world.pages.fails = True
    with pytest.raises(BrowserLost):
        await world.visit.tab()
    world.pages.fails = False
    assert await world.visit.tab() in world.pages.open


async def test_page_whose_user_left_while_it_opened_serves_the_next(world: World) -> None:
    world.pages.go_on.clear()
    leaving = asyncio.create_task(world.visit.tab())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait({leaving})
    world.pages.go_on.set()
    assert await world.visit.tab() in world.pages.open
    assert len(world.pages.open) == 1
