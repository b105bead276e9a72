"""From the first moment the service tells the truth: what it is doing, and when it can work."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import AsyncMock, MagicMock, Mock

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from captcha_bypass.browsers.launch.launcher import Launcher
from captcha_bypass.browsers.startup import Startup
from captcha_bypass.errors import StartupError, TaskError
from tests.support.fire import cmdline
from tests.support.service import NO_NETWORK, PATH, Service, alive, eventually, run_service
from tests.support.solve_client import client_of

#: A Camoufox that is not installed, and whose fetcher does what FETCHER says.
FAKE_PACKAGE = {
    "__init__.py": "",
    "__main__.py": "import os; exec(os.environ['FETCHER'])",
    "exceptions.py": (
        "class CamoufoxNotInstalled(Exception): pass\nclass UnsupportedVersion(Exception): pass\n"
    ),
    "pkgman.py": (
        "from rich.console import Console\nfrom camoufox.exceptions import CamoufoxNotInstalled\n"
        "console = Console()\n"
        "def camoufox_path(download_if_missing):\n"
        "    console.print('Cleaning old data...')\n"
        "    raise CamoufoxNotInstalled\n"
    ),
}
HANGS = "import time; print('Syncing repositories...', flush=True); time.sleep(600)"
FAILS = """
print("Syncing repositories...")
print("┏━━━━━━━┓\\n┃ table ┃\\n┗━━━━━━━┛")
print("Downloading package: https://github.test/camoufox.zip")
print("x" * 3_000_000)
print("Error: no way through http://user:CANARY@proxy.test:80")
print("Error: and another one")
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH with the fake package."""
    folder = tmp_path / "packages"
    (folder / "camoufox").mkdir(parents=True)
    for name, text in FAKE_PACKAGE.items():
        (folder / "camoufox" / name).write_text(text)
    return folder


def fetching(tmp: Path, packages: Path, fetcher: str) -> dict[str, str]:
    home = {"HOME": str(tmp), "TMPDIR": str(tmp), "PATH": PATH}
    return {"PYTHONPATH": str(packages), "FETCHER": fetcher, **home}


def command(*flags: str) -> list[str]:
    return [sys.executable, "-m", "captcha_bypass", "--port", "0", "--browser", "camoufox", *flags]


async def get(service: Service, path: str) -> tuple[int, dict[str, object]]:
    async with aiohttp.ClientSession() as http, http.get(service.url + path) as response:
        return response.status, await response.json()


async def test_while_camoufox_is_fetched_the_service_answers_and_stops_at_once(
    tmp_path: Path, packages: Path
) -> None:
    env = fetching(tmp_path, packages, HANGS)
    with run_service(
        tmp_path, "--browser", "camoufox", "--max-sessions", "1", env=env, ready=False
    ) as service:
        async with client_of(service) as client:
            assert await get(service, "/health") == (503, {"status": "starting"})
            assert await get(service, "/live") == (200, {"status": "live"})
            view = await client.solve(url="http://127.0.0.1:8080/", no_challenge=True, timeout=1)
            assert view["status"] == "error"
            assert view["error"]["code"] == "browser_unavailable"
            assert "Camoufox is being fetched" in view["error"]["message"]
            command_v1 = {"cmd": "request.get", "url": "http://127.0.0.1:8080/", "maxTimeout": 1000}
            async with (
                aiohttp.ClientSession() as http,
                http.post(f"{service.url}/v1", json=command_v1) as response,
            ):
                assert response.status == 500
                assert "Camoufox is being fetched" in (await response.json())["message"]
            waits = await client.submit(url="http://127.0.0.1:8080/", no_challenge=True, timeout=60)
            ended = asyncio.create_task(client.result(waits, wait=30))
            await client.until_running(waits)
            children = service.process_tree()
            assert any("camoufox" in cmdline(child) for child in children)
            await asyncio.sleep(0.3)  # until it waits for the result,
            await get(service, "/health")  # as it does by now: it is answered after that
            began = time.monotonic()
            service.signal(signal.SIGTERM)
            assert await asyncio.to_thread(service.process.wait, 20) == 0
            assert time.monotonic() - began < 15, "far less than its shutdown timeout"
            assert (await ended)["error"]["code"] == "shutting_down"
        # Orphans are zombies until whoever is process 1 here asks after them.
        assert await eventually(lambda: not alive(children), 5)
        assert "Traceback" not in service.log


def test_fetch_that_fails_is_told_in_lines_of_ours(tmp_path: Path, packages: Path) -> None:
    done = subprocess.run(
        command("--log-format", "json"),
        env=fetching(tmp_path, packages, FAILS),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert len(done.stdout.splitlines()) == 1
    *lines, error = done.stderr.splitlines()
    messages = [json.loads(line)["message"] for line in lines]
    assert messages[1:] == [
        "fetching Camoufox: looking up the release",
        "fetching Camoufox: downloading the browser",
    ]
    assert "no way through proxy.test:80" in error
    assert f"{sys.executable} -m camoufox fetch" in error
    assert "CANARY" not in done.stderr


def test_fetch_has_one_line_a_step_on_a_terminal(tmp_path: Path, packages: Path) -> None:
    ours, theirs = pty.openpty()
    env = fetching(tmp_path, packages, FAILS)
    with subprocess.Popen(command(), env=env, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while chunk := read(ours):
            shown += chunk
        assert process.wait(60) == 3
    os.close(ours)
    lines = [line for line in shown.decode().split("\r\n") if "Fetching Camoufox" in line]
    assert [line.rpartition("\x1b[K")[2].partition(",")[0] for line in lines] == [
        "Fetching Camoufox: looking up the release",
        "Fetching Camoufox: downloading the browser",
    ]
    assert "┏" not in shown.decode()


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # nobody has its other end any more
        return b""


@pytest.mark.parametrize("hangs", ["--version", "launch"])
async def test_program_that_hangs_does_not_hold_up_the_end(tmp_path: Path, hangs: str) -> None:
    mark = tmp_path / "began"
    program = tmp_path / "firefox"
    program.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = --version ] && [ {hangs} = launch ]\n'
        "then echo Mozilla Firefox 153.0; exit; fi\n"
        f"touch {mark}; sleep 600; echo too late\n"
    )
    program.chmod(0o700)
    with run_service(tmp_path, "--browser-path", str(program), ready=False) as service:
        assert await eventually(mark.exists, 30)
        assert await get(service, "/health") == (503, {"status": "starting"})
        children = service.process_tree()
        began = time.monotonic()
        service.signal(signal.SIGTERM)
        assert await asyncio.to_thread(service.process.wait, 60) == 0
        assert time.monotonic() - began < 15, "far less than it would have waited"
    assert await eventually(lambda: not alive(children), 5)


async def test_driver_that_does_not_start_ends_the_start_with_the_reason() -> None:
    pool = MagicMock()
    pool.__aenter__.side_effect = TimeoutError
    startup = Startup(AsyncMock(return_value=Mock(version="1")), Mock(return_value=pool))
    async with startup:
        with pytest.raises(StartupError, match="driver did not start in time"):
            await startup.begin()


async def test_place_that_cannot_be_written_to_is_named_with_the_remedy() -> None:
    """Camoufox writes to its user's home before it starts the browser."""
    driver, egress, workspace = Mock(playwright=AsyncMock()), Mock(), Mock()
    refusal = OSError(errno.EROFS, "Read-only file system", "/home/x/.cache/camoufox")
    engine = Mock(launch=AsyncMock(side_effect=refusal), version="1")
    engine.name = "camoufox"
    workspace.environment = lambda label: {}
    launcher = Launcher(engine, driver, workspace, egress, headless=True, display=None)
    with pytest.raises(TaskError) as caught:
        await launcher.launch("a")
    assert caught.value.code == "browser_unavailable"
    assert "/home/x/.cache/camoufox cannot be written to" in str(caught.value)
    assert "HOME" in str(caught.value)


@pytest.mark.browser
async def test_first_browser_is_waited_for_and_announced_once_and_is_firefox_where_camoufox_is_not(
    tmp_path: Path, hard: TestServer
) -> None:
    seen: list[str] = []
    flags = ("--browser", "auto", "--workers", "2", "--log-format", "json")
    with run_service(tmp_path, *flags, env=NO_NETWORK, ready=False) as service:
        async with client_of(service) as client:
            url = str(hard.make_url("/plain"))
            hasty = await client.submit(url=url, success_text="plain", timeout=2)
            patient = await client.submit(url=url, success_text="plain", timeout=60)
            while not seen or seen[-1] != "ok":
                status, health = await client.health()
                seen.append(health["status"])
                assert status == (200 if health["status"] == "ok" else 503)
                assert (await get(service, "/live"))[0] == 200
                await asyncio.sleep(0.05)
            assert set(seen) == {"starting", "ok"}
            assert health["egress"]["failures"] == {}, "its self-check is no task's"
            assert health["browser"].startswith("firefox")
            assert "Camoufox" in health["warning"]
            view = await client.finished(hasty)
            # It may have had a page for the last moment of its time.
            came = view["data"] and (
                view["data"]["timeout_reached"] or "plain" in view["data"]["html"]
            )
            assert view["status"] == "error" or came, view
            if view["status"] == "error":
                assert view["error"]["code"] == "browser_unavailable"
            data = (await client.finished(patient))["data"]
            assert (data["status_code"], data["cookies"]) == (200, [])
        lines = [json.loads(line) for line in service.log.splitlines()]
    (ready,) = [line["message"] for line in lines if line["message"].startswith("browser ready")]
    assert f"browser ready, {health['browser']}, " in ready
    warnings = [line["message"] for line in lines if line["level"] == "warning"]
    assert any("python -m camoufox fetch" in text for text in warnings)
