"""Cancelled tasks: never begun, or dead at once and for ever, with a browser left that works."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from itertools import pairwise

import pytest
from aiohttp.test_utils import TestServer

from captcha_bypass.browsers.janitor import IDLE_SECONDS
from tests.support.fake_service import LASTING, PAGE, URL, opened, run_fake_service
from tests.support.fire import (
    Gate,
    assert_result_or,
    ended,
    guards,
    hit,
    repeated,
    seeded,
    settled,
    works,
)
from tests.support.hard_site import SEEN
from tests.support.service import Service, eventually, run_service
from tests.support.solve_client import Client, client_of

pytestmark = pytest.mark.browser

#: Seconds since a task runs, from before the browser's process exists until after its page is open.
MOMENTS = (0.0, 0.05, 0.2, 0.5, 1.0, 1.6, 2.4)
#: Clients at once: more than the service has workers, so that tasks are hit while they wait, too.
CLIENTS = 6
WORKERS = 4
#: Seconds within which a browser is closed that was started beside one which pages kept busy.
IDLE_END = IDLE_SECONDS + 15.0


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that runs one task at a time, whatever its browser is."""
    with run_fake_service(tmp_path_factory.mktemp("one"), "--workers", "1") as service:
        yield service


@pytest.fixture
async def single(one_worker: Service) -> AsyncIterator[Client]:
    async with client_of(one_worker) as client:
        yield client


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a real browser that starts just now, for four tasks at once."""
    # One browser for all tasks, so that none that was started ahead waits for work at the end.
    flags = ("--workers", str(WORKERS), "--tasks-per-browser", "1000", "--log-format", "json")
    with run_service(tmp_path_factory.mktemp("four"), *flags, ready=False) as service:
        yield service


async def test_one_worker_takes_tasks_in_the_order_they_came(
    single: Client, one_worker: Service
) -> None:
    urls = [f"{URL}/{number}" for number in range(4)]
    tasks = [await single.submit(**PAGE | {"url": url}) for url in urls]
    for task in tasks:
        assert (await single.finished(task))["status"] == "completed"
    assert [url for url in opened(one_worker) if url in urls] == urls


async def test_cancelled_pending_task_never_opens_its_page(
    single: Client, one_worker: Service
) -> None:
    unwanted = f"{URL}/unwanted"
    first = await single.submit(**LASTING, timeout=2)
    second = await single.submit(**PAGE | {"url": unwanted})
    assert (await single.delete(second))[0] == 200
    assert (await single.result(second))["status"] == "not_found"
    assert (await single.finished(first))["data"]["timeout_reached"] is True
    assert (await single.solve(**PAGE))["status"] == "completed"
    assert unwanted not in opened(one_worker)


async def cancelled_after(client: Client, url: str, seconds: float) -> None:
    """Submit a task, and delete it that long after it began to run."""
    task = await client.submit(url=url, success_text="never", timeout=60)
    await client.until_running(task)
    await asyncio.sleep(seconds)
    assert (await client.delete(task))[0] == 200


async def assert_one_browser_works(client: Client, service: Service, url: str) -> None:
    await client.until_warm()
    assert await eventually(lambda: len(service.labels()) == 1, 5)
    health = (await client.health())[1]
    assert (health["running"], health["browsers"]["starting"]) == (0, 0)
    assert await client.solved(url=url, success_text="plain", timeout=30)


async def test_cancels_at_all_moments_of_a_launch_leave_one_working_browser(
    four: Service, hard: TestServer
) -> None:
    url = str(hard.make_url("/plain"))
    async with client_of(four) as client:
        # Of the service's first launch: each task is alone, and the next comes when it is gone.
        for seconds in (MOMENTS[0], *(later - now for now, later in pairwise(MOMENTS))):
            await cancelled_after(client, url, seconds)
        await assert_one_browser_works(client, four, url)
        # Of one to replace a dead browser: the tasks wait for it together.
        hit(four.browsers())
        await asyncio.gather(*(cancelled_after(client, url, late) for late in MOMENTS[::2]))
        await assert_one_browser_works(client, four, url)


@pytest.mark.parametrize("page", ["/plain", "/spin"])
async def test_cancelled_running_task_is_dead_within_two_seconds(
    four: Service, hard: TestServer, page: str
) -> None:
    async with client_of(four) as client:
        await client.until_warm()
        before = await settled(four.content_pids, calm=1)
        task = await client.submit(url=str(hard.make_url(page)), success_text="never", timeout=60)
        assert await eventually(lambda: len(hard.app[SEEN]) > 0, 20)
        # The task has the page that was ready, and the next one is made ready.
        assert await eventually(lambda: len(four.content_pids()) > len(before), 20)
        # Not those that were there before: the page that was ready may have become so only just now.
        there = await settled(four.content_pids, calm=1)
        status, body = await client.delete(task)
        assert (status, body["success"]) == (200, True)
        assert await eventually(lambda: len(there - four.content_pids()) == 1, 2)
        assert (await client.result(task))["status"] == "not_found"
        status, body = await client.delete(task)
        assert (status, body["success"]) == (404, False)


async def cancel_in_time(client: Client, url: str, moment: float) -> tuple[str, float]:
    """Submit a task, delete it after `moment` seconds; returns its id and the answer's time."""
    task = await client.submit(url=url, success_text="plain page", timeout=30)
    await asyncio.sleep(moment)
    status, body = await client.delete(task)
    assert (status, body["success"]) == (200, True)
    answered = time.time()
    assert (await client.result(task))["status"] == "not_found"
    return task, answered


def endings(service: Service) -> dict[str, float]:
    """When each task that ended by itself did so: its id and the log's time."""
    lines = [json.loads(line) for line in service.log.splitlines()]
    return {
        line["task_id"]: datetime.fromisoformat(line["time"]).timestamp()
        for line in lines
        if line["message"] == "task ended"
    }


@repeated(8, 200, seconds=15)  # most of it is for a browser too many, which idles for a minute
async def test_cancelled_tasks_are_gone_for_ever_and_leave_nothing(
    four: Service, hard: TestServer, site: TestServer, times: int
) -> None:
    draw = seeded()
    pages = [hard.make_url(page) for page in ("/plain", "/spin", "/silent", "/drip")]
    pages.append(site.make_url("/page/1"))
    async with client_of(four) as client:
        async with Gate() as gate:
            tasks = await gate.enter(client, tasks=WORKERS, timeout=60)
            gate.open()
            assert_result_or(frozenset(), await ended(client, tasks, 60))
        # Firefox keeps the windows, and the processes, of as many pages as there ever were at once: in
        # a storm those of all workers, and some that are being closed.
        most = await settled(lambda: len(four.family()), calm=3) + WORKERS
        pages_before = guards(four)
        jobs = iter([str(draw.choice(pages)) for _ in range(times)])

        async def one_after_the_other() -> list[tuple[str, float]]:
            return [await cancel_in_time(client, url, draw.uniform(0, 2)) for url in jobs]

        parts = await asyncio.gather(*(one_after_the_other() for _ in range(CLIENTS)))
        cancelled = [one for part in parts for one in part]
        assert len(cancelled) == times
        _, health = await client.health()
        assert (health["running"], health["queue"]) == (0, 0)
        assert await eventually(lambda: len(four.family()) <= most, IDLE_END), (
            f"{most} processes at most, but {len(four.family())}"
        )
        assert await eventually(lambda: guards(four) == pages_before, 30), "a page is left"
        views = await asyncio.gather(*(client.result(task) for task, _ in cancelled))
        assert {view["status"] for view in views} == {"not_found"}
        late = endings(four)
        assert not [task for task, gone in cancelled if late.get(task, 0) > gone]
        await works(client, hard)
