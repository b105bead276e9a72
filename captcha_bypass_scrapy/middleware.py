"""The downloader middleware: what happens to each request and response."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self
from weakref import WeakKeyDictionary

from scrapy import Request, signals
from scrapy.exceptions import IgnoreRequest, NotConfigured
from scrapy.http import Response

from captcha_bypass_scrapy import bans, retries
from captcha_bypass_scrapy.clearance import Clearances, Worn
from captcha_bypass_scrapy.client import SolverClient
from captcha_bypass_scrapy.compat import asyncio_available, is_closing
from captcha_bypass_scrapy.desk import Desk, key_of, page_wanted
from captcha_bypass_scrapy.detection import Detector
from captcha_bypass_scrapy.errors import CrawlEnding, SolveError
from captcha_bypass_scrapy.page_cache import PageCache
from captcha_bypass_scrapy.pages import FLAG
from captcha_bypass_scrapy.parking import Parking
from captcha_bypass_scrapy.settings import Config, options_of, wanted
from captcha_bypass_scrapy.solving import Solver
from captcha_bypass_scrapy.telling import Teller

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.crawler import Crawler

    from captcha_bypass_scrapy.clearance import Clearance


class CaptchaBypassMiddleware:
    """Solves challenges through the captcha-bypass service; `DOWNLOADER_MIDDLEWARES` order 585.

    Settings are described at `captcha_bypass_scrapy.settings.Config`. A request chooses by
    `meta["captcha_bypass"]`: False leaves it alone, a mode or a dict of options changes how its
    challenge is solved.
    """

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        self.config = Config.from_settings(crawler.settings)
        if not asyncio_available():
            raise NotConfigured(
                "captcha_bypass_scrapy needs asyncio: remove the setting TWISTED_REACTOR, or set"
                " it to 'twisted.internet.asyncioreactor.AsyncioSelectorReactor'"
            )
        self._closing = partial(is_closing, crawler)
        self.tell = Teller(crawler)
        self.clearances = Clearances(self.config.cooldown_seconds)
        per_domain = crawler.settings.getint("CONCURRENT_REQUESTS_PER_DOMAIN")
        self.parking = Parking(crawler, self.config.max_parked, per_domain)
        self._detect = Detector(self.config.detector, crawler)
        self._pages = PageCache(crawler)
        self._client = SolverClient(
            self.config.url,
            self.config.api_key,
            long_poll=self.config.long_poll_seconds,
            slow=self.config.slow_solve_seconds,
            closing=self._closing,
        )
        solver = Solver(
            self._client, self.config, self.clearances, self.tell, self._detect, per_domain
        )
        self._desk = Desk(
            self.config, self.clearances, self.parking, solver, self.tell, self._closing
        )
        self._dressed: WeakKeyDictionary[Request, Worn] = WeakKeyDictionary()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build the middleware and connect its signals."""
        middleware = cls(crawler)
        for handler, signal in (
            (middleware.request_scheduled, signals.request_scheduled),
            (middleware.request_reached_downloader, signals.request_reached_downloader),
            (middleware.response_downloaded, signals.response_downloaded),
            (middleware.request_left_downloader, signals.request_left_downloader),
            (middleware.spider_closed, signals.spider_closed),
        ):
            crawler.signals.connect(handler, signal=signal)
        return middleware

    # Signals

    def request_scheduled(self, request: Request) -> None:
        """Take out what is to be parked, before it reaches the scheduler."""
        if retries.leaving(request):
            return
        self.parking.announced(request, lambda key: self._desk.parks(request, key))

    def request_reached_downloader(self, request: Request) -> None:
        """Attach the clearance.

        The last point before the wire: cookie jars, random user-agents and rotating proxies have
        had their say, so cookies, user-agent and exit belong together.
        """
        if not wanted(request):
            return
        clearance = self.clearances.current(key_of(request))
        if clearance is not None and not page_wanted(request, self.config):
            self._dressed[request] = clearance.dress(request)
            retries.carry(request, clearance.generation)

    def response_downloaded(self, response: Response, request: Request) -> None:
        """Follow a clearance rotated by a redirect: other responses pass `process_response`."""
        if 300 <= response.status < 400:
            self._follow(request, response, retries.carried(request))

    def request_left_downloader(self, request: Request) -> None:
        """Detach the clearance again: nobody behind us gets to see or keep it."""
        worn = self._dressed.pop(request, None)
        if worn is not None:
            worn.undress(request)

    async def spider_closed(self) -> None:
        """Let go of the service."""
        await self._client.close()

    # Hooks

    async def process_request(
        self, request: Request, spider: Spider | None = None
    ) -> Request | None:
        """Hold requests of a host that is being solved; they would only be challenged too."""
        if retries.leaving(request):  # it came back, so it is awaited and not scheduled
            raise IgnoreRequest("the spider is closing")
        if (verdict := retries.verdict(request)) is not None:
            raise self._desk.gave_up(request, *verdict)
        if not wanted(request):
            return None
        options_of(request, self.config)  # a typo in meta shall not wait for the first challenge
        retries.remember_body(request)
        return await self._desk.hold(request)

    async def process_response(
        self, request: Request, response: Response, spider: Spider | None = None
    ) -> Request | Response:
        """Let normal pages through; see a challenge off."""
        carried = retries.take_carried(request)
        response = bans.restored(response)
        if not wanted(request) or FLAG in response.flags:
            return response
        challenge = self._detect(response)
        if challenge is None or not challenge.solvable:
            if challenge is not None:
                self.tell.blocked(challenge, request)
            elif "cached" not in response.flags:
                await self._passed(request, response, carried)
            retries.forget(request)
            return response
        self.tell.challenged(challenge)
        if "cached" in response.flags:
            # It was stored some time ago and says nothing about a clearance.
            self.tell.count("challenge/cached")
            if self._pages.is_all_there_is():
                error = SolveError("it is in the cache, and HTTPCACHE_IGNORE_MISSING is set")
                raise self._desk.gave_up(request, challenge.vendor, error, response)
            return retries.uncached(request)
        try:
            seen_off = await self._desk.see_off(request, response, challenge, carried)
            if isinstance(seen_off, Response):
                self._pages.store(request, seen_off)
            return seen_off
        except CrawlEnding:
            self.tell.count("requeued_on_close")
            return retries.leave(request)
        except SolveError as error:
            raise self._desk.gave_up(request, challenge.vendor, error, response) from error

    def process_exception(
        self, request: Request, exception: Exception, spider: Spider | None = None
    ) -> None:
        """Forget what a request carried that got no response."""
        retries.take_carried(request)

    # Successes

    async def _passed(self, request: Request, response: Response, carried: tuple[int, ...]) -> None:
        clearance = self._follow(request, response, carried)
        if clearance is not None and response.status not in {403, 429} and response.status < 500:
            clearance.successes += 1
            if retries.probing(request):
                await self._desk.acquit(key_of(request))

    def _follow(
        self, request: Request, response: Response, carried: tuple[int, ...]
    ) -> Clearance | None:
        """Return the current clearance if the request carried it, with its values rotated."""
        clearance = self.clearances.current(key_of(request)) if carried else None
        if clearance is None or clearance.generation not in carried:
            return None
        set_cookies = response.headers.getlist(b"Set-Cookie")
        if set_cookies:
            clearance.follow(value.decode("latin-1") for value in set_cookies)
        return clearance
