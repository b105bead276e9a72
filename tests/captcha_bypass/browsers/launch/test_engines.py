"""Which browser is found, and the Camoufox path as far as it goes without Camoufox's binary."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import camoufox.async_api
import camoufox.fingerprints
import camoufox.utils
import pytest

from captcha_bypass.browsers.launch.installed import find_firefox
from captcha_bypass.errors import StartupError
from tests.support.service import NO_NETWORK, PATH


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


def test_camoufox_takes_the_options_that_we_give_it() -> None:
    """A renamed option would otherwise be seen only where the binary is."""
    names = inspect.signature(camoufox.utils.launch_options).parameters
    assert {"headless", "firefox_user_prefs", "env", "exclude_addons"} <= set(names)
