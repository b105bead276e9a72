"""A site that knows its visitors again, and what tests of sessions ask of a service about them."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.solve_client import Client, Json

#: More than the process of any other page of a test has in memory.
HEAVY_BYTES = 300_000_000


class Visits:
    """A site that counts visits in a cookie, and how many requests it answers at once.

    `/slow/NAME` takes half a second, and shows NAME. `/heavy` holds HEAVY_BYTES, so that its process
    can be told from all others.
    """

    def __init__(self) -> None:
        self.now = self.most = 0
        self.order: list[str] = []
        app = web.Application()
        app.add_routes(
            [
                web.get("/", self._count),
                web.get("/back", self._back),
                web.get("/slow/{name}", self._slow),
                web.get("/heavy", self._heavy),
            ]
        )
        self.server = TestServer(app)

    async def _count(self, request: web.Request) -> web.Response:
        visit = int(request.cookies.get("visit", "0")) + 1
        response = web.Response(text=f"<!doctype html><p>visit {visit}.</p>")
        response.content_type = "text/html"
        response.set_cookie("visit", str(visit))
        return response

    async def _back(self, request: web.Request) -> web.Response:
        """A page that goes back as far as it can."""
        script = "for (let n = 2; n <= history.length; n++) setTimeout(() => history.go(-n), 9 * n)"
        text = f"<!doctype html><p>goes back</p><script>{script}</script>"
        return web.Response(text=text, content_type="text/html")

    async def _slow(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.order.append(name)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.5)
        self.now -= 1
        return web.Response(text=f"<!doctype html><p>page of {name}.</p>", content_type="text/html")

    async def _heavy(self, request: web.Request) -> web.Response:
        script = f"window.kept = new Uint8Array({HEAVY_BYTES}).fill(1)"
        text = f"<!doctype html><p>heavy</p><script>{script}</script>"
        return web.Response(text=text, content_type="text/html")


async def names(client: Client) -> list[str]:
    async with aiohttp.request("GET", f"{client.url}/sessions") as response:
        found: list[str] = (await response.json())["sessions"]
        return found


async def until_none(client: Client) -> None:
    """Wait until no session is left."""
    for _ in range(150):
        if not await names(client):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("a session is left")


async def create(client: Client, name: str) -> None:
    """Begin a session, which has no page before its first task."""
    command = {"cmd": "sessions.create", "session": name}
    async with aiohttp.request("POST", f"{client.url}/v1", json=command) as response:
        assert response.status == 200


async def destroy(client: Client, name: str) -> tuple[int, Json]:
    url = f"{client.url}/sessions/{quote(name, safe='')}"
    async with aiohttp.request("DELETE", url) as response:
        return response.status, await response.json()


async def visit(client: Client, visits: Visits, session: str | None, **more: object) -> Json:
    """Open the site; return how that ended."""
    url = str(visits.server.make_url("/"))
    return await client.solve(
        url=url,
        success_text="visit",
        timeout=20,
        **({"session": session} if session else {}),
        **more,
    )


def number(view: Json) -> int:
    assert view["status"] == "completed", view
    return int(view["data"]["html"].split("visit ")[1].split(".")[0])
