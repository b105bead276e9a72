"""GET /metrics: the numbers for Prometheus."""

from __future__ import annotations

from aiohttp import hdrs, web
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from captcha_bypass.metrics import Metrics
from captcha_bypass.status import StatusBoard


class MetricsApi:
    """The route, over what counts."""

    def __init__(self, metrics: Metrics, board: StatusBoard) -> None:
        self._metrics = metrics
        self._board = board

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [web.get("/metrics", self.metrics, allow_head=False)]

    async def metrics(self, request: web.Request) -> web.Response:
        """Return all numbers."""
        text = self._metrics.exposition(await self._board.now())
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_PLAIN_0_0_4})
