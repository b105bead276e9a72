"""The service, but that a challenge for a person calls one at once; and a site that has such."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aiohttp import web

from captcha_bypass.cli import main
from captcha_bypass.solving import attending
from tests.support.service import Service, run_service

#: Seconds that a challenge stands here before a person is called.
STANDING = 0.2
PASSED = "Welcome, person"
#: As AWS WAF says that a captcha stands there.
CAPTCHA = {"x-amzn-waf-action": "captcha"}
_CHALLENGE = """<!DOCTYPE html><title>Are you human?</title><h1>Are you human?</h1>
<script>(async () => { await fetch("/until/" + location.pathname.split("/")[2]); location.reload() })()</script>
"""
_BUSY = """<!DOCTYPE html><title>Are you human?</title><h1>Are you human?</h1>
<script>fetch("/until/" + location.pathname.split("/")[2]); setTimeout(() => { for (;;); }, 3000)</script>
"""
#: Passed by a person's click, and by no script's.
_CLICK = """<!DOCTYPE html><title>Are you human?</title><body style="margin: 0">
<button style="position: fixed; left: 300px; top: 200px; width: 40px; height: 40px">I am</button>
<script>
  const name = location.pathname.split("/")[2];
  document.querySelector("button").onclick = async event => {
    if (!event.isTrusted) return;
    await fetch("/pass/" + name);
    location = "/page/" + name;
  };
</script>
"""


class PersonsSite:
    """Pages `/page/NAME` that only `pass_` opens; `/busy/NAME` keeps its browser busy besides.

    `/click/NAME` is opened by a person's click at 320, 220.

    Attributes:
        hooked: What its `/hook` was sent.
        gone: When each page was gone that had not been passed, in epoch seconds.
    """

    def __init__(self) -> None:
        self._passed: dict[str, asyncio.Event] = {}
        self.hooked: list[dict[str, Any]] = []
        self.gone: dict[str, float] = {}
        self.app = web.Application()
        self.app.add_routes(
            [
                web.get("/page/{name}", self._page),
                web.get("/busy/{name}", self._busy),
                web.get("/click/{name}", self._click),
                web.get("/pass/{name}", self._pass),
                web.get("/until/{name}", self._until),
                web.post("/hook", self._hook),
            ]
        )

    def pass_(self, name: str) -> None:
        """Let a person pass the challenge of a page."""
        self._event(name).set()

    def _event(self, name: str) -> asyncio.Event:
        return self._passed.setdefault(name, asyncio.Event())

    async def _page(self, request: web.Request) -> web.Response:
        if self._event(request.match_info["name"]).is_set():
            return web.Response(text=f"<h1>{PASSED}</h1>", content_type="text/html")
        return web.Response(text=_CHALLENGE, content_type="text/html", status=405, headers=CAPTCHA)

    async def _busy(self, request: web.Request) -> web.Response:
        return web.Response(text=_BUSY, content_type="text/html", status=405, headers=CAPTCHA)

    async def _click(self, request: web.Request) -> web.Response:
        return web.Response(text=_CLICK, content_type="text/html", status=405, headers=CAPTCHA)

    async def _pass(self, request: web.Request) -> web.Response:
        self.pass_(request.match_info["name"])
        return web.Response()

    async def _until(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            await self._event(name).wait()
        except asyncio.CancelledError:
            self.gone[name] = time.time()
            raise
        return web.Response()

    async def _hook(self, request: web.Request) -> web.Response:
        self.hooked.append(await request.json())
        return web.Response()


@contextmanager
def run_human_service(tmp: Path, *flags: str) -> Iterator[Service]:
    """Start it as `run_service` does."""
    with run_service(tmp, *flags, module=__name__) as running:
        yield running


if __name__ == "__main__":
    with patch.object(attending, "STANDING_SECONDS", STANDING):
        main(sys.argv[1:])
