"""The middleware of a crawl that stands still, and what a test asks of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import HtmlResponse, Response

from captcha_bypass.challenges import Challenge
from captcha_bypass_scrapy import (
    CaptchaBypassMiddleware,
    ChallengeNotSolved,
    request_state,
    resending,
)
from captcha_bypass_scrapy.clearance import Clearance
from captcha_bypass_scrapy.keys import SiteKey
from captcha_bypass_scrapy.responses import FLAG
from captcha_bypass_scrapy.solve import Solve
from tests.captcha_bypass_scrapy.engines import opened
from tests.captcha_bypass_scrapy.fake_service import FakeService

SITE = "http://site.example"
PAGE = f"{SITE}/page"
KEY = SiteKey(SITE, None)
CHALLENGE = Challenge("cloudflare", "automatic")


class Lab:
    """The handler of a crawl that stands still, and what a test asks of it."""

    def __init__(self, crawler: Crawler, middleware: CaptchaBypassMiddleware) -> None:
        self.crawler = crawler
        self.middleware = middleware
        self.handler = middleware._handler
        self.holder = middleware._holder
        self.runner = middleware._runner
        self.solves = middleware.solves
        self.clearances = middleware.clearances

    async def challenged(
        self,
        request: Request,
        *carried: int,
        body: bytes = b"Just a moment...",
        fetched: bool = False,
    ) -> Request | Response:
        """Have a request challenged; returns what takes its place."""
        flags = [FLAG] if fetched else []
        response = HtmlResponse(request.url, status=403, body=body, request=request, flags=flags)
        return await self.handler.handle(request, response, CHALLENGE, carried)

    async def parked(self, request: Request, *carried: int) -> Request:
        """The copy that waits, as the scheduler hands it out again."""
        copy = await self.challenged(request, *carried)
        assert isinstance(copy, Request)
        assert request_state.awaited_solve(copy) is not None
        return self.scheduled(copy)

    def scheduled(self, copy: Request) -> Request:
        self.middleware.parking.scheduled(copy)
        resending.restore(copy)
        return copy

    async def goes_out(self, request: Request, *, first: bool = False) -> Request:
        """Have a request wait as often as it must; returns it when it may leave."""
        async with asyncio.timeout(20):
            while (copy := await self.holder.hold(request, first=first)) is not None:
                request, first = self.scheduled(copy), False
        return request

    async def lost(self, request: Request) -> ChallengeNotSolved:
        """Have a request wait in vain; returns what its errback gets."""
        with pytest.raises(ChallengeNotSolved) as raised:
            await self.goes_out(request)
        return raised.value

    async def refused(
        self, request: Request, *carried: int, fetched: bool = False
    ) -> ChallengeNotSolved:
        """Have a request challenged in vain; returns what its errback gets."""
        with pytest.raises(ChallengeNotSolved) as raised:
            await self.challenged(request, *carried, fetched=fetched)
        return raised.value

    def solve_of(self, request: Request) -> Solve:
        number = request_state.awaited_solve(request)
        assert number is not None
        found = self.solves.find(number)
        assert found is not None
        return found

    def cleared(self, *, successes: int = 0, key: SiteKey = KEY) -> Clearance:
        """Store a clearance that has been good for so many pages."""
        found = self.clearances.solved(key, [], "cloudflare", (), "Firefox")
        found.successes = successes
        return found

    def stat(self, name: str) -> object:
        return self.crawler.stats.get_value(f"captcha_bypass/{name}", 0)


Labs = Callable[..., AbstractAsyncContextManager[Lab]]


@asynccontextmanager
async def opened_lab(
    fake: FakeService,
    **settings: Any,  # noqa: ANN401 - Scrapy's
) -> AsyncIterator[Lab]:
    """Open a crawl with settings of the test's."""
    given = {f"CAPTCHA_BYPASS_{name}": value for name, value in settings.items()}
    addon = {"captcha_bypass_scrapy.Addon": 500}
    async with opened(ADDONS=addon, CAPTCHA_BYPASS_URL=fake.url, **given) as crawler:
        found = crawler.get_downloader_middleware(CaptchaBypassMiddleware)
        assert found is not None
        yield Lab(crawler, found)
