"""Scripts as people copy them from FlareSolverr's README: requests, urllib, curl."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest

from tests.captcha_bypass.api.flaresolverr.conftest import World
from tests.support.flaresolverr_service import Json

REQUESTS = """
import requests

url = "{service}/v1"
headers = {{"Content-Type": "application/json"}}
data = {{
    "cmd": "request.get",
    "url": "{page}",
    "maxTimeout": 60000
}}
response = requests.post(url, headers=headers, json=data)
print(response.text)
"""
URLLIB = """
import json
import urllib.request

data = json.dumps({{"cmd": "request.get", "url": "{page}", "maxTimeout": 60000}}).encode()
headers = {{"Content-Type": "application/json"}}
request = urllib.request.Request("{service}/v1", data, headers)
print(urllib.request.urlopen(request).read().decode())
"""
#: All the way: solve, and go on without a browser.
GO_ON = """
import requests

page = "{page}"
command = {{"cmd": "request.get", "url": page, "maxTimeout": 60000}}
solution = requests.post("{service}/v1", json=command).json()["solution"]
cookies = {{cookie["name"]: cookie["value"] for cookie in solution["cookies"]}}
response = requests.get(page, cookies=cookies, headers={{"User-Agent": solution["userAgent"]}})
print(response.status_code, "Page 1" in response.text)
"""
SESSION = """
import requests

def command(cmd, **fields):
    return requests.post("{service}/v1", json={{"cmd": cmd, **fields}}).json()

name = command("sessions.create")["session"]
try:
    for _ in range(2):
        print(command("request.get", url="{page}", session=name)["message"])
finally:
    print(command("sessions.destroy", session=name)["message"])
"""
CURL = (
    *("curl", "-sS", "-L", "-X", "POST", "{service}/v1", "-H", "Content-Type: application/json"),
    "--data-raw",
    '{{\n  "cmd": "request.get",\n  "url":"{page}",\n  "maxTimeout": 60000\n}}',
)


async def run(*command: str) -> str:
    env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=env
    )
    async with asyncio.timeout(90):
        out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return out.decode()


async def script(text: str, world: World, path: str = "/page/1") -> str:
    code = text.format(service=world.service, page=world.page(path))
    return await run(sys.executable, "-c", code)


@pytest.mark.parametrize("program", ["requests", "urllib", "curl"])
async def test_script_of_the_readme_prints_the_solution(world: World, program: str) -> None:
    if program == "curl":
        filled = (word.format(service=world.service, page=world.page("/page/1")) for word in CURL)
        text = await run(*filled)
    else:
        text = await script(REQUESTS if program == "requests" else URLLIB, world)
    answer: Json = json.loads(text)
    assert answer["status"] == "ok"
    assert answer["message"] == "Challenge solved!"
    solution = answer["solution"]
    assert solution["url"] == world.page("/page/1")
    assert solution["status"] == 200
    assert "<title>Page 1</title>" in solution["response"]
    assert solution["headers"]["content-type"].startswith("text/html")


async def test_script_goes_on_without_a_browser(world: World) -> None:
    assert await script(GO_ON, world) == "200 True\n"


async def test_script_with_a_session_solves_once(world: World) -> None:
    assert (await script(SESSION, world)).splitlines() == [
        "Challenge solved!",
        "Challenge not detected!",
        "The session has been removed.",
    ]
