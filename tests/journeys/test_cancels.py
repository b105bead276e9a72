"""Cancelled tasks: never begun, or dead at once, with a browser left that works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from tests.support.fire import hit
from tests.support.hard_site import SEEN
from tests.support.service import Client, Service, client_of, eventually, run_service

pytestmark = pytest.mark.browser

#: Seconds since a task runs, from before the browser's process exists until after its page is open.
MOMENTS = (0.0, 0.05, 0.2, 0.5, 1.0, 1.6, 2.4)


async def settled(count: Callable[[], int]) -> int:
    """Return a count once it has not changed for a second."""
    last, since = count(), time.monotonic()
    while time.monotonic() - since < 1:
        await asyncio.sleep(0.05)
        if (now := count()) != last:
            last, since = now, time.monotonic()
    return last


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that runs one task at a time."""
    with run_service(tmp_path_factory.mktemp("one"), "--workers", "1") as service:
        yield service


@pytest.fixture
async def single(one_worker: Service) -> AsyncIterator[Client]:
    async with client_of(one_worker) as client:
        await client.until_warm()
        yield client


@pytest.fixture(scope="module")
def browser_each(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose tasks have a browser of their own each, one at a time."""
    flags = ("--workers", "1", "--tasks-per-browser", "1")
    with run_service(tmp_path_factory.mktemp("each"), *flags) as service:
        yield service


async def test_one_worker_takes_tasks_in_the_order_they_came(
    single: Client, hard: TestServer
) -> None:
    pages = ["/case", "/plain", "/split", "/selector"]
    tasks = [
        await single.submit(url=str(hard.make_url(page)), no_challenge=True, timeout=20)
        for page in pages
    ]
    for task in tasks:
        assert (await single.finished(task))["status"] == "completed"
    assert [path for path, _ in hard.app[SEEN] if path in pages] == pages


async def test_cancelled_pending_task_never_opens_its_page(
    single: Client, hard: TestServer
) -> None:
    first = await single.submit(url=str(hard.make_url("/plain")), success_text="never", timeout=2)
    second = await single.submit(url=str(hard.make_url("/case")), success_text="never", timeout=2)
    assert (await single.delete(second))[0] == 200
    assert (await single.result(second))["status"] == "not_found"
    assert (await single.finished(first))["data"]["timeout_reached"] is True
    assert (await single.health())[1]["running"] == 0
    assert "/case" not in [path for path, _ in hard.app[SEEN]]


@pytest.mark.parametrize("page", ["/plain", "/spin"])
async def test_cancelled_running_task_is_dead_within_two_seconds(
    single: Client, one_worker: Service, hard: TestServer, page: str
) -> None:
    before = await settled(lambda: len(one_worker.content_processes()))
    task = await single.submit(url=str(hard.make_url(page)), success_text="never", timeout=60)
    assert await eventually(lambda: len(hard.app[SEEN]) > 0, 20)
    # The task has the page that was ready, and the next one is made ready.
    assert await eventually(lambda: len(one_worker.content_processes()) == before + 1, 20)
    status, body = await single.delete(task)
    assert (status, body["success"]) == (200, True)
    assert await eventually(lambda: len(one_worker.content_processes()) == before, 2)
    assert (await single.result(task))["status"] == "not_found"
    status, body = await single.delete(task)
    assert (status, body["success"]) == (404, False)


@pytest.mark.parametrize("page", ["/plain", "/spin"])
async def test_cancelled_task_takes_the_browser_that_is_its_own_along(
    browser_each: Service, hard: TestServer, page: str
) -> None:
    async with client_of(browser_each) as client:
        await client.until_warm()
        assert await eventually(lambda: len(browser_each.labels()) == 1, 20)
        (own,) = browser_each.labels()
        task = await client.submit(url=str(hard.make_url(page)), success_text="never", timeout=60)
        assert await eventually(lambda: len(hard.app[SEEN]) > 0, 20)
        assert (await client.delete(task))[0] == 200
        assert await eventually(lambda: own not in browser_each.labels(), 2)


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
    tmp_path: Path, hard: TestServer
) -> None:
    url = str(hard.make_url("/plain"))
    with run_service(tmp_path, "--workers", "4", ready=False) as service:
        async with client_of(service) as client:
            # Of the service's first launch: each task is alone, and the next comes when it is gone.
            for seconds in (MOMENTS[0], *(later - now for now, later in pairwise(MOMENTS))):
                await cancelled_after(client, url, seconds)
            await assert_one_browser_works(client, service, url)
            # Of one to replace a dead browser: the tasks wait for it together.
            hit(service.browsers())
            await asyncio.gather(*(cancelled_after(client, url, late) for late in MOMENTS[::2]))
            await assert_one_browser_works(client, service, url)
