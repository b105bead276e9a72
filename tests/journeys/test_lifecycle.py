"""Starts that cannot succeed, and clients that come in crowds or leave early."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from tests.support.service import Service
from tests.support.solve_client import client_of


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


@pytest.mark.browser
async def test_health_names_the_browser_and_the_version(service: Service) -> None:
    async with client_of(service) as client:
        status, health = await client.health()
    assert status == 200
    assert health["browser"].startswith("firefox ")
    assert set(health) == {"status", "workers", "running", "queue", "browser", "version"} | {
        "browsers",
        "egress",
        "fetches",
        "waiting_for_human",
    }


@pytest.mark.browser
async def test_long_polls_of_many_clients_end_with_the_task(
    service: Service, hard: TestServer
) -> None:
    async with client_of(service) as client:
        url = str(hard.make_url("/plain"))
        task = await client.submit(url=url, success_text="plain", timeout=20)
        views = await asyncio.gather(*(client.result(task, wait=30) for _ in range(20)))
    assert {view["status"] for view in views} == {"completed"}


@pytest.mark.browser
async def test_client_that_hangs_up_costs_nothing(service: Service, hard: TestServer) -> None:
    async with client_of(service) as client, aiohttp.ClientSession() as session:
        await client.until_warm()
        url = str(hard.make_url("/plain"))
        task = await client.submit(url=url, success_text="never", timeout=4)
        with pytest.raises(TimeoutError):
            await session.get(
                f"{client.url}/result/{task}?wait=30", timeout=aiohttp.ClientTimeout(total=0.5)
            )
        assert (await client.finished(task))["data"]["timeout_reached"] is True
