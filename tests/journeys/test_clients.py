"""All clients past a challenge with the real Firefox: adapters, the client, the command line."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import sys
from functools import partial
from http import HTTPStatus

import pytest
from aiohttp.test_utils import TestServer

from captcha_bypass.client import AsyncClient
from demo import fingerprint_site
from demo.challenge_pages import SUCCESS_TEXT
from demo.challenge_site import STATS, SiteOptions
from tests.support.http_libraries import using
from tests.support.solve_client import Client

pytestmark = pytest.mark.browser


async def program(*command: str) -> str:
    run = partial(subprocess.run, capture_output=True, text=True, check=True, timeout=60)
    done = await asyncio.to_thread(run, command)
    return str(done.stdout)


async def test_each_client_gets_through_and_goes_on(client: Client, site: TestServer) -> None:
    """Two adapters at the site that takes the cookies; session and command line beside them."""
    url = f"http://127.0.0.1:{site.port}"

    async def by_adapter(kind: str) -> set[int]:
        async with using(kind, client.url) as library:
            pages = (f"{url}/page/{number}" for number in range(20))
            return {answer.status_code for answer in await asyncio.gather(*map(library.get, pages))}

    async def by_client() -> tuple[int | None, int]:
        async with AsyncClient(client.url) as service, service.session() as session:
            solved = await session.solve(f"{url}/page/1", success_text=SUCCESS_TEXT)
            fetched = await session.fetch(f"{url}/json/1")
            assert fetched.json() == {"page": 1, "message": SUCCESS_TEXT}
            return solved.status_code, fetched.status_code

    async def by_command() -> str:
        solve = (sys.executable, "-m", "captcha_bypass", "solve", f"{url}/page/1", "--curl")
        curl = await program(*solve, "--url", client.url, "--text", SUCCESS_TEXT)
        return await program(*shlex.split(curl), "--noproxy", "*")

    async with asyncio.TaskGroup() as group:
        adapters = [group.create_task(by_adapter(kind)) for kind in ("requests", "httpx async")]
        called, told = group.create_task(by_client()), group.create_task(by_command())
    assert [task.result() for task in adapters] == [{HTTPStatus.OK}] * 2
    assert called.result() == (200, 200)
    assert SUCCESS_TEXT in told.result()
    assert site.app[STATS].passes.total() == 4  # one for each


async def test_a_site_that_takes_the_cookies_from_nobody_else_is_read_by_the_browser(
    client: Client,
) -> None:
    options = SiteOptions(work=0.05)
    async with fingerprint_site.serving(options) as (url, app), using("requests", client.url) as it:
        answers = [await it.get(f"{url}/page/{number}") for number in range(3)]
        posted = await it("POST", f"{url}/post/1", data={"a": "1"})
    assert [answer.status_code for answer in answers] == [200] * 3
    assert '[["a", "1"]]' in posted.text
    assert app[STATS].rejected.total() == 1
    assert app[STATS].passes.total() == 1  # the browser's requests begin with its clearance
