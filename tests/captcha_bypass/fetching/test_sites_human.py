"""Requests whose site's challenge waits for a person: with a clock that jumps, and without browsers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from captcha_bypass.fetching.messages import ChallengeNotPassed, TimeIsUp
from captcha_bypass.fetching.sites import Sites
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.tasks.memory import MemoryQueue
from tests.captcha_bypass.fetching.test_sites import PERMIT, Running, World, late
from tests.support.native_tasks import SOLUTION
from tests.support.virtual_time import VirtualLoop

#: Seconds of a request, of its solve until a person is called, and until one has passed it.
TIMEOUT, CALLED, PASSED = 20.0, 6.0, 300.0
LATE = late(challenge="datadome", challenge_kind="human", unmet=["no_challenge"], hints=[])


class HumanWorld(World):
    """A site whose challenge is passed by a person who takes their time, if one is called."""

    queue: MemoryQueue
    #: Whether somebody comes at all.
    somebody = True

    async def __call__(self, task_id: str, payload: JsonDict) -> JsonDict:
        called = payload.get("on_challenge") == "wait"
        if called:
            await asyncio.sleep(CALLED)
            await self.queue.leave_slot(task_id, 600, "link")
            self.solve_seconds = PASSED
        else:
            self.solve_seconds = payload["timeout"]
        passed = called and self.somebody
        self.ends.append({"data": {**SOLUTION, "solved": "datadome"}} if passed else LATE)
        return await super().__call__(task_id, payload)


Run = Callable[[Callable[[Running], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def run() -> Iterator[Run]:
    loop = VirtualLoop()

    async def on_stage(test: Callable[[Running], Coroutine[Any, Any, None]]) -> None:
        world = HumanWorld()
        queue = world.queue = MemoryQueue(max_pending=9, result_ttl=60, max_results_bytes=2**20)
        await queue.start(world, 1)
        sites = Sites(queue, world, world, lambda _: PERMIT, at_once=6, max_per_host=4)
        await test(Running(world, sites, queue))
        await queue.stop(0)
        await sites.close()

    yield lambda test: loop.run(on_stage(test))
    loop.shutdown()


def now() -> float:
    return asyncio.get_running_loop().time()


def test_the_time_that_a_person_takes_is_added_to_the_requests(run: Run) -> None:
    async def test(running: Running) -> None:
        running.world.send_seconds = TIMEOUT - CALLED - 1
        got = await running.fetch(on_challenge="wait")
        assert (got.status, got.solved) == (200, "datadome")
        assert now() == pytest.approx(CALLED + PASSED + TIMEOUT - CALLED - 1, abs=1)

    run(test)


def test_it_is_added_but_once(run: Run) -> None:
    async def test(running: Running) -> None:
        running.world.send_seconds = TIMEOUT
        with pytest.raises(TimeIsUp):
            await running.fetch(on_challenge="wait")
        assert now() == pytest.approx(PASSED + TIMEOUT, abs=1)

    run(test)


def test_all_who_wait_for_the_person_have_it_and_others_do_not(run: Run) -> None:
    async def test(running: Running) -> None:
        first = asyncio.create_task(running.fetch(on_challenge="wait"))
        await asyncio.sleep(CALLED + 1)  # the person is called already
        with pytest.raises(TimeIsUp):
            await running.fetch()
        assert now() == pytest.approx(CALLED + 1 + TIMEOUT, abs=1)
        second = await running.fetch(on_challenge="wait", timeout=5.0)
        assert (await first).solved == second.solved == "datadome"
        assert len(running.world.solves) == 1

    run(test)


def test_whoever_joins_a_solve_that_calls_nobody_has_one_that_does(run: Run) -> None:
    async def test(running: Running) -> None:
        first = asyncio.create_task(running.fetch())
        await asyncio.sleep(1)
        assert (await running.fetch(on_challenge="wait", timeout=60)).solved == "datadome"
        with pytest.raises(ChallengeNotPassed):
            await first
        assert len(running.world.solves) == 2

    run(test)


def test_where_nobody_comes_the_request_ends_with_the_wait(run: Run) -> None:
    async def test(running: Running) -> None:
        assert isinstance(running.world, HumanWorld)
        running.world.somebody = False
        with pytest.raises(ChallengeNotPassed):
            await running.fetch(on_challenge="wait")
        assert now() == pytest.approx(CALLED + PASSED, abs=1)
        assert len(running.world.solves) == 1

    run(test)
