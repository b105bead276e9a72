"""Browsers and driver killed or frozen in the middle of tasks: all end, and the slots go on."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
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
from tests.support.service import Client, Service, client_of, run_service

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


@repeated(2, 20, seconds=60)
@pytest.mark.parametrize("victim", ["parent", "content"])
async def test_task_whose_browser_is_killed_ends_and_the_next_succeeds(
    client: Client, service: Service, hard: TestServer, gate: Gate, victim: str, times: int
) -> None:
    draw = seeded()
    for _ in range(times):
        task = await gate.enter(client, tasks=1, timeout=20)
        browser = draw.choice(parents(service, busy=True))
        hit([browser if victim == "parent" else draw.choice(contents(browser))])
        gate.open()
        assert_result_or(CRASHED, await ended(client, task, 20 + END_GRACE))
        await works(client, hard)


@repeated(1, 20, seconds=80)
@pytest.mark.parametrize("victim", ["parent", "content"])
async def test_no_task_hangs_when_one_browser_is_killed_among_three_tasks(
    client: Client, service: Service, hard: TestServer, gate: Gate, victim: str, times: int
) -> None:
    draw = seeded()
    for _ in range(times):
        tasks = await gate.enter(client, tasks=3, timeout=30)
        browser = draw.choice(parents(service, busy=True))
        hit([browser if victim == "parent" else draw.choice(contents(browser))])
        gate.open()
        assert_result_or(CRASHED, await ended(client, tasks, 30 + END_GRACE))
        await works(client, hard)


@repeated(1, 5, seconds=60)
async def test_frozen_browser_is_dead_soon_after_the_deadline_and_the_next_task_succeeds(
    client: Client, service: Service, hard: TestServer, gate: Gate, times: int
) -> None:
    for _ in range(times):
        task = await gate.enter(client, tasks=1, timeout=6)
        frozen = [process for parent in parents(service, busy=True) for process in tree(parent)]
        hit(frozen, signal.SIGSTOP)
        # It runs already, so its deadline is at most 6 s from here.
        assert await dead(frozen, 6 + DEAD_SECONDS)
        assert_result_or(CRASHED, await ended(client, task, END_GRACE))
        await works(client, hard)


@repeated(1, 10, seconds=60)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_browser_hit_while_it_waits_for_work_costs_one_task_at_most(
    client: Client, service: Service, hard: TestServer, number: signal.Signals, times: int
) -> None:
    url = str(hard.make_url("/plain"))
    for _ in range(times):
        await works(client, hard)
        hit([process for parent in parents(service) for process in tree(parent)], number)
        task = await client.submit(url=url, success_text="plain", timeout=6)
        # Another browser may take longer to start than the task had.
        codes = CRASHED | {"browser_unavailable"}
        assert_result_or(codes, await ended(client, [task], 6 + END_GRACE))
        await works(client, hard)


@repeated(1, 20, seconds=80)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_no_task_hangs_when_the_driver_is_hit_and_the_next_succeeds(
    client: Client,
    service: Service,
    hard: TestServer,
    gate: Gate,
    number: signal.Signals,
    times: int,
) -> None:
    for _ in range(times):
        tasks = await gate.enter(client, tasks=3, timeout=8)
        hit(drivers(service), number)
        gate.open()
        codes = CRASHED | {"browser_unavailable"}
        assert_result_or(codes, await ended(client, tasks, 8 + END_GRACE))
        await works(client, hard)
