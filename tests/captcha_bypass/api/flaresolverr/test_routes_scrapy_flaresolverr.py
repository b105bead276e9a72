"""The package scrapy-flaresolverr from PyPI, in a real crawl."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.captcha_bypass.api.flaresolverr.conftest import World
from tests.captcha_bypass.api.flaresolverr.crawl import run
from tests.captcha_bypass.api.flaresolverr.scripted import Make
from tests.support.forked import Forked

Json = dict[str, Any]


async def crawl(service: str, *requests: Json, **settings: object) -> tuple[list[Json], Json]:
    """Crawl to the end; return what came of each request, and the stats."""
    plan = {
        "requests": requests,
        "settings": {
            "DOWNLOADER_MIDDLEWARES": {
                "scrapy_flaresolverr.middleware.FlareSolverrMiddleware": 100,
            },
            "FLARESOLVERR_URLS": [service],
            "RETRY_ENABLED": False,
            "TELNETCONSOLE_ENABLED": False,
            "LOG_LEVEL": "WARNING",
            **settings,
        },
    }
    env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    with TemporaryDirectory() as folder:
        printed, log = Path(folder, "rows"), Path(folder, "log")
        process = Forked(run, plan, printed, env=env, log=log)
        async with asyncio.timeout(90):
            await process.wait()
        assert process.returncode == 0, said(log)
        *rows, stats = map(json.loads, said(printed))
    return rows, stats


def said(file: Path) -> list[str]:
    return file.read_text().splitlines()


async def test_challenged_pages_are_crawled_with_every_option(world: World) -> None:
    options: list[object] = [
        True,
        {"disable_media": True, "wait_in_seconds": 0.2},
        {"return_screenshot": True, "max_timeout": 20_000},
        {"wait_in_seconds": 0},
    ]
    requests = [
        {"url": world.page(f"/page/{n}"), "meta": {"flaresolverr": option}}
        for n, option in enumerate(options)
    ]
    rows, stats = await crawl(world.service, *requests)
    assert len(rows) == 4, rows
    for row in sorted(rows, key=lambda row: str(row["url"])):
        assert row["status"] == 200
        assert row["title"] == "Page " + row["url"][-1]
        assert row["kind"] == "text/html; charset=utf-8"
        assert row["flags"] == ["flaresolverr"]
        assert row["backend"] == f"{world.service}/v1"
        solved = row["solved"]
        assert "cf_clearance" in [cookie["name"] for cookie in solved["cookies"]]
        assert "Firefox/" in solved["user_agent"]
        assert 0 < solved["start_timestamp"] <= solved["end_timestamp"]
        assert (solved["screenshot"] is not None) is row["url"].endswith("2")
    assert stats["flaresolverr/request_count"] == stats["flaresolverr/response_count"] == 4
    assert "flaresolverr/request_error" not in stats


async def test_status_is_the_page_s_own(world: World) -> None:
    request = {"url": world.page("/nowhere"), "meta": {"flaresolverr": True}}
    rows, _ = await crawl(world.service, request, HTTPERROR_ALLOW_ALL=True)
    assert [row["status"] for row in rows] == [404]


async def test_failure_ends_in_the_errback(world: World) -> None:
    meta = {"flaresolverr": {"max_timeout": 1000}}
    rows, stats = await crawl(world.service, {"url": world.page("/never/1"), "meta": meta})
    assert [row["error"] for row in rows] == ["FlareSolverrRequestError"]
    assert "500 Server Error" in rows[0]["message"]
    assert stats["flaresolverr/request_error"] == 1


async def test_token_is_an_api_key(make: Make) -> None:
    scripted = await make(api_key=("token-of-scrapy",))
    request = {"url": "http://site.test/", "meta": {"flaresolverr": {"max_timeout": 1000}}}
    running = asyncio.create_task(
        crawl(scripted.v1.url, request, FLARESOLVERR_AUTH_TOKEN="token-of-scrapy")
    )
    task = await scripted.next_task()
    assert task.timeout == 1
    await running
    rows, _ = await crawl(scripted.v1.url, request, FLARESOLVERR_AUTH_TOKEN="token-of-nobody")
    assert [row["error"] for row in rows] == ["FlareSolverrRequestError"]


async def test_service_may_stand_behind_a_path(make: Make) -> None:
    scripted = await make()
    app = web.Application()

    async def forward(request: web.Request) -> web.Response:
        response = await scripted.v1.client.post("/v1", json=await request.json())
        return web.Response(body=await response.read(), status=response.status)

    app.router.add_post("/solver/v1", forward)
    server = TestServer(app)
    async with server:
        base = f"http://127.0.0.1:{server.port}/solver/"
        request = {"url": "http://site.test/", "meta": {"flaresolverr": True}}
        running = asyncio.create_task(crawl(base, request, HTTPERROR_ALLOW_ALL=True))
        await scripted.next_task()
        rows, _ = await running
    assert [row["status"] for row in rows] == [404]
