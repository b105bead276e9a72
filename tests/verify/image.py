"""Checks 1 to 4: the image and what is installed."""

from __future__ import annotations

import asyncio
import shutil
import sys

from tests.support.repository import ROOT
from tests.verify.kit import Bench, Skip, check

BUILD_SECONDS = 1800


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode(errors="replace")
    assert process.returncode == 0, f"{' '.join(command)}: {output[-300:]}"
    return output


async def _up(bench: Bench, *files: str) -> str:
    if not bench.images or shutil.which("docker") is None:
        raise Skip("needs Docker, and takes longer than the rest: --images")
    compose = ["docker", "compose", "-p", "captcha-bypass-verify"]
    compose += [word for name in files for word in ("-f", name)]
    try:
        await _run(*compose, "up", "--build", "--detach", "--wait")
        inside = (
            "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8191/health').read())"
        )
        told = await _run(*compose, "exec", "-T", "captcha-bypass", "python", "-c", inside)
        assert "camoufox" in told, told
        return told.strip()[:200]
    finally:
        await _run(*compose, "down")


@check(1, "the image builds, compose starts it, and it runs Camoufox")
async def compose(bench: Bench) -> str:
    return await _up(bench, "docker-compose.yml")


@check(2, "the hardened compose file starts it as well")
async def hardened(bench: Bench) -> str:
    return await _up(bench, "compose.hardened.yaml")


@check(3, "it starts again without a network")
async def offline(bench: Bench) -> str:
    if not bench.images or shutil.which("docker") is None:
        raise Skip("needs Docker: --images, after check 1")
    image = "captcha-bypass-verify-captcha-bypass"
    code = "import camoufox.utils as u; u.launch_options(headless=True); print('drawn')"
    return (await _run("docker", "run", "--rm", "--network", "none", image, "python", "-c", code))[
        -60:
    ]


@check(4, "browser, model and GeoIP database are the pinned ones")
async def pinned(bench: Bench) -> str:
    if bench.browser != "camoufox":
        raise Skip("Camoufox only")
    return (await _run(sys.executable, "docker/check_pinned.py")).strip()[-300:]
