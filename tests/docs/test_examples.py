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
from tests.support.service import Client

EXAMPLES = ROOT / "examples"
SHORT = sorted(path.name for path in EXAMPLES.iterdir() if path.is_file())
COMPOSE: dict[str, Any] = yaml.safe_load((EXAMPLES / "compose.yaml").read_text())["services"]


@pytest.mark.parametrize("name", SHORT)
def test_an_example_is_one_idea(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) <= 40


async def run(*command: str, url: str) -> str:
    env = {"PATH": os.environ["PATH"], "CAPTCHA_BYPASS_URL": url, "FLARESOLVERR_URL": url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=-1, stderr=-1, cwd=ROOT, env=env
    )
    async with asyncio.timeout(60):
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
