"""A storm of cancelled tasks: each is gone for ever, and nothing of it remains."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from captcha_bypass.browsers.janitor import IDLE_SECONDS
from tests.support.fire import repeated, seeded, settled, works
from tests.support.service import Client, Service, client_of, eventually, run_service

pytestmark = pytest.mark.browser

#: Clients at once: more than workers, so that tasks are hit while they wait, too.
CLIENTS = 5
WORKERS = 3
#: Seconds within which a browser is closed that was started beside one which pages kept busy.
IDLE_END = IDLE_SECONDS + 15.0


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


@repeated(8, 200, seconds=4)
async def test_cancelled_tasks_are_gone_for_ever_and_leave_nothing(
    tmp_path: Path, hard: TestServer, site: TestServer, times: int
) -> None:
    draw = seeded()
    pages = [hard.make_url(page) for page in ("/plain", "/spin", "/silent", "/drip")]
    pages.append(site.make_url("/page/1"))
    flags = ("--workers", str(WORKERS), "--log-format", "json")
    # One browser for all, so that none that was started ahead waits for work at the end.
    env = {"CAPTCHA_BYPASS_TASKS_PER_BROWSER": "1000"}
    with run_service(tmp_path, *flags, env=env) as service:
        async with client_of(service) as client:
            await works(client, hard)
            base_line = await settled(service)
            jobs = iter([str(draw.choice(pages)) for _ in range(times)])

            async def one_after_the_other() -> list[tuple[str, float]]:
                return [await cancel_in_time(client, url, draw.uniform(0, 2)) for url in jobs]

            parts = await asyncio.gather(*(one_after_the_other() for _ in range(CLIENTS)))
            cancelled = [one for part in parts for one in part]
            assert len(cancelled) == times
            _, health = await client.health()
            assert (health["running"], health["queue"]) == (0, 0)
            assert await eventually(lambda: len(service.family()) <= base_line, IDLE_END), (
                f"{base_line} processes before, {len(service.family())} after"
            )
            views = await asyncio.gather(*(client.result(task) for task, _ in cancelled))
            assert {view["status"] for view in views} == {"not_found"}
            ended = endings(service)
            assert not [task for task, gone in cancelled if ended.get(task, 0) > gone]
            await works(client, hard)
