"""Browsers and driver killed or frozen in the middle of tasks: all end, and the slots go on."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from tests.support.fire import (
    CRASHED,
    END_GRACE,
    Gate,
    assert_result_or,
    contents,
    dead,
    drivers,
    ended,
    hit,
    parents,
    repeated,
    seeded,
    tree,
    works,
)
from tests.support.hard_site import SEEN, SHOW
from tests.support.service import Service, eventually, run_service
from tests.support.solve_client import Client, client_of

pytestmark = pytest.mark.browser

#: Past its deadline a task's browser lives 5 s at most; the rest is for a busy machine.
DEAD_SECONDS = 5.0 + 3.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of this module's own: what happens to it is nothing for the shared one."""
    with run_service(Path(tmp_path_factory.mktemp("fire")), "--workers", "3") as running:
        yield running
        assert "Traceback" not in running.log, "what is expected is handled where it happens"


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with client_of(service) as client:
        yield client


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with Gate() as gate:
        yield gate


async def at_their_pages(client: Client, hard: TestServer, tasks: int, timeout: float) -> list[str]:
    """Submit tasks that see their text only once it is to be shown, and wait until all have their page."""
    hard.app[SHOW].clear()
    hard.app[SEEN].clear()
    request = {"url": str(hard.make_url("/on-demand")), "success_text": "shown words"}
    ids = [await client.submit(**request, timeout=timeout) for _ in range(tasks)]
    # The page is there: its script runs.
    assert await eventually(lambda: asked(hard, "/demanded") == tasks, timeout)
    return ids


def asked(hard: TestServer, path: str = "/on-demand") -> int:
    """How often tasks have asked for their page."""
    return [seen for seen, _ in hard.app[SEEN]].count(path)


@repeated(1, 20, seconds=60)
async def test_task_alone_in_a_browser_that_is_killed_is_a_crash(
    client: Client, service: Service, hard: TestServer, gate: Gate, times: int
) -> None:
    for _ in range(times):
        (task,) = await gate.enter(client, tasks=1, timeout=40)
        hit(parents(service, busy=True))
        (view,) = await ended(client, [task], 40 + END_GRACE)
        assert view["error"]["code"] == "browser_crashed", view
        await works(client, hard)


@repeated(1, 20, seconds=80)
@pytest.mark.parametrize("victim", ["browser", "driver"])
async def test_tasks_that_merely_shared_what_is_killed_start_again(
    client: Client, service: Service, hard: TestServer, victim: str, times: int
) -> None:
    for _ in range(times):
        # Two: each that lost a browser gets one to itself, as it may be what killed it.
        tasks = await at_their_pages(client, hard, tasks=2, timeout=60)
        hit(parents(service, busy=True) if victim == "browser" else drivers(service))
        assert await eventually(lambda: asked(hard) == 4, 60)
        hard.app[SHOW].set()
        for view in await ended(client, tasks, 60 + END_GRACE):
            assert view["status"] == "completed", view
            assert view["data"]["timeout_reached"] is False, view
        assert asked(hard) == 4
        await works(client, hard)


@repeated(1, 20, seconds=80)
async def test_content_process_that_is_killed_costs_its_own_task_at_most(
    client: Client, service: Service, hard: TestServer, times: int
) -> None:
    draw = seeded()
    for _ in range(times):
        tasks = await at_their_pages(client, hard, tasks=3, timeout=60)
        before = crashed_pages(service)
        # Of a task's page, of the one that is ready for the next task, or of none.
        hit([draw.choice(contents(draw.choice(parents(service, busy=True))))])
        hard.app[SHOW].set()
        views = await ended(client, tasks, 60 + END_GRACE)
        assert_result_or(CRASHED, views)
        through = [view["data"] for view in views if view["status"] == "completed"]
        assert len(through) >= 2, views
        assert not any(data["timeout_reached"] for data in through), views
        assert asked(hard) == 3, "no other task lost its page"
        await works(client, hard)
        if len(through) == 2:
            assert await eventually(partial(has_more_crashes, service, before), 10)


def has_more_crashes(service: Service, before: int) -> bool:
    return crashed_pages(service) > before


def crashed_pages(service: Service) -> int:
    return service.log.count("cause=page_crash")


@repeated(1, 5, seconds=60)
async def test_frozen_browser_is_dead_soon_after_the_deadline_and_the_next_task_succeeds(
    client: Client, service: Service, hard: TestServer, gate: Gate, times: int
) -> None:
    for _ in range(times):
        task = await gate.enter(client, tasks=1, timeout=8)
        frozen = [process for parent in parents(service, busy=True) for process in tree(parent)]
        hit(frozen, signal.SIGSTOP)
        # It runs already, so its deadline is at most 8 s from here.
        assert await dead(frozen, 8 + DEAD_SECONDS)
        (view,) = await ended(client, task, END_GRACE)
        assert view["status"] == "completed", view
        assert view["data"]["timeout_reached"] is True, view
        await works(client, hard)


@repeated(1, 10, seconds=60)
async def test_browser_frozen_while_it_waits_for_work_costs_one_task_at_most(
    client: Client, service: Service, hard: TestServer, times: int
) -> None:
    url = str(hard.make_url("/plain"))
    for _ in range(times):
        await works(client, hard)
        frozen = [process for parent in parents(service) for process in tree(parent)]
        hit(frozen, signal.SIGSTOP)
        task = await client.submit(url=url, success_text="plain", timeout=6)
        # Another browser may take longer to start than the task had.
        codes = CRASHED | {"browser_unavailable"}
        assert_result_or(codes, await ended(client, [task], 6 + END_GRACE))
        await works(client, hard)


@repeated(1, 10, seconds=60)
async def test_browsers_killed_while_they_wait_and_while_they_start_cost_a_task_only_time(
    client: Client, service: Service, hard: TestServer, times: int
) -> None:
    url = str(hard.make_url("/plain"))
    for _ in range(times):
        await works(client, hard)
        first = service.labels()
        hit([process for parent in parents(service) for process in tree(parent)])
        task = await client.submit(url=url, success_text="plain", timeout=60)
        assert await eventually(partial(has_others, service, first), 30)
        hit(service.browsers())
        (view,) = await ended(client, [task], 60 + END_GRACE)
        assert view["status"] == "completed", view
        assert view["data"]["timeout_reached"] is False, view


def has_others(service: Service, browsers: set[str]) -> bool:
    return bool(service.labels() - browsers)


@repeated(1, 20, seconds=80)
async def test_no_task_hangs_when_the_driver_is_frozen_and_the_next_succeeds(
    client: Client, service: Service, hard: TestServer, gate: Gate, times: int
) -> None:
    for _ in range(times):
        # On a machine that had a fifth of a core for it, all three were there after 6 s.
        tasks = await gate.enter(client, tasks=3, timeout=16)
        hit(drivers(service), signal.SIGSTOP)
        gate.open()
        codes = CRASHED | {"browser_unavailable"}
        assert_result_or(codes, await ended(client, tasks, 16 + END_GRACE))
        await works(client, hard)
