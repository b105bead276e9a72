"""What it costs that somebody looks: `python -m benchmarks.live_cost [--headless virtual]`.

A real service with stock Firefox. Its CPU, as a part of one core, with the browser and all else that it
has started: while nobody looks, with dashboards open, and while one watches a page that waits.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median

import aiohttp
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from benchmarks.contest import end_on_sigterm
from benchmarks.contestants import environment_in
from benchmarks.meter import Meter, ProcessTree
from benchmarks.report import table
from tests.support.service import run_service
from tests.support.solve_client import client_of

Count = Callable[[], int]

#: So that the page counts as one of AWS WAF's captchas.
CAPTCHA = {"x-amzn-waf-action": "captcha"}
PAGE = """<!doctype html><title>Are you human?</title><h1>Are you human?</h1><p id="clock"></p>{text}
<script>if ({moves}) setInterval(() => clock.textContent = Date.now(), 250)</script>"""
LINE = (
    "<p>A line of text such as pages have, to be drawn, and to be read by whoever looks at it.</p>"
)
#: Seconds of one look, and how many of each kind there are.
SECONDS, ROUNDS = 10.0, 3


def site() -> web.Application:
    """Return a site whose pages `/still` and `/moving` let nobody through."""

    async def page(request: web.Request) -> web.Response:
        moves = "true" if request.match_info["kind"] == "moving" else "false"
        text = PAGE.format(text=LINE * 30, moves=moves)
        return web.Response(text=text, content_type="text/html", status=405, headers=CAPTCHA)

    app = web.Application()
    app.router.add_get("/{kind}", page)
    return app


@asynccontextmanager
async def dashboards(url: str, many: int) -> AsyncIterator[Count]:
    """Have dashboards open; yields what counts the events that they were sent, all together."""
    events = 0

    async def listen(session: aiohttp.ClientSession) -> None:
        nonlocal events
        async with session.get(f"{url}/dashboard/api/events") as response:
            async for line in response.content:
                events += line.startswith(b"event")

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout()) as session:
        pages = [asyncio.create_task(listen(session)) for _ in range(many)]
        yield lambda: events
        for page in pages:
            page.cancel()
        await asyncio.wait(pages)


@asynccontextmanager
async def watching(url: str, task_id: str, pause: float) -> AsyncIterator[Count]:
    """Watch a page, with so many seconds until a picture is drawn; yields what counts them."""
    pictures = 0

    async def draw(ws: aiohttp.ClientWebSocketResponse) -> None:
        nonlocal pictures
        async for message in ws:
            if message.type is WSMsgType.BINARY:
                pictures += 1
                await asyncio.sleep(pause)
                await ws.send_json({"type": "ack"})

    path = f"{url}/dashboard/api/tasks/{task_id}/live"
    async with aiohttp.ClientSession() as session, session.ws_connect(path) as ws:
        drawing = asyncio.create_task(draw(ws))
        yield lambda: pictures
        drawing.cancel()
        await asyncio.wait({drawing})


async def measured(name: str, tree: ProcessTree, count: Count | None = None) -> list[str]:
    """Return a row of the table: how things are now, and how much is sent a second."""
    before, shares = count() if count else 0, []
    for _ in range(ROUNDS):
        with Meter(tree) as meter:
            await asyncio.sleep(SECONDS)
        shares.append((meter.cpu or 0.0) / SECONDS)
    sent = f"{(count() - before) / ROUNDS / SECONDS:.1f}" if count else ""
    return [name, f"{median(shares):.3f}", f"{min(shares):.3f} to {max(shares):.3f}", sent]


async def figures(headless: str) -> AsyncIterator[list[str]]:
    """Run the service, and yield the table's rows."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="live-cost-")))
        url = str((await stack.enter_async_context(TestServer(site()))).make_url("/"))
        flags = ("--workers", "1", "--headless", headless)
        service = stack.enter_context(run_service(folder, *flags, env=environment_in(folder)))
        client = await stack.enter_async_context(client_of(service))
        await client.until_warm()
        await asyncio.sleep(5)  # the browser has just started
        tree = ProcessTree(service.process.pid)
        yield await measured("nobody looks", tree)
        for many in (1, 10):
            async with dashboards(service.url, many) as count:
                yield await measured(f"dashboards: {many}", tree, count)
        for kind in ("still", "moving"):
            task_id = await client.submit(
                url=url + kind, no_challenge=True, timeout=30, on_challenge="wait"
            )
            await client.until_waiting_for_human(task_id)
            yield await measured(f"a page waits, {kind}", tree)
            for pause, rate in ((0.95, "1"), (0.0, "2")):
                async with watching(service.url, task_id, pause) as count:
                    yield await measured(f"and is watched, {rate} a second", tree, count)
            await client.delete(task_id)


async def _print(headless: str) -> None:
    rows = []
    async for row in figures(headless):
        print(*row, sep="\t", file=sys.stderr)
        rows.append(row)
    print(table(["", "of a core", "rounds", "sent a second"], rows))


if __name__ == "__main__":
    end_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headless", choices=("true", "virtual"), default="true")
    asyncio.run(_print(parser.parse_args().headless))
