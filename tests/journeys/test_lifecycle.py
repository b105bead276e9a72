"""Start, stop, cancel and kill of the whole service: nothing lost silently, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from tests.support.hard_site import SEEN
from tests.support.service import Client, Service, alive, client_of, eventually, run_service

pytestmark = pytest.mark.browser


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
    first = await single.submit(url=str(hard.make_url("/plain")), success_text="never", timeout=4)
    second = await single.submit(url=str(hard.make_url("/case")), success_text="never", timeout=4)
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
    tmp_path: Path, hard: TestServer, page: str
) -> None:
    with run_service(tmp_path, "--workers", "1", "--tasks-per-browser", "1") as service:
        async with client_of(service) as client:
            await client.until_warm()
            (own,) = service.labels()
            task = await client.submit(
                url=str(hard.make_url(page)), success_text="never", timeout=60
            )
            assert await eventually(lambda: len(hard.app[SEEN]) > 0, 20)
            assert (await client.delete(task))[0] == 200
            assert await eventually(lambda: own not in service.labels(), 2)


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.2, 0.5, 1.0, 1.6, 2.4])
async def test_cancel_at_any_moment_of_a_launch_leaves_one_working_browser(
    tmp_path: Path, hard: TestServer, moment: float
) -> None:
    with run_service(tmp_path, ready=False) as service:
        async with client_of(service) as client:
            url = str(hard.make_url("/plain"))
            task = await client.submit(url=url, success_text="never", timeout=60)
            await client.until_running(task)
            await asyncio.sleep(moment)
            assert (await client.delete(task))[0] == 200
            await client.until_warm()
            assert await eventually(lambda: len(service.labels()) == 1, 5)
            health = (await client.health())[1]
            assert (health["running"], health["browsers"]["starting"]) == (0, 0)
            assert await client.solved(url=url, success_text="plain", timeout=30)


async def test_results_expire(tmp_path: Path, hard: TestServer) -> None:
    with run_service(tmp_path, "--result-ttl", "1.5") as service:
        async with client_of(service) as client:
            task = await client.submit(
                url=str(hard.make_url("/plain")), success_text="plain", timeout=20
            )
            assert (await client.finished(task))["status"] == "completed"
            await asyncio.sleep(2)
            assert (await client.result(task))["status"] == "not_found"


async def test_sigterm_lets_running_tasks_end_and_their_results_be_fetched(
    tmp_path: Path, hard: TestServer
) -> None:
    with run_service(tmp_path, "--workers", "1", "--shutdown-timeout", "20") as service:
        async with client_of(service) as client:
            url = str(hard.make_url("/plain"))
            running = await client.submit(url=url, success_text="never", timeout=5)
            pending = await client.submit(url=url, success_text="plain", timeout=5)
            await client.until_running(running)
            service.signal(signal.SIGTERM)
            waiting = asyncio.create_task(client.finished(running))
            assert (await client.finished(pending))["error"]["code"] == "shutting_down"
            status, health = await client.health()
            assert (status, health["status"]) == (503, "unavailable")
            with pytest.raises(AssertionError, match="shutting_down"):
                await client.submit(url=url, success_text="plain", timeout=5)
            assert (await waiting)["data"]["timeout_reached"] is True
        family = service.family()
        assert service.process.wait(15) == 0
    assert not alive(family)
    assert not service.folders()


async def test_ctrl_c_in_a_terminal_lets_running_tasks_end(
    tmp_path: Path, hard: TestServer
) -> None:
    with run_service(tmp_path) as service:
        async with client_of(service) as client:
            url = str(hard.make_url("/plain"))
            task = await client.submit(url=url, success_text="never", timeout=6)
            assert await eventually(lambda: len(hard.app[SEEN]) > 0, 20)
            os.killpg(service.process.pid, signal.SIGINT)
            assert await eventually(lambda: "waiting up to 30 s" in service.log, 5)
            assert "a second Ctrl-C or SIGTERM ends them now" in service.log
            view = await client.finished(task)
            assert view["data"]["timeout_reached"] is True, view
            assert "plain page" in view["data"]["html"]
        assert service.process.wait(10) == 0


async def test_sigterm_stops_tasks_that_outlast_the_shutdown_timeout(
    tmp_path: Path, hard: TestServer
) -> None:
    with run_service(tmp_path, "--shutdown-timeout", "1") as service:
        async with client_of(service) as client:
            task = await client.submit(
                url=str(hard.make_url("/plain")), success_text="never", timeout=60
            )
            assert await eventually(lambda: len(hard.app[SEEN]) > 0, 20)
            family = service.family()
            service.signal(signal.SIGTERM)
            assert (await client.finished(task))["error"]["code"] == "shutting_down"
        assert service.process.wait(10) == 0
        assert not alive(family)


async def test_second_signal_ends_at_once(tmp_path: Path, hard: TestServer) -> None:
    with run_service(tmp_path, "--shutdown-timeout", "60") as service:
        async with client_of(service) as client:
            await client.submit(url=str(hard.make_url("/plain")), success_text="x", timeout=60)
            assert await eventually(lambda: len(hard.app[SEEN]) > 0, 20)
            family = service.family()
        service.signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        service.signal(signal.SIGINT)
        assert service.process.wait(10) == 0
        assert not alive(family)


async def test_idle_service_stops_at_once(tmp_path: Path) -> None:
    with run_service(tmp_path) as service:
        started = time.monotonic()
        service.signal(signal.SIGINT)
        assert service.process.wait(10) == 0
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("driver", ["running", "frozen"])
async def test_kill_9_of_the_service_takes_all_processes_along(
    tmp_path: Path, hard: TestServer, driver: str
) -> None:
    with run_service(tmp_path) as service:
        async with client_of(service) as client:
            await client.submit(url=str(hard.make_url("/spin")), success_text="x", timeout=60)
            assert await eventually(lambda: len(hard.app[SEEN]) > 0, 20)
        family = service.family()
        assert any("run-driver" in process.cmdline() for process in family)
        if driver == "frozen":
            next(p for p in family if "run-driver" in p.cmdline()).suspend()
        service.process.kill()
        service.process.wait(5)
        assert await eventually(lambda: not alive(family), 5)


async def test_next_start_clears_what_a_killed_service_left_and_nothing_else(
    tmp_path: Path, hard: TestServer
) -> None:
    with run_service(tmp_path) as neighbour, run_service(tmp_path) as killed:
        async with client_of(killed) as client:
            await client.submit(url=str(hard.make_url("/plain")), success_text="x", timeout=60)
            assert await eventually(lambda: len(hard.app[SEEN]) > 0, 20)
        (tmp_path / "somebody-elses").mkdir()
        killed.process.kill()
        killed.process.wait(5)
        assert len(neighbour.folders()) == 2
        # A process of the dead service that did not die with it: the next start finds it.
        folders = set(neighbour.folders())
        with run_service(tmp_path) as successor:
            assert len(successor.folders()) == 2
            assert len(folders & set(successor.folders())) == 1
            assert (tmp_path / "somebody-elses").is_dir()
            async with client_of(neighbour) as client:
                assert (await client.health())[0] == 200
        assert alive(neighbour.family())


async def test_next_start_kills_a_process_that_survived_its_service(tmp_path: Path) -> None:
    with run_service(tmp_path) as killed:
        folder = killed.folders()[0]
        killed.process.kill()
        killed.process.wait(5)
    survivor = await asyncio.create_subprocess_exec(
        "sleep", "60", env={**os.environ, "CAPTCHA_BYPASS_INSTANCE": str(folder)}
    )
    stranger = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        with run_service(tmp_path):
            async with asyncio.timeout(5):
                assert await survivor.wait() == -signal.SIGKILL
            assert not folder.exists()
            assert stranger.returncode is None
    finally:
        stranger.kill()
        await stranger.wait()


def _start(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "captcha_bypass", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_port_in_use_ends_with_exit_code_3_and_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        # A browser that is none would be complained of, had one been looked for.
        flags = ("--browser", "firefox", "--browser-path", "/bin/true")
        done = _start(*flags, "--port", str(port))
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1:{port}" in line


@pytest.mark.parametrize("host", ["a..b", "203.0.113.1"])
def test_bad_host_ends_with_exit_code_3_and_one_line(host: str) -> None:
    done = _start("--browser-path", "/bin/true", "--browser", "firefox", "--host", host)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert f"cannot listen on {host}:8191" in line


def test_browser_that_is_none_ends_with_exit_code_3_and_the_remedy() -> None:
    done = _start("--browser", "firefox", "--browser-path", "/bin/true", "--port", "0")
    assert done.returncode == 3
    assert "--browser-path" in done.stderr
    assert "Traceback" not in done.stderr


async def test_browser_that_goes_missing_is_unavailable_and_then_back_by_itself(
    tmp_path: Path, hard: TestServer
) -> None:
    link = tmp_path / "firefox"
    script = '#!/bin/sh\nexec /usr/bin/firefox-esr "$@"\n'
    link.write_text(script)
    link.chmod(0o755)
    url = str(hard.make_url("/plain"))
    with run_service(tmp_path / "tmp", "--browser-path", str(link)) as service:
        async with client_of(service) as client:
            await client.until_warm()
            link.unlink()
            for process in service.browsers():
                process.kill()
            view = await client.solve(url=url, success_text="plain", timeout=20)
            assert view["error"]["code"] == "browser_unavailable"
            status, health = await client.health()
            assert (status, health["status"]) == (503, "unavailable")
            assert "firefox" in health["reason"]
            link.write_text(script)
            link.chmod(0o755)
            await client.until_warm()
            assert (await client.health())[0] == 200
            assert await client.solved(url=url, success_text="plain", timeout=20)


async def test_health_names_the_browser_and_the_version(service: Service) -> None:
    async with client_of(service) as client:
        status, health = await client.health()
    assert status == 200
    assert health["browser"].startswith("firefox ")
    assert set(health) == {"status", "workers", "running", "queue", "browser", "version"} | {
        "browsers",
        "egress",
    }


async def test_virtual_display_shows_a_window_and_dies_with_the_service(
    tmp_path: Path, hard: TestServer
) -> None:
    with run_service(tmp_path, "--headless", "virtual") as service:
        async with client_of(service) as client:
            url = str(hard.make_url("/plain"))
            assert await client.solved(url=url, success_text="plain", timeout=30)
        family = service.family()
        assert any("Xvfb" in process.name() for process in family)
        service.process.kill()
        service.process.wait(5)
        assert await eventually(lambda: not alive(family), 5)


async def test_long_polls_of_many_clients_end_with_the_task(
    service: Service, hard: TestServer
) -> None:
    async with client_of(service) as client:
        url = str(hard.make_url("/plain"))
        task = await client.submit(url=url, success_text="plain", timeout=20)
        views = await asyncio.gather(*(client.result(task, wait=30) for _ in range(20)))
    assert {view["status"] for view in views} == {"completed"}


async def test_client_that_hangs_up_costs_nothing(service: Service, hard: TestServer) -> None:
    async with client_of(service) as client, aiohttp.ClientSession() as session:
        url = str(hard.make_url("/plain"))
        task = await client.submit(url=url, success_text="never", timeout=5)
        with pytest.raises(TimeoutError):
            await session.get(
                f"{client.url}/result/{task}?wait=30", timeout=aiohttp.ClientTimeout(total=0.5)
            )
        assert (await client.finished(task))["data"]["timeout_reached"] is True
