"""The end of the service when it is asked to: tasks may finish, results are told, nothing stays."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from tests.support.fake_service import LASTING, PAGE, URL, opened, run_fake_service
from tests.support.hard_site import SEEN, SHOW
from tests.support.service import alive, eventually, run_service
from tests.support.solve_client import client_of


async def test_sigterm_lets_running_tasks_end_and_their_results_be_fetched(tmp_path: Path) -> None:
    with run_fake_service(tmp_path, "--workers", "1", "--shutdown-timeout", "20") as service:
        async with client_of(service) as client:
            # Long enough for all that is asked of a busy machine while it runs.
            running = await client.submit(**LASTING, timeout=8)
            pending = await client.submit(**PAGE)
            await client.until_running(running)
            family = service.family()
            service.signal(signal.SIGTERM)
            waiting = asyncio.create_task(client.finished(running))
            assert (await client.finished(pending))["error"]["code"] == "shutting_down"
            status, health = await client.health()
            assert (status, health["status"]) == (503, "unavailable")
            with pytest.raises(AssertionError, match="shutting_down"):
                await client.submit(**PAGE)
            assert (await waiting)["data"]["timeout_reached"] is True
        assert service.process.wait(15) == 0
    assert not alive(family)
    assert not service.folders()


async def test_sigterm_stops_tasks_that_outlast_the_shutdown_timeout(tmp_path: Path) -> None:
    with run_fake_service(tmp_path, "--workers", "1", "--shutdown-timeout", "1") as service:
        async with client_of(service) as client:
            task = await client.submit(**LASTING, timeout=60)
            assert await eventually(lambda: URL in opened(service), 20)
            family = service.family()
            service.signal(signal.SIGTERM)
            assert (await client.finished(task))["error"]["code"] == "shutting_down"
        assert service.process.wait(10) == 0
        assert not alive(family)


@pytest.mark.browser
async def test_ctrl_c_in_a_terminal_lets_running_tasks_end_and_a_second_signal_ends_them_at_once(
    tmp_path: Path, hard: TestServer
) -> None:
    with run_service(tmp_path, "--workers", "2") as service:
        async with client_of(service) as client:
            first, other = (str(hard.make_url(page)) for page in ("/on-demand", "/plain"))
            task = await client.submit(url=first, success_text="shown words", timeout=60)
            longer = await client.submit(url=other, success_text="never", timeout=60)
            both = {"/demanded", "/plain"}
            assert await eventually(lambda: both <= {path for path, _ in hard.app[SEEN]}, 40)
            family = service.family()
            os.killpg(service.process.pid, signal.SIGINT)
            assert await eventually(lambda: "waiting up to 30 s" in service.log, 5)
            assert "a second Ctrl-C or SIGTERM ends them now" in service.log
            hard.app[SHOW].set()
            view = await client.finished(task)
            assert view["data"]["timeout_reached"] is False, view
            assert "shown words" in view["data"]["html"]
            assert (await client.result(longer))["status"] == "running"
        service.signal(signal.SIGTERM)
        assert service.process.wait(10) == 0
        assert not alive(family)


async def test_results_expire_and_a_service_without_tasks_stops_at_once(tmp_path: Path) -> None:
    with run_fake_service(tmp_path, "--workers", "1", "--result-ttl", "3") as service:
        async with client_of(service) as client:
            task = await client.submit(**PAGE)
            assert (await client.finished(task))["status"] == "completed"
            async with asyncio.timeout(20):
                while (view := await client.result(task))["status"] == "completed":  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            assert view["status"] == "not_found"
        started = time.monotonic()
        service.signal(signal.SIGINT)
        assert service.process.wait(10) == 0
        assert time.monotonic() - started < 5
