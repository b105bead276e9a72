"""A solver with all it works with, real but for the service's browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import scrapy
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response

from captcha_bypass.challenges import Challenge
from captcha_bypass_scrapy.challenged import Challenged
from captcha_bypass_scrapy.clearance import Clearance, Clearances
from captcha_bypass_scrapy.client import SolverClient
from captcha_bypass_scrapy.compat import slot_of
from captcha_bypass_scrapy.detection import Detector
from captcha_bypass_scrapy.fetch_client import FetchClient
from captcha_bypass_scrapy.keys import target_of
from captcha_bypass_scrapy.options import options_of
from captcha_bypass_scrapy.reporting import Reporter
from captcha_bypass_scrapy.scope import Scope
from captcha_bypass_scrapy.service import Service
from captcha_bypass_scrapy.settings import Config
from captcha_bypass_scrapy.sharing import Sharing
from captcha_bypass_scrapy.solving import Solver
from tests.captcha_bypass_scrapy.engines import opened
from tests.captcha_bypass_scrapy.fake_service import FakeService

SITE = "http://site.example"
PAGE = f"{SITE}/page"
CHALLENGE = Challenge("cloudflare", "automatic")


class Bound(scrapy.Spider):
    """Is as `scrapy genspider` writes it."""

    name = "bound"
    allowed_domains = ["site.example"]  # noqa: RUF012 - Scrapy's own way


@dataclass
class Bench:
    """A solver and what it works with; all real but for the service's browser."""

    crawler: Crawler
    config: Config
    client: SolverClient
    detect: Detector
    ending: list[bool] = field(default_factory=list)
    clearances: Clearances = field(default_factory=Clearances)

    def __post_init__(self) -> None:
        reporter = Reporter(self.crawler)
        closing = lambda: bool(self.ending)
        fetcher = FetchClient(self.client.connection, long_poll=0.05, closing=closing)
        self.service = Service(self.client, fetcher, self.config, reporter, closing)
        self.solver = Solver(
            self.service,
            self.config,
            self.clearances,
            reporter,
            self.detect,
            partial(slot_of, self.crawler),
            Scope(self.crawler),
            Sharing(self.config.reuse, self.detect),
        )

    def challenged(self, request: Request, *urls: str) -> Challenged:
        options = options_of(request, self.config)
        target = target_of(request, options.url)
        target = replace(target, urls=(*urls, *target.urls))
        return Challenged(request, CHALLENGE, target, options, None)

    async def clear(self, request: Request, *urls: str) -> Clearance:
        """Solve for a request; returns what came of it."""
        challenged = self.challenged(request, *urls)
        await self.solver.get_clearance(challenged)
        found = self.clearances.current(challenged.key)
        assert found is not None
        return found

    async def page(self, request: Request) -> Response:
        """Have the browser open a request's page, with a clearance."""
        challenged = self.challenged(request)
        if (clearance := self.clearances.current(challenged.key)) is None:
            clearance = self.clearances.solved(challenged.key, [], "cloudflare", (), "Firefox")
        return await self.solver.get_page(challenged, clearance)

    def stat(self, name: str) -> object:
        return self.crawler.stats.get_value(f"captcha_bypass/{name}")


Benches = Callable[..., AbstractAsyncContextManager[Bench]]


@asynccontextmanager
async def opened_bench(
    fake: FakeService,
    *,
    detector: Callable[[Response], object] | None = None,
    spider: type[scrapy.Spider] = Bound,
    settings: dict[str, object] | None = None,
    **changes: Any,  # noqa: ANN401 - of the configuration
) -> AsyncIterator[Bench]:
    """Open a bench with settings and a detector of the test's."""
    config = Config(fake.url, long_poll_seconds=0.05, **changes)
    ending: list[bool] = []
    client = SolverClient(
        config.url,
        config.api_key,
        long_poll=config.long_poll_seconds,
        slow=config.slow_solve_seconds,
        patience=config.unavailable_seconds,
        closing=lambda: bool(ending),
    )
    async with opened(spider, **(settings or {})) as crawler:
        yield Bench(crawler, config, client, Detector(detector, None), ending)
        await client.close()
