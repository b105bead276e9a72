"""Which browser is found, and the Camoufox path as far as it goes without Camoufox's binary."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import camoufox.async_api
import camoufox.fingerprints
import camoufox.utils
import pytest
from aiohttp.test_utils import TestServer

from captcha_bypass.browsers.engines import Camoufox, find_firefox
from captcha_bypass.browsers.pool import BrowserPool
from captcha_bypass.egress.guard import Egress
from captcha_bypass.egress.rules import Rules
from captcha_bypass.errors import StartupError
from captcha_bypass.models import Task
from captcha_bypass.solver import solve
from captcha_bypass.worker import permit_of
from tests.service import PATH, client_of, run_service

#: Nothing listens there: the fetcher fails at once on every machine, and no packet leaves it.
NO_NETWORK = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}


@pytest.mark.browser
async def test_auto_without_camoufox_runs_on_firefox_and_says_so_loudly(
    tmp_path: Path, hard: TestServer
) -> None:
    with run_service(tmp_path, "--browser", "auto", env=NO_NETWORK) as service:
        assert "WARNING" in service.log
        assert "python -m camoufox fetch" in service.log
        async with client_of(service) as client:
            status, health = await client.health()
            assert status == 200
            assert health["browser"].startswith("firefox")
            assert "Camoufox" in health["warning"]
            url = str(hard.make_url("/plain"))
            assert (await client.solved(url=url, success_text="plain", timeout=20))["cookies"] == []


def start(tmp_path: Path, *flags: str, path: str = PATH) -> subprocess.CompletedProcess[str]:
    env = {"PATH": path, "TMPDIR": str(tmp_path), "HOME": str(tmp_path), **NO_NETWORK}
    command = [sys.executable, "-m", "captcha_bypass", "--port", "0", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)


def test_camoufox_that_cannot_be_fetched_ends_with_exit_code_3_and_the_remedy(
    tmp_path: Path,
) -> None:
    done = start(tmp_path, "--browser", "camoufox")
    assert done.returncode == 3
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("captcha-bypass: error: Camoufox is not installed")
    assert "python -m camoufox fetch" in last
    assert "--browser firefox" in last


def test_auto_with_no_browser_at_all_names_both_remedies(tmp_path: Path) -> None:
    done = start(tmp_path, "--browser", "auto", path=str(tmp_path))
    assert done.returncode == 3
    assert "Camoufox could not be fetched" in done.stderr
    assert "apt-get install firefox-esr" in done.stderr


def test_firefox_that_is_not_installed_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartupError, match="apt-get install firefox-esr"):
        find_firefox(None)


def test_program_that_is_no_firefox_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="does not say that it is Firefox"):
        find_firefox(Path("/bin/true"))


@pytest.mark.browser
async def test_camoufox_path_opens_a_page_with_a_fingerprint_of_its_own(
    hard: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Camoufox's own launch and context code, on Firefox's binary and a preset it ships."""
    asked: dict[str, Any] = {}

    def launch_options(**options: object) -> dict[str, object]:
        asked.update(options)
        kept = ("headless", "env", "firefox_user_prefs", "handle_sigint")
        real = str(find_firefox(None).executable)
        return {name: options[name] for name in kept} | {
            "executable_path": real,
            "channel": "moz-firefox",
        }

    presets = json.loads((files("camoufox") / "fingerprint-presets-v150.json").read_text())
    chosen = presets["presets"]["linux"][0]
    generate = camoufox.fingerprints.generate_context_fingerprint

    def fingerprint(*, preset: object, **options: Any) -> dict[str, object]:  # noqa: ANN401
        return generate(preset=chosen, **options)

    monkeypatch.setattr(camoufox.utils, "launch_options", launch_options)
    monkeypatch.setattr(camoufox.async_api, "generate_context_fingerprint", fingerprint)
    request = Task(url=str(hard.make_url("/plain")), success_text="plain", timeout=30)
    egress = Egress(Rules(trust_named=True))
    async with BrowserPool(Camoufox(version="0"), egress) as pool:
        deadline = asyncio.get_running_loop().time() + 30
        async with pool.page(deadline=deadline, permit=permit_of(request)) as tab:
            solution = await solve(
                tab.page, request, deadline, 10_000, tab.guard.failure, tab.guard.gate
            )
            width = await tab.page.evaluate("screen.width")
    assert egress.tally.connections == 1
    assert solution.status_code == 200
    assert asked["headless"] is True
    assert asked["firefox_user_prefs"]["network.proxy.failover_direct"] is False
    assert width == chosen["screen"]["width"]


def test_camoufox_takes_the_options_that_we_give_it() -> None:
    """A renamed option would otherwise be seen only where the binary is."""
    names = inspect.signature(camoufox.utils.launch_options).parameters
    assert {"headless", "firefox_user_prefs", "env", "exclude_addons"} <= set(names)
