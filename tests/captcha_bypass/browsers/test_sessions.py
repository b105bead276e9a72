"""Sessions, their tasks and their browsers: none costs more browsers, or lives longer, than it should."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from captcha_bypass.browsers.fleet import Fleet
from captcha_bypass.browsers.sessions import Sessions
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination
from captcha_bypass.errors import TaskError
from captcha_bypass.wire.task import SessionKey
from tests.support.fake_browsers import LIMITS, FakeEgress, FakeEngine, World
from tests.support.virtual_time import VirtualLoop

#: Two with a task, one ahead of the next, one for sessions.
MOST = 4
KEY = SessionKey("", "kept")
PERMIT = Permit(Destination.of("http://site.test/"))


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.shutdown()


class Busy:
    """A fleet whose browsers that run have a task each."""

    def __init__(self, tasks_per_browser: int = 100) -> None:
        self.world = World()
        engine: Any = FakeEngine()
        egress: Any = FakeEgress()
        world: Any = self.world
        limits = replace(LIMITS, slots=2, tasks_per_browser=tasks_per_browser)
        self.fleet = Fleet(engine, world, egress, limits=limits)
        self.sessions = Sessions(most=2, ttl=60.0)

    async def start(self) -> None:
        await self.fleet.__aenter__()
        for _ in range(2):
            browser: Any = self.fleet.lend(alone=True).place
            await browser.started()

    async def churn(self, *, with_task: bool) -> int:
        """Begin and end sessions; return how many browsers were started in all."""
        for number in range(12):
            key = SessionKey("", f"n{number}")
            if with_task:
                lease = self.sessions.lend(key, None, None, self.fleet.home_for_session)
                lease.place.release(lease)
            else:
                assert self.sessions.create(key, None)
            assert await self.sessions.destroy(key)
        return len(self.fleet.browsers)


@pytest.mark.parametrize("with_task", [False, True])
def test_sessions_that_come_and_go_share_the_browsers_that_were_started(
    loop: VirtualLoop, with_task: bool
) -> None:
    async def make() -> Busy:
        return Busy()

    busy = loop.run(make())
    with patch("captcha_bypass.browsers.process.kill_marked", busy.world.kill_marked):
        loop.run(busy.start())
        assert loop.run(busy.churn(with_task=with_task)) <= MOST
        loop.advance(10)
        assert len(busy.world.living()) <= MOST
        loop.run(busy.fleet.__aexit__(None, None, None))


def test_browser_that_sessions_have_used_up_is_replaced_by_one(loop: VirtualLoop) -> None:
    async def make() -> Busy:
        return Busy(tasks_per_browser=5)

    async def use_up(busy: Busy) -> int:
        """Give one session many times as many tasks as a browser gets, and end it."""
        key = SessionKey("", "long")
        for _ in range(100):
            lease = busy.sessions.lend(key, None, None, busy.fleet.home_for_session)
            lease.place.release(lease)
        assert await busy.sessions.destroy(key)
        for _ in range(20):
            busy.fleet.update()
        return len(busy.fleet.browsers)

    busy = loop.run(make())
    with patch("captcha_bypass.browsers.process.kill_marked", busy.world.kill_marked):
        loop.run(busy.start())
        assert loop.run(use_up(busy)) <= MOST
        loop.advance(5)
        assert busy.fleet.counts().restarts == {"tasks": 1}
        loop.run(busy.fleet.__aexit__(None, None, None))


def test_session_can_be_begun_and_ended_before_there_is_a_browser(loop: VirtualLoop) -> None:
    """While the service starts."""
    sessions = Sessions(most=1, ttl=1.0)

    async def begin(name: str) -> list[str]:
        assert sessions.create(SessionKey("", name), None)
        return sessions.names("")

    assert loop.run(begin("a")) == ["a"]
    loop.advance(2)
    assert loop.run(begin("b")) == ["b"], "the first one's time was up"
    assert loop.run(sessions.destroy(SessionKey("", "b")))
    assert loop.run(begin("c")) == ["c"]


def test_session_outlives_a_task_that_is_cancelled_before_its_browser_has_started(
    loop: VirtualLoop,
) -> None:
    async def make() -> Busy:
        return Busy()

    async def cancel_first_task(busy: Busy) -> list[str]:
        await busy.fleet.__aenter__()
        lease = busy.sessions.lend(KEY, None, None, busy.fleet.home_for_session)
        opening = asyncio.create_task(lease.open(PERMIT))
        await asyncio.sleep(0.5)
        opening.cancel()
        await asyncio.wait({opening})
        lease.place.release(lease)
        return busy.sessions.names("")

    busy = loop.run(make())
    with patch("captcha_bypass.browsers.process.kill_marked", busy.world.kill_marked):
        assert loop.run(cancel_first_task(busy)) == ["kept"]
        loop.run(busy.fleet.__aexit__(None, None, None))


def test_session_whose_browser_died_is_told_to_its_next_task_and_once(loop: VirtualLoop) -> None:
    async def make() -> Busy:
        return Busy()

    async def use(busy: Busy) -> None:
        lease = busy.sessions.lend(KEY, None, None, busy.fleet.home_for_session)
        await lease.open(PERMIT)
        lease.place.release(lease)

    busy = loop.run(make())
    with patch("captcha_bypass.browsers.process.kill_marked", busy.world.kill_marked):
        loop.run(busy.fleet.__aenter__())
        loop.run(use(busy))
        for browser in busy.fleet.browsers:
            loop.run(browser.kill("hang"))
        with pytest.raises(TaskError) as caught:
            loop.run(use(busy))
        assert caught.value.code == "session_lost"
        loop.run(use(busy))
        loop.run(busy.fleet.__aexit__(None, None, None))


# What is told of them.


def test_an_owner_is_told_how_long_its_sessions_are_idle(loop: VirtualLoop) -> None:
    site = SessionKey("", "site-1", of_site=True)

    def told(busy: Busy, owner: str = "") -> list[tuple[str, float]]:
        return [(session.name, session.idle) for session in busy.sessions.now(owner)]

    async def live(busy: Busy) -> None:
        for key in (KEY, site):
            assert busy.sessions.create(key, None)
        await busy.fleet.__aenter__()
        await asyncio.sleep(5)
        lease = busy.sessions.lend(KEY, None, None, busy.fleet.home_for_session)
        assert told(busy) == [("kept", 0.0)]
        lease.place.release(lease)
        await asyncio.sleep(3)
        assert told(busy) == [("kept", 3.0)]
        assert told(busy, "key 1") == []
        with busy.sessions.keep(KEY):
            assert told(busy) == [("kept", 0.0)]
        assert busy.sessions.idle(site) == 8.0
        assert busy.sessions.idle(SessionKey("", "unknown")) == 0.0
        await busy.fleet.__aexit__(None, None, None)

    async def make() -> Busy:
        return Busy()

    busy = loop.run(make())
    with patch("captcha_bypass.browsers.process.kill_marked", busy.world.kill_marked):
        loop.run(live(busy))


def test_each_browser_that_runs_is_told_of_with_its_tasks_and_sessions(loop: VirtualLoop) -> None:
    async def make() -> Busy:
        return Busy()

    async def begin(busy: Busy) -> None:
        await busy.start()
        lease = busy.sessions.lend(KEY, None, None, busy.fleet.home_for_session)
        await lease.place.open(PERMIT)
        lease.place.release(lease)
        await asyncio.sleep(2)

    busy = loop.run(make())
    with patch("captcha_bypass.browsers.process.kill_marked", busy.world.kill_marked):
        loop.run(begin(busy))
        counts = busy.fleet.counts()
        each = [(browser.tasks, browser.served, browser.sessions) for browser in counts.each]
        assert sorted(each, reverse=True)[:3] == [(1, 1, 0), (1, 1, 0), (0, 1, 1)]
        assert [browser.served for browser in counts.each] == counts.tasks
        ages = [browser.age for browser in counts.each]
        assert ages == sorted(ages, reverse=True)
        assert ages[0] > 2
        loop.run(busy.fleet.__aexit__(None, None, None))
