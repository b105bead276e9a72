"""Passwords, keys, cookies and logins never leave the way they came: every path, every output."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.hard_site import SEEN, create_hard_site
from tests.support.proxies import Proxy, running_proxies
from tests.support.service import Service, eventually, run_service
from tests.support.solve_client import Client, Json

pytestmark = pytest.mark.browser

KEY = "canary-key-12345"
SECRETS = {
    "API key": KEY,
    "proxy password": "canary-proxy-password",
    "cookie of the request": "canary-cookie",
    "Authorization of the request": "canary-authorization",
    "query of the URL": "canary-query",
    "cookie of the site": "canary-set-cookie",
}


@pytest.fixture
def guarded_service(tmp_path: Path) -> Iterator[Service]:
    flags = ("--workers", "1", "--log-level", "debug", "--log-format", "json")
    with run_service(tmp_path, *flags, env={"CAPTCHA_BYPASS_API_KEY": KEY}) as service:
        yield service


@pytest.fixture
async def keyed(guarded_service: Service) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        client = Client(session, guarded_service.url)
        await client.until_warm()
        yield client


@pytest.fixture
async def site() -> AsyncIterator[TestServer]:
    """The hard pages; each answer sets a cookie."""
    app = create_hard_site()

    async def set_cookie(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Set-Cookie"] = f"site={SECRETS['cookie of the site']}"

    app.on_response_prepare.append(set_cookie)
    server = TestServer(app)
    async with server:
        yield server


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with running_proxies(1) as (proxy,):
        proxy.password = SECRETS["proxy password"]
        yield proxy


def task(site: TestServer, proxy: Proxy, path: str, **more: object) -> dict[str, Any]:
    """A request that has a secret in each of its places."""
    return {
        "url": str(site.make_url(path)) + "?token=" + SECRETS["query of the URL"],
        "success_text": "plain page",
        "timeout": 20,
        "cookies": [{"name": "c", "value": SECRETS["cookie of the request"]}],
        "headers": {"Authorization": f"Bearer {SECRETS['Authorization of the request']}"},
        "proxy": {
            "server": f"http://127.0.0.1:{proxy.port}",
            "username": proxy.username,
            "password": SECRETS["proxy password"],
        },
        **more,
    }


async def crash(
    service: Service, client: Client, site: TestServer, request: dict[str, Any]
) -> Json:
    """Kill every page's process once the task has its own, again and again until it has noticed."""
    seen = site.app[SEEN]
    before = len(seen)
    finished = asyncio.create_task(client.solve(**request))
    assert await eventually(lambda: len(seen) > before, 20)
    while not (await asyncio.wait({finished}, timeout=0.5))[0]:
        for process in service.content_processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
    return await finished


async def test_secrets_are_in_no_log_no_error_and_no_health_whatever_the_outcome(
    guarded_service: Service, keyed: Client, site: TestServer, proxy: Proxy
) -> None:
    done = await keyed.solve(**task(site, proxy, "/plain"))
    assert done["data"]["timeout_reached"] is False
    assert {cookie["name"] for cookie in done["data"]["cookies"]} == {"c", "site"}
    late = await keyed.solve(**task(site, proxy, "/plain", success_text="never", timeout=3))
    assert late["data"]["timeout_reached"] is True

    errors = [await keyed.solve(**task(site, proxy, "/loop"))]
    proxy.username = "somebody else"
    refused = task(site, proxy, "/plain")
    refused["proxy"]["username"] = "user0"
    errors.append(await keyed.solve(**refused))
    proxy.username = "user0"
    hanging = task(site, proxy, "/plain", success_text="never")
    errors.append(await crash(guarded_service, keyed, site, hanging))
    assert [view["error"]["code"] for view in errors] == [
        "redirect_loop",
        "proxy_error",
        "browser_crashed",
    ]

    cancelled = await keyed.submit(**hanging)
    await keyed.until_running(cancelled)
    assert (await keyed.delete(cancelled))[0] == 200
    bad = await refusals(guarded_service, task(site, proxy, "/plain"))

    assert await eventually(lambda: "task stopped" in guarded_service.log, 10)
    outputs = {
        "log": guarded_service.log,
        "errors": json.dumps(errors),
        "refusals": json.dumps(bad),
        "health": json.dumps(await keyed.health()),
        "processes": "\n".join(words_of(guarded_service)),
    }
    assert "task ended" in outputs["log"]
    found = [
        (name, place)
        for place, text in outputs.items()
        for name, secret in SECRETS.items()
        if secret in text
    ]
    assert found == []


async def refusals(service: Service, request: dict[str, Any]) -> list[str]:
    """What a client hears who sends something wrong, with secrets in it."""
    wrong = [
        {**request, "cookies": [{"name": "c", "value": SECRETS["cookie of the request"] + ";"}]},
        {**request, "headers": {"Authorization": SECRETS["Authorization of the request"] + "\0"}},
        {**request, "proxy": {**request["proxy"], "more": SECRETS["proxy password"]}},
        {**request, "url": request["url"] + " x"},
    ]
    answers = []
    async with aiohttp.ClientSession() as session:
        for key in (KEY, KEY + "x"):
            headers = {"X-API-Key": key}
            for body in wrong:
                url = f"{service.url}/solve"
                async with session.post(url, json=body, headers=headers) as response:
                    assert response.status == (400 if key == KEY else 401)
                    answers.append(await response.text())
    return answers


def words_of(service: Service) -> Iterator[str]:
    """What other users of the machine, or a page that broke out, can read of the processes."""
    for process in service.process_tree():
        with contextlib.suppress(psutil.Error):
            yield " ".join([*process.cmdline(), *process.environ().values()])
