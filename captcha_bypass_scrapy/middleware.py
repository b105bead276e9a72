"""The downloader middleware: the hooks and signals that requests and responses pass."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self

from scrapy import Request, signals
from scrapy.exceptions import DontCloseSpider, IgnoreRequest, NotConfigured
from scrapy.http import Response

from captcha_bypass_scrapy import outcome, request_state, resending
from captcha_bypass_scrapy.attachment import Attachments
from captcha_bypass_scrapy.budget import Budget
from captcha_bypass_scrapy.clearance import Clearances
from captcha_bypass_scrapy.client import SolverClient
from captcha_bypass_scrapy.compat import asyncio_available, close_spider, is_closing, slot_of
from captcha_bypass_scrapy.detection import Detector
from captcha_bypass_scrapy.errors import NotFetched
from captcha_bypass_scrapy.failed_fetches import FailedFetches
from captcha_bypass_scrapy.fetch_client import FetchClient
from captcha_bypass_scrapy.fetches import Fetches
from captcha_bypass_scrapy.handler import ChallengeHandler
from captcha_bypass_scrapy.holding import RequestHolder
from captcha_bypass_scrapy.keys import key_of
from captcha_bypass_scrapy.options import options_of, wanted
from captcha_bypass_scrapy.page_cache import PageCache
from captcha_bypass_scrapy.parking import Parking
from captcha_bypass_scrapy.redirects import Redirects
from captcha_bypass_scrapy.reporting import Reporter
from captcha_bypass_scrapy.responses import FLAG
from captcha_bypass_scrapy.runner import SolveRunner
from captcha_bypass_scrapy.scope import Scope
from captcha_bypass_scrapy.service import Service
from captcha_bypass_scrapy.settings import Config
from captcha_bypass_scrapy.sharing import Sharing
from captcha_bypass_scrapy.site_cookies import SiteCookies
from captcha_bypass_scrapy.solves import Solves
from captcha_bypass_scrapy.solving import Solver
from captcha_bypass_scrapy.startup_check import StartupCheck
from captcha_bypass_scrapy.switching import Switch
from captcha_bypass_scrapy.ways import Ways
from captcha_bypass_scrapy.wire import restore_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request, Spider
    from scrapy.crawler import Crawler


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
        config, closing = self.config, partial(is_closing, crawler)
        self.reporter = reporter = Reporter(crawler)
        self.clearances = clearances = Clearances()
        self.solves = solves = Solves(config.cooldown_seconds)
        self.parking = parking = Parking(crawler)
        self.ways = ways = Ways()
        self.site_cookies = cookies = SiteCookies()
        self.attachments = attached = Attachments(crawler, config, clearances, ways)
        self._detect = detect = Detector(config.detector, crawler)
        self._pages = pages = PageCache(crawler)
        self._scope = scope = Scope(crawler)
        self.redirects = Redirects(scope, reporter)
        self._client = client = _client(config, closing)
        fetcher = FetchClient(
            client.connection, long_poll=config.long_poll_seconds, closing=closing
        )
        self._check = StartupCheck(client.connection, config, reporter)
        service = Service(client, fetcher, config, reporter, closing)
        slot = partial(slot_of, crawler)
        sharing = Sharing(config.reuse, detect)
        solver = Solver(service, config, clearances, reporter, detect, slot, scope, sharing)
        budget = Budget(config.max_hosts, config.max_solves)
        close = partial(close_spider, crawler, "captcha_bypass_unavailable")
        self._runner = runner = SolveRunner(
            config, clearances, solves, solver, service, budget, reporter, closing, close
        )
        fetches = Fetches(crawler, config, service, ways, solves, attached, cookies, reporter)
        switch = Switch(config, ways, fetches, solves, budget, reporter)
        self._failed = failed = FailedFetches(
            config, ways, solves, service, runner, parking, reporter, close
        )
        self._handler = ChallengeHandler(
            config,
            clearances,
            solves,
            runner,
            solver,
            switch,
            ways,
            parking,
            pages,
            reporter,
            closing,
        )
        self._holder = RequestHolder(
            config, clearances, solves, runner, parking, failed, reporter, closing
        )

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build the middleware and connect its signals."""
        middleware = cls(crawler)
        for handler, signal in (
            (middleware.request_scheduled, signals.request_scheduled),
            (middleware.attachments.attach, signals.request_reached_downloader),
            (middleware.attachments.downloaded, signals.response_downloaded),
            (middleware.redirects.downloaded, signals.response_downloaded),
            (middleware.site_cookies.downloaded, signals.response_downloaded),
            (middleware.attachments.detach, signals.request_left_downloader),
            (middleware.spider_opened, signals.spider_opened),
            (middleware.spider_idle, signals.spider_idle),
            (middleware.spider_closed, signals.spider_closed),
        ):
            crawler.signals.connect(handler, signal=signal)
        return middleware

    # Signals

    def request_scheduled(self, request: Request) -> None:
        """Let requests that wait make room for this one."""
        if not resending.pop_leaving(request):
            self.parking.scheduled(request)
            resending.let_through(request)

    def spider_opened(self) -> None:
        """See whether the service can be used, without waiting for that."""
        self._check.begin()

    def spider_idle(self) -> None:
        """Keep the spider open for those who wait without a place."""
        if self.parking.is_lending():
            raise DontCloseSpider

    async def spider_closed(self) -> None:
        """End the solves and the session to the service."""
        await self._check.close()
        await self._runner.close()
        await self._client.close()
        self.reporter.summary()

    # Hooks

    async def process_request(
        self, request: Request, spider: Spider | None = None
    ) -> Request | None:
        """Hold requests of a host that is being solved; they would only be challenged too."""
        if resending.pop_leaving(request):  # it came back, so it is awaited and not scheduled
            raise IgnoreRequest("the spider is closing")
        waited = resending.restore(request)
        outcome.forget(request)
        if not wanted(request):
            return None
        options_of(request, self.config)  # a typo in meta shall not wait for the first challenge
        await self._scope.ask_robots_again(request)
        resending.remember_body(request)
        return await self._holder.hold(request, first=not waited)

    async def process_response(
        self, request: Request, response: Response, spider: Spider | None = None
    ) -> Request | Response:
        """Let normal pages through; handle a challenge."""
        carried = request_state.take_carried(request)
        response = restore_status(response)
        taken = self.attachments.restore_cookies(request, response)
        fetched = FLAG in response.flags
        if not wanted(request) or (fetched and not request_state.was_fetched(request)):
            return response  # the latter is a browser's page, which was looked at
        challenge = self._detect(response)
        if challenge is not None and challenge.solvable:
            self.reporter.challenged(challenge)
            return await self._handler.handle(request, response, challenge, carried)
        self.redirects.drop_offsite(request)
        if carried and not fetched and challenge is None:
            self.attachments.tell(request)
        if challenge is None and "cached" not in response.flags and _is_page(response):
            if carried or fetched:
                self._scope.robots_arrived(request)
            if carried or self.solves.busy():
                key, probing = key_of(request), request_state.is_probe(request)
                self.solves.page_came(key, probing=probing)
                self.attachments.follow(key, request.url, carried, taken, succeeded=True)
            if not fetched:
                self.solves.opened(request.meta.get("download_slot", ""))
        elif challenge is not None:
            self.reporter.blocked(challenge, request)
        if request_state.is_probe(request):
            self._end_probe(request, response)
        past_cache = challenge is None and request_state.asks_past_cache(request)
        request_state.clear(request)
        if past_cache:
            self._pages.replace(request, response)
        return response

    def process_exception(
        self, request: Request, exception: Exception, spider: Spider | None = None
    ) -> Request | None:
        """Forget what a request carried that got no response; see to one that the browser sent."""
        request_state.take_carried(request)
        if isinstance(exception, NotFetched):
            return self._failed.handle(request, exception.error)
        if wanted(request) and request_state.is_probe(request):
            self.solves.probe_ended(key_of(request))
        return None

    def _end_probe(self, request: Request, response: Response) -> None:
        """Let others go: a site that answers without a challenge has let the request in."""
        if "cached" in response.flags:
            self.solves.probe_ended(key_of(request))
        else:
            self.solves.release(key_of(request))


def _is_page(response: Response) -> bool:
    """Whether the site let the request in, whatever it found there."""
    return response.status not in {403, 429} and response.status < 500


def _client(config: Config, closing: Callable[[], bool]) -> SolverClient:
    return SolverClient(
        config.url,
        config.api_key,
        long_poll=config.long_poll_seconds,
        slow=config.slow_solve_seconds,
        patience=config.unavailable_seconds,
        closing=closing,
    )
