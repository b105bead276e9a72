"""What troubleshooting says of results is what the service says of such pages."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.docs.pages import section
from tests.docs.stage import SUCCESS_TEXT
from tests.support.solve_client import Client

pytestmark = pytest.mark.browser
#: Path of a page, the text that is waited for, and enough seconds for what it gives, for each row of
#: the table that is about `data`.
CASES = [
    ("/never/1", SUCCESS_TEXT, 1.5),
    ("/page/1", "No such text", 3.0),  # after a challenge
    ("/open/1", "No such text", 1.5),
    ("/banned", "Error 1020", 1.5),
    ("/silent", "No such text", 1.5),
    ("/never/2", "Just a moment", 1.5),
]
#: Seconds on a machine that is busy.
LONG = 20.0


@pytest.fixture
async def pages(site: TestServer) -> AsyncIterator[str]:
    """The challenge site, and beside it what it has not: a vendor's refusal and silence."""
    app = web.Application()

    async def banned(_: web.Request) -> web.Response:
        title = "Access denied | site.test used Cloudflare to restrict access"
        html = f"<title>{title}</title><h1>Error 1020</h1>"
        headers = {"Server": "cloudflare"}
        return web.Response(text=html, status=403, headers=headers, content_type="text/html")

    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    app.add_routes([web.get("/banned", banned), web.get("/silent", silent)])
    async with TestServer(app) as other:
        yield f"{other.port} {site.port}"


def claims() -> list[dict[str, Any]]:
    """Return what the first cells of the table say of fields, one dict a row."""
    text = section("docs/troubleshooting.md", "Read what the result says")
    cells = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    found: list[dict[str, Any]] = []
    for cell in cells:
        claimed = {k: json.loads(v) for k, v in re.findall(r"`(\w+): ([^`]+)`", cell)}
        if "all `null`" in cell:
            claimed |= dict.fromkeys(re.findall(r"`(\w+)`", cell.replace("`null`", "")))
        if "empty `html`" in cell:
            claimed["html"] = ""
        found.append(claimed)
    return [claimed for claimed in found if "status" not in claimed]


async def test_each_row_is_what_such_a_page_gives(client: Client, pages: str) -> None:
    other, site = pages.split()

    async def solve(path: str, text: str, timeout: float) -> dict[str, Any]:
        port = other if path in ("/banned", "/silent") else site
        url = f"http://127.0.0.1:{port}{path}"
        view = await client.solve(url=url, success_text=text, timeout=timeout)
        return dict(view["data"] or view["error"])

    async def fields(
        path: str, text: str, seconds: float, claimed: dict[str, Any]
    ) -> dict[str, Any]:
        for timeout in (seconds, LONG):
            data = await solve(path, text, timeout)
            found = {name: data.get(name, "?") for name in claimed}
            if found == claimed:
                break
        return found

    rows = claims()
    assert all(rows)
    pairs = zip(CASES, rows, strict=True)
    assert await asyncio.gather(*(fields(*case, claimed) for case, claimed in pairs)) == rows
