"""What the checks have in common: their table, the service they ask, and a site of theirs."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from html import unescape
from typing import Any, Self

import psutil
from aiohttp import web

from tests.support.service import Service
from tests.support.solve_client import Client, Json

#: Seconds that one check may take; all together should take five minutes.
CHECK_SECONDS = 90.0


class Skip(Exception):
    """A check cannot be made here; the message says why."""


@dataclass
class Bench:
    """What checks have at hand.

    Args:
        browser: `camoufox` or `firefox`.
        quick: Fewer repetitions, for the tests of the program itself.
        online: Whether checks may go to the internet.
        images: Whether checks may build and run images.
    """

    browser: str
    quick: bool
    online: bool
    images: bool
    service: Service
    client: Client
    site: Site

    async def solve(self, path: str, **more: object) -> Json:
        """Solve a page of the site for a task that must have data."""
        wanted = {"url": self.site.url(path), "success_text": "ready", "timeout": 30, **more}
        view = await self.client.solve(**wanted)
        assert view["status"] == "completed", f"{path}: {view['error']}"
        assert not view["data"]["timeout_reached"], f"{path}: timeout"
        data: Json = view["data"]
        return data

    async def code(self, url: str, **more: object) -> str:
        """Return the error code that a URL ends in."""
        view = await self.client.solve(**{"url": url, "no_challenge": True, "timeout": 10, **more})
        return str((view["error"] or {}).get("code", f"completed {url}"))

    async def facts(self, script: str, **more: object) -> Any:  # noqa: ANN401 - whatever it says
        """Return what a function body in a page of the site returns, by way of the page's text."""
        name = self.site.add_script(script)
        data = await self.solve(name, **more)
        found = re.search(r"<pre id=\"facts\">(.*?)</pre>", data["html"], re.DOTALL)
        assert found, "the page did not say"
        return json.loads(unescape(found[1]))


class Site:
    """A site on loopback that counts what it is asked; used as `async with Site() as site`."""

    def __init__(self) -> None:
        self._pages: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {}
        self.seen: list[web.Request] = []
        self._runner = web.AppRunner(self._app(), access_log=None)
        self.port = 0

    def _app(self) -> web.Application:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.seen.append(request)
            page = self._pages.get(request.path)
            return web.Response(status=404) if page is None else await page(request)

        app = web.Application(client_max_size=20_000_000)
        app.router.add_route("*", "/{path:.*}", answer)
        return app

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def asked(self, path: str) -> int:
        """How often a path has been asked for."""
        return sum(request.path == path for request in self.seen)

    def add(self, path: str, answer: Callable[[web.Request], web.StreamResponse] | str) -> str:
        async def page(request: web.Request) -> web.StreamResponse:
            if isinstance(answer, str):
                return web.Response(text=answer, content_type="text/html")
            return answer(request)

        self._pages[path] = page
        return path

    def add_script(self, body: str) -> str:
        """Add a page that shows as JSON what an async function of that body returns."""
        path = f"/script-{len(self._pages)}"
        return self.add(path, _SCRIPTED.replace("BODY", body))


_SCRIPTED = """<!doctype html><title>x</title><pre id="facts"></pre><p id="end"></p><script>
(async () => { BODY })().catch((error) => ({error: String(error)})).then((facts) => {
  document.getElementById("facts").textContent = JSON.stringify(facts);
  document.getElementById("end").textContent = "ready";
})</script>"""


@dataclass
class Row:
    """One check and how it ended."""

    number: int
    title: str
    result: str = "SKIP"
    reason: str = ""
    seconds: float = 0.0


Check = Callable[[Bench], Awaitable[str]]
CHECKS: list[tuple[int, str, Check]] = []


def check(number: int, title: str) -> Callable[[Check], Check]:
    """Register a check: it returns what it saw, raises Skip, or fails by any other exception."""

    def register(function: Check) -> Check:
        CHECKS.append((number, title, function))
        return function

    return register


@dataclass
class Report:
    """All rows, for people and for a bug report."""

    browser: str
    versions: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    #: The end of the service's log.
    log: list[str] = field(default_factory=list)

    def table(self) -> str:
        return "\n".join(
            f"{row.number:>2}  {row.result:<4}  {row.seconds:>5.1f} s  {row.title}: {row.reason}"
            for row in self.rows
        )

    def document(self) -> str:
        return json.dumps(asdict(self), indent=1)


def commands(bench: Bench) -> list[tuple[psutil.Process, list[str]]]:
    """Return the service's processes with their commands, but for those of pages."""
    found = []
    for process in bench.service.process_tree():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue  # gone meanwhile
        if "-contentproc" not in words:
            found.append((process, words))
    return found


async def run(number: int, title: str, function: Check, bench: Bench) -> Row:
    """Make one check."""
    row, started = Row(number, title), time.monotonic()
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            row.reason = await function(bench)
        row.result = "PASS"
    except Skip as reason:
        row.reason = str(reason)
    except TimeoutError:
        row.result, row.reason = "FAIL", f"not within {CHECK_SECONDS:.0f} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, the other checks go on
        row.result, row.reason = "FAIL", f"{type(error).__name__}: {error}"[:300]
    row.seconds = round(time.monotonic() - started, 1)
    return row
