"""What is published holds what it needs, asks for no more, and works where nothing else is."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from importlib.metadata import version
from pathlib import Path

import pytest

from captcha_bypass import __version__
from tests.captcha_bypass_scrapy.fake_service import FakeService
from tests.captcha_bypass_scrapy.fake_site import FakeSite
from tests.docs.pages import blocks_of
from tests.support.empty_environment import Environment, make
from tests.support.repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def build(kind: str, folder: Path, **env: str) -> Path:
    """Build a `wheel` or an `sdist`, and return it."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, env=os.environ | env, check=True, capture_output=True)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(built)


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
    (camoufox,) = (item for item in EXTRAS["server"] if item.startswith("camoufox"))
    assert camoufox == f"camoufox[geoip]=={version('camoufox')}"


def test_base_is_light_and_all_is_all() -> None:
    (needed,) = PROJECT["dependencies"]
    assert needed.startswith("aiohttp>=")
    others = sorted(set(EXTRAS) - {"all"})
    assert others == ["redis", "scrapy", "server"]
    (everything,) = EXTRAS["all"]
    assert sorted(re.findall(r"\w+", everything.partition("[")[2])) == others


def test_supported_pythons_are_those_that_are_checked() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    matrix = re.search(r"python: (\[.*\])", (ROOT / ".github/workflows/checks.yml").read_text())
    assert matrix is not None
    assert named == json.loads(matrix[1])
    assert PROJECT["requires-python"] == f">={named[0]}"


# Where nothing else is installed


@pytest.fixture(scope="module")
def base(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = make(tmp_path_factory.mktemp("base"))
    environment.install(built)
    return environment


async def run(*command: str, folder: Path) -> tuple[int | None, str, str]:
    """Run a program in a folder and an environment that lead to no checkout; return its end."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        stdout=-1,
        stderr=-1,
    )
    async with asyncio.timeout(100):
        out, error = await process.communicate()
    return process.returncode, out.decode(), error.decode()


CLIENT = """
import sys, pkgutil
import captcha_bypass.challenges, captcha_bypass.client
from captcha_bypass.client import Client

for package in (captcha_bypass.challenges, captcha_bypass.client):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name.rpartition(".")[2] not in ("requests", "rereading", "httpx", "httpx2"):
            __import__(module.name)
with Client(sys.argv[1]) as client:
    print(client.solve(sys.argv[2], no_challenge=True).status_code)
"""


async def test_base_has_the_clients_and_they_work(
    base: Environment, fake: FakeService, guarded: FakeSite, tmp_path: Path
) -> None:
    assert {"aiohttp", "captcha-bypass"} <= base.packages
    assert not base.packages & {"pydantic", "camoufox", "playwright", "scrapy", "pip", "psutil"}
    ended = await run(base.python, "-c", CLIENT, fake.url, f"{guarded.url}/page/1", folder=tmp_path)
    assert ended == (0, "200\n", "")


@pytest.mark.parametrize("arguments", [(), ("--port", "0")])
async def test_base_has_no_service_and_the_command_says_what_to_install(
    base: Environment, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    code, out, error = await run(base.command, *arguments, folder=tmp_path)
    assert (code, out) == (3, "")
    (line,) = error.splitlines()
    assert line.startswith("captcha-bypass: error: the service is not installed")
    assert line.endswith("pip install '.[server]'")


async def test_base_has_the_commands_of_clients(
    base: Environment, fake: FakeService, guarded: FakeSite, tmp_path: Path
) -> None:
    code, out, error = await run(base.command, "--help", folder=tmp_path)
    assert (code, error) == (0, "")
    assert "captcha-bypass solve URL" in out
    assert "the service is not installed" in out
    command = ("solve", f"{guarded.url}/page/1", "--url", fake.url)
    code, out, error = await run(base.command, *command, folder=tmp_path)
    assert (code, error) == (0, "")
    assert out.startswith(f"through  {guarded.url}/page/1 (HTTP 200")


async def test_base_tells_its_version(base: Environment, tmp_path: Path) -> None:
    ended = await run(base.command, "--version", folder=tmp_path)
    assert ended == (0, f"captcha-bypass {__version__}\n", "")


async def test_extra_for_scrapy_crawls_with_the_spider_of_the_readme(
    built: Path, fake: FakeService, guarded: FakeSite, tmp_path: Path
) -> None:
    environment = make(tmp_path / "environment")
    environment.install(built, ["scrapy"])
    assert not environment.packages & {"pydantic", "camoufox", "playwright", "pip", "psutil"}
    (spider,) = (block for block in blocks_of("README.md") if block.file == "spider.py")
    text = spider.text.replace("http://localhost:8191", fake.url)
    (tmp_path / "spider.py").write_text(
        text.replace("https://example.com", f"{guarded.url}/page/1").replace("title::", "body::")
    )
    command = ("-m", "scrapy", "runspider", "spider.py", "-O", "titles.json")
    code, _, error = await run(environment.python, *command, folder=tmp_path)
    assert code == 0, error
    print(error)
    assert len(fake.tasks) == 1
    (row,) = json.loads((tmp_path / "titles.json").read_text())
    assert row["url"] == f"{guarded.url}/page/1"


# What PyPI shows


def described(path: Path) -> Message:
    with zipfile.ZipFile(path) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        return message_from_bytes(wheel.read(name))


def test_a_release_links_to_the_repository_that_built_it(tmp_path: Path) -> None:
    repository = "https://git.example/owner/name"
    metadata = described(build("wheel", tmp_path, REPOSITORY_URL=repository + "/"))
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL", []))
    assert set(urls) == {"Repository", "Documentation", "Changelog", "Issues"}
    assert all(url.startswith(repository) for url in urls.values())
    text = str(metadata.get_payload())
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert len(links) > 20
    assert all(link.startswith("https://") for link in links)
    assert f"git clone {repository} captcha-bypass" in text
    assert "REPOSITORY" not in text
    files = f"{repository}/blob/v{__version__}/"
    shown = [link.removeprefix(files) for link in [*links, *urls.values()] if files in link]
    assert len(shown) > 15
    for link in shown:
        assert (ROOT / link.partition("#")[0]).is_file(), link


def test_what_is_built_elsewhere_names_no_repository(built: Path) -> None:
    metadata = described(built)
    assert metadata.get_all("Project-URL") is None
    shown = metadata.get_payload(decode=True)
    assert isinstance(shown, bytes)
    assert shown.decode().strip() == (ROOT / "README.md").read_text().strip()


# The source


def test_source_holds_all_that_the_repository_does(tmp_path: Path) -> None:
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no checkout: there is no list of its files")
    here = {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    with tarfile.open(build("sdist", tmp_path)) as files:
        shipped = {name.partition("/")[2] for name in files.getnames()}
        modes = {name.partition("/")[2]: files.getmember(name).mode for name in files.getnames()}
    assert shipped == here | {"PKG-INFO"}
    assert modes[".ci/run"] & 0o100
