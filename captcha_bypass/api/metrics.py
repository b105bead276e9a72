"""GET /metrics: the numbers for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import hdrs, web
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from captcha_bypass.metrics import Metrics, State
from captcha_bypass.tasks.base import TaskQueue


class MetricsApi:
    """The route, over what counts.

    Args:
        census: Returns the numbers of api.answers.Browsers, without asking a browser.
        tally: Returns the numbers of api.answers.Egress.
    """

    def __init__(
        self,
        metrics: Metrics,
        queue: TaskQueue,
        *,
        census: Callable[[], Mapping[str, Any]],
        tally: Callable[[], dict[str, Any]],
    ) -> None:
        self._metrics = metrics
        self._queue = queue
        self._census = census
        self._tally = tally

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [web.get("/metrics", self.metrics, allow_head=False)]

    async def metrics(self, request: web.Request) -> web.Response:
        """Return all numbers."""
        state = State(await self._queue.stats(), self._census(), self._tally())
        text = self._metrics.exposition(state)
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_PLAIN_0_0_4})
