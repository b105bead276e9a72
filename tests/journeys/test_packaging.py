"""What is published holds what it needs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version

import pytest

from captcha_bypass import __version__
from tests.support.repository import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.mark.parametrize("package", ["captcha_bypass", "captcha_bypass_scrapy"])
def test_wheel_holds_all_files_of_a_package(wheel: zipfile.ZipFile, package: str) -> None:
    here = {
        str(path.relative_to(ROOT))
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert f"{package}/py.typed" in here
    assert here <= set(wheel.namelist())


def test_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {
        "captcha_bypass",
        "captcha_bypass_scrapy",
        f"captcha_bypass-{__version__}.dist-info",
    }


def test_wheel_brings_the_console_script(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "captcha-bypass = captcha_bypass.cli:main" in wheel.read(name).decode()


def test_version_is_the_installed_one() -> None:
    assert version("captcha-bypass") == __version__


def test_camoufox_is_held_to_the_release_it_was_checked_with() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (camoufox,) = (item for item in project["dependencies"] if item.startswith("camoufox"))
    assert camoufox == f"camoufox[geoip]=={version('camoufox')}"
