"""What the console script says, and how it ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from captcha_bypass import __version__
from captcha_bypass.config import Config
from tests.support.program import NAMES, run
from tests.support.settings import without_settings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    without_settings(monkeypatch)


def test_help_names_every_setting_and_ends_with_0() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert done.stderr == ""
    for name in NAMES:
        assert f"--{name.replace('_', '-')} " in done.stdout


def test_help_describes_every_setting() -> None:
    assert [name for name, field in Config.model_fields.items() if not field.description] == []


def test_version_is_printed_even_if_a_variable_is_bad() -> None:
    done = run("--version", PORT="abc")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"captcha-bypass {__version__}\n", "")


@pytest.mark.parametrize("module", ["captcha_bypass", "captcha_bypass.challenges"])
def test_import_is_light(module: str) -> None:
    heavy = ["playwright", "camoufox", "aiohttp", "pydantic", "psutil"]
    program = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_a_refused_value_does_not_wait_for_the_browser_libraries() -> None:
    program = (
        "import sys\n"
        "from captcha_bypass.cli import main\n"
        "try: main(['--port', 'x'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('playwright', 'camoufox', 'aiohttp') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
