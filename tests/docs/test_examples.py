"""The examples are short, and do what they say."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp.test_utils import TestServer

from captcha_bypass.config import Config
from demo.challenge_site import STATS
from tests.docs.stage import SUCCESS_TEXT
from tests.support.repository import ROOT
from tests.support.solve_client import Client

EXAMPLES = ROOT / "examples"
SHORT = sorted(path.name for path in EXAMPLES.iterdir() if path.is_file())
COMPOSE: dict[str, Any] = yaml.safe_load((EXAMPLES / "compose.yaml").read_text())["services"]


@pytest.mark.parametrize("name", SHORT)
def test_an_example_is_one_idea(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) <= 40


#: A shell script with the programs of this Python on the path.
RUN_SHELL = "import subprocess, sys; sys.exit(subprocess.call(['sh', *sys.argv[1:]]))"


async def run(*command: str, url: str, folder: Path = ROOT) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "CAPTCHA_BYPASS_URL": url, "FLARESOLVERR_URL": url}
    env["PYTHONPATH"] = str(ROOT)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=-1, stderr=-1, cwd=folder, env=env
    )
    async with asyncio.timeout(100):  # four of them at once, and a browser
        out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return out.decode()


def page(site: TestServer) -> str:
    return f"http://127.0.0.1:{site.port}/page/1"


@pytest.mark.browser
async def test_client_goes_on_without_a_browser(client: Client, site: TestServer) -> None:
    assert (
        await run("examples/client.py", page(site), SUCCESS_TEXT, url=client.url) == "200 through\n"
    )


@pytest.mark.browser
async def test_examples_of_clients_get_through(
    client: Client, site: TestServer, tmp_path: Path
) -> None:
    """All at once, each with a clearance of its own."""
    pages = [f"http://127.0.0.1:{site.port}/page/{number}" for number in range(3)]
    examples = {name: str(EXAMPLES / name) for name in SHORT}

    async def lines(*command: str) -> list[str]:
        return (await run(*command, url=client.url, folder=tmp_path)).splitlines()

    session, many, saved, shell = await asyncio.gather(
        lines(examples["requests_session.py"], *pages),
        lines(examples["httpx_many.py"], *pages),
        lines(examples["solve_and_save.py"], pages[0], SUCCESS_TEXT),
        lines("-c", RUN_SHELL, examples["command_line.sh"], pages[0]),
    )
    assert [line.split()[0] for line in session] == ["200"] * 3
    assert [line.split()[0] for line in many] == ["200"] * 3
    assert saved[0].startswith("200 cloudflare Mozilla/5.0")
    assert SUCCESS_TEXT in "".join(shell)
    written = {"cookies.txt", "state.json", "page.png", "again.sh"}
    assert written == {path.name for path in await asyncio.to_thread(_files, tmp_path)}
    assert site.app[STATS].passes.total() == 4


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.stat().st_size]


@pytest.mark.browser
async def test_client_of_flaresolverr_meets_the_challenge_once(
    client: Client, site: TestServer
) -> None:
    said = await run("examples/flaresolverr_client.py", page(site), url=client.url)
    assert said.splitlines() == ["200 Challenge solved!", "200 Challenge not detected!"]


@pytest.mark.browser
async def test_spider_reads_the_site_with_one_solve(
    client: Client, site: TestServer, tmp_path: Path
) -> None:
    file = tmp_path / "pages.json"
    few = ("-s", "CLOSESPIDER_PAGECOUNT=5", "-s", "AUTOTHROTTLE_ENABLED=False")
    command = ("-m", "scrapy", "runspider", "examples/spider.py", "-a", f"url={page(site)}")
    await run(*command, "-O", str(file), *few, url=client.url)
    titles = [row["title"] for row in json.loads(file.read_text())]
    assert titles[:4] == ["Page 1", "Page 2", "Page 3", "Page 4"]
    assert site.app[STATS].passes.total() == 1


def test_compose_file_is_what_the_compose_specification_says() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    subprocess.run([*command, EXAMPLES / "compose.yaml"], check=True, capture_output=True)


def test_compose_file_lets_the_crawler_find_the_service_and_its_key() -> None:
    extended = COMPOSE["captcha-bypass"]["extends"]
    base = yaml.safe_load((EXAMPLES / extended["file"]).read_text())["services"]
    assert extended["service"] in base
    (key,) = COMPOSE["captcha-bypass"]["environment"]
    crawler = COMPOSE["crawler"]
    port = Config.model_fields["port"].default
    assert crawler["environment"] == [f"CAPTCHA_BYPASS_URL=http://captcha-bypass:{port}", key]
    assert crawler["depends_on"] == {"captcha-bypass": {"condition": "service_healthy"}}
    (mounted,) = crawler["volumes"]
    assert (EXAMPLES / mounted.partition(":")[0]).is_file()
    assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()
