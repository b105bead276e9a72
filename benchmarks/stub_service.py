"""The service without browsers: its API over its queue, and a stub that hands back a page.

    python -m benchmarks.stub_service --delay SECONDS --slots N

Prints its address. `POST /fill?count=N` queues tasks without HTTP around each, to get to many.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from uuid import uuid4

from aiohttp import web

from captcha_bypass.api.application import application
from captcha_bypass.browsers.sessions import Sessions
from captcha_bypass.config import Config
from captcha_bypass.errors import TaskError
from captcha_bypass.history import History
from captcha_bypass.metrics import Metrics
from captcha_bypass.nodes.sessions import NodeSessions
from captcha_bypass.sharing.clearances import Clearances
from captcha_bypass.sharing.queue import SharedQueue
from captcha_bypass.status import Browsers, Egress, Readiness, StatusBoard
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.tasks.memory import MemoryQueue
from captcha_bypass.wire.fetch import Fetched, FetchRequest
from captcha_bypass.wire.task import Task

#: About 20 kB, as long as an ordinary page.
_PAGE = "<p>The quick brown fox jumps over the lazy dog, then does so once more.</p>\n" * 260
_COOKIE = {"domain": "example.com", "path": "/", "expires": -1.0, "httpOnly": True}


class Stub:
    """A handler that ends each task after `delay` seconds, with an answer that shares nothing."""

    def __init__(self, delay: float) -> None:
        self._delay = delay

    async def __call__(self, task_id: str, payload: JsonDict) -> JsonDict:
        """Return a completed task."""
        await asyncio.sleep(self._delay)
        cookie = {"name": "clearance", "value": task_id, "secure": True, "sameSite": "Lax"}
        data = {
            "cookies": [{**cookie, **_COOKIE}],
            "headers": {"content-type": "text/html", "server": f"stub of {task_id}"},
            "status_code": 200,
            "html": f"<!DOCTYPE html><!-- {task_id} -->{_PAGE}",
            "url": payload["url"],
            "timeout_reached": False,
            "user_agent": f"Mozilla/5.0 (stub of {task_id})",
            "request_headers": {"user-agent": f"Mozilla/5.0 (stub of {task_id})"},
            "challenge": None,
            "screenshot": None,
            "elapsed": self._delay,
        }
        return {"data": data}


class _Browsers:
    """One that runs."""

    def readiness(self) -> Readiness:
        """See BrowserSource."""
        return Readiness(browser="stub 0")

    def browsers(self) -> Browsers:
        """See BrowserSource."""
        return Browsers(tasks=[1], starting=0, restarts={})


class _NoFetches:
    async def fetch(self, request: FetchRequest, owner: str) -> Fetched:
        """See Fetching; what is measured here never asks for it."""
        raise TaskError("browser_unavailable", "The stub has no browser to send a request.")


async def _serve(delay: float, slots: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = Config(max_queue=1_000_000)
    history = History()
    memory = MemoryQueue(
        max_pending=config.max_queue,
        result_ttl=config.result_ttl,
        max_results_bytes=config.max_results_bytes,
        observer=history,
    )
    clearances = Clearances(config.clearance_ttl)
    queue = SharedQueue(memory, clearances, most_joined=config.max_queue)
    await queue.start(Stub(delay), slots)

    async def fill(request: web.Request) -> web.Response:
        for number in range(int(request.query["count"])):
            task = Task(url=f"https://example.com/{number}", success_text="Welcome", timeout=60)
            await queue.submit(str(uuid4()), task.to_payload(), task.timeout)
        return web.Response()

    board = StatusBoard(queue, _Browsers(), Egress())
    sessions = NodeSessions(Sessions(most=1, ttl=1.0))
    app = application(config, queue, sessions, board, Metrics(), _NoFetches(), history)
    app.router.add_post("/fill", fill)
    # As app.serve sets it up.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        print(f"http://{host}:{port}", flush=True)
        await stop.wait()
    finally:
        await queue.stop(0)
        await runner.cleanup()


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, required=True, help="seconds a task takes")
    parser.add_argument("--slots", type=int, default=4, help="tasks at once (%(default)s)")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.delay, arguments.slots))


if __name__ == "__main__":
    main()
