"""The service's own API and queue, with a handler that stands for browsers that pass a `FakeSite`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from captcha_bypass.api.application import application
from captcha_bypass.browsers.sessions import Sessions
from captcha_bypass.config import Config
from captcha_bypass.metrics import Metrics
from captcha_bypass.nodes.sessions import NodeSessions
from captcha_bypass.sharing.clearances import Clearances
from captcha_bypass.sharing.queue import SharedQueue
from captcha_bypass.status import Egress, StatusBoard
from captcha_bypass.tasks.memory import MemoryQueue
from tests.captcha_bypass_scrapy.fake_service import Json, page_of
from tests.captcha_bypass_scrapy.fake_site import FakeSite, serving
from tests.support.fetching import NoFetches
from tests.support.status import ToldBrowsers


class Granting:
    """What became of it.

    Attributes:
        url: Where the service is.
        solved: Payloads of the tasks that a browser would have had, in order.
        events: What became of clearances (sharing.clearances.Event).
        seconds: What a solve takes.
        fails: How many of the next solves do not get through.
        go: What solves wait for; set, but where a test clears it.
    """

    def __init__(self, site: FakeSite) -> None:
        self._site = site
        self.url = ""
        self.solved: list[Json] = []
        self.events: list[str] = []
        self.seconds = 0.5
        self.fails = 0
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, task_id: str, payload: Json) -> Json:
        """Pass the challenge."""
        self.solved.append(payload)
        await asyncio.sleep(self.seconds)
        await self.go.wait()
        if self.fails:
            self.fails -= 1
            return {"error": {"code": "dns_error", "message": "no"}}
        cookie = {
            "name": self._site.cookie,
            "value": self._site.grant(),
            "domain": urlsplit(payload["url"]).hostname,
            "path": "/",
            "expires": -1,
            "httpOnly": True,
            "secure": False,
            "sameSite": "Lax",
        }
        return {"data": page_of(payload, cookies=[cookie], solved="cloudflare")}


@asynccontextmanager
async def granting_service(site: FakeSite, **settings: Any) -> AsyncIterator[Granting]:  # noqa: ANN401
    """Serve it; a site's pages that only a browser is given cannot be had by it."""
    config, granting = Config(workers=4, **settings), Granting(site)
    clearances = Clearances(config.clearance_ttl, granting.events.append)
    memory = MemoryQueue(max_pending=1000, result_ttl=600, max_results_bytes=2**26)
    queue = SharedQueue(memory, clearances, most_joined=1000, report=granting.events.append)
    board = StatusBoard(queue, ToldBrowsers(), Egress())
    sessions = NodeSessions(Sessions(most=1, ttl=1.0))
    app = application(config, queue, sessions, board, Metrics(), NoFetches(), clearances=clearances)
    await queue.start(granting, 4)
    try:
        async with serving(app, "127.0.0.1") as granting.url:
            yield granting
    finally:
        await queue.stop(0)
