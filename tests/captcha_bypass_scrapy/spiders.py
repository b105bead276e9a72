"""The spiders and middlewares that the tests crawl with; loaded in the crawl's own process."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import scrapy
from scrapy import FormRequest, Request
from scrapy.core.downloader import Downloader
from scrapy.core.scheduler import BaseScheduler
from scrapy.exceptions import IgnoreRequest
from scrapy.http import JsonRequest, Response, TextResponse
from scrapy.http.request import NO_CALLBACK
from scrapy.signalmanager import SignalManager
from scrapy.spiders import SitemapSpider
from scrapy.utils.defer import maybe_deferred_to_future
from scrapy.utils.request import request_from_dict

from captcha_bypass.challenges import Challenge
from captcha_bypass_scrapy import ChallengeNotSolved
from captcha_bypass_scrapy.compat import scheduler_of

REQUESTS: dict[str, type[Request]] = {
    "request": Request,
    "form": FormRequest,
    "json": JsonRequest,
}
OWN_META = ("captcha_bypass", "_captcha_bypass")


class Crawl(scrapy.Spider):
    """Sends the requests it is told, and yields what came of each."""

    name = "crawl"
    requests: list[dict[str, Any]]

    async def start(self) -> AsyncIterator[Any]:
        for fields in self.requests:
            arguments = dict(fields)
            cls = REQUESTS[arguments.pop("cls", "request")]
            yield cls(callback=self.parse, errback=self.failed, **arguments)

    def parse(self, response: Response, **kwargs: object) -> dict[str, Any]:
        request = response.request
        assert request is not None
        return {
            "url": response.url,
            "status": response.status,
            "body": response.text[:500] if isinstance(response, TextResponse) else "",
            "flags": response.flags,
            "response": type(response).__name__,
            "request": type(request).__name__,
            "method": request.method,
            "priority": request.priority,
            "kwargs": kwargs,
            "told": request.meta.get("captcha_bypass"),
            "meta": sorted(key for key in request.meta if key.startswith("_captcha_bypass")),
            "dont_cache": "dont_cache" in request.meta,
            "dont_filter": request.dont_filter,
            "set_cookie": [value.decode() for value in response.headers.getlist("Set-Cookie")],
            "user_agent": (request.headers.get("User-Agent") or b"").decode(),
            "cookie": (request.headers.get("Cookie") or b"").decode(),
        }

    def failed(self, failure: Any) -> dict[str, Any]:  # noqa: ANN401 - Twisted's Failure
        error = failure.value
        solved = isinstance(error, ChallengeNotSolved) and isinstance(error, IgnoreRequest)
        return {
            "error": type(error).__name__,
            "url": failure.request.url,
            "reason": error.reason if isinstance(error, ChallengeNotSolved) else str(error),
            "vendor": error.vendor if solved else None,
            "status": error.response.status if solved and error.response else None,
            "unmet": error.unmet if solved else None,
            "hints": [hint["code"] for hint in error.hints] if solved else None,
            "screenshot": (error.screenshot or b"").decode() if solved else None,
        }


class Detecting(Crawl):
    """Has a detector of its own."""

    name = "detecting"

    def captcha_bypass_detect(self, response: Response) -> str | bool | None:
        if b"prove you are human" in response.body:
            return "homemade"
        return False if b"not really a challenge" in response.body else None


class Bound(Crawl):
    """Is as `scrapy genspider` writes it."""

    name = "bound"
    allowed_domains = ["127.0.0.1"]  # noqa: RUF012 - Scrapy's own way


class Mapped(SitemapSpider):
    """Finds its pages in a sitemap."""

    name = "mapped"
    requests: list[dict[str, Any]]

    async def start(self) -> AsyncIterator[Any]:
        for fields in self.requests:
            yield Request(callback=self._parse_sitemap, **fields)

    def parse(self, response: Response) -> dict[str, Any]:
        return {"url": response.url, "flags": response.flags}


class WithFiles(Crawl):
    """Has the files pipeline download what its requests name."""

    name = "with_files"

    async def start(self) -> AsyncIterator[Any]:
        for fields in self.requests:
            arguments = dict(fields)
            files = arguments.pop("files")
            yield Request(callback=self.parse, cb_kwargs={"files": files}, **arguments)

    def parse(self, response: Response, **kwargs: object) -> dict[str, Any]:
        return {"url": response.url, "file_urls": kwargs["files"]}


class Following(Crawl):
    """Goes on to the pages that a request names, once that one is there."""

    name = "following"

    def parse(self, response: Response, **kwargs: object) -> Any:  # noqa: ANN401 - items and requests
        yield super().parse(response)
        request = response.request
        assert request is not None
        for fields in request.meta.get("then", ()):
            jar = {key: request.meta[key] for key in ("cookiejar",) if key in request.meta}
            yield Request(callback=super().parse, errback=self.failed, meta=jar, **fields)


class Disabled(Crawl):
    """Wants nothing of it."""

    name = "disabled"
    custom_settings = {"CAPTCHA_BYPASS_ENABLED": False}  # noqa: RUF012 - Scrapy's own way


class Inline(Crawl):
    """Downloads its pages inside a callback."""

    name = "inline"

    def parse(self, response: Response, **kwargs: object) -> Any:  # noqa: ANN401 - Scrapy takes many
        return self._inline(kwargs)

    async def _inline(self, kwargs: dict[str, object]) -> AsyncIterator[dict[str, Any]]:
        pages = kwargs["pages"]
        assert isinstance(pages, list)
        for url in pages:
            engine: Any = self.crawler.engine
            if hasattr(engine, "download_async"):
                more: dict[str, Any] = {"callback": NO_CALLBACK} if kwargs.get("media") else {}
                found = await engine.download_async(Request(url, **more))
            else:  # Scrapy 2.13
                found = await maybe_deferred_to_future(engine.download(Request(url)))
            yield {"url": found.url, "status": found.status, "body": found.body.decode()[:500]}


def homemade_detector(response: Response) -> Challenge | None:
    """A detector by import path."""
    if b"prove you are human" in response.body:
        return Challenge("homemade", "automatic")
    return None


class RandomUserAgent:
    """Gives every request, and every retry, another user-agent, like the popular plugins."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def process_request(self, request: Request, spider: object = None) -> None:
        request.headers["User-Agent"] = f"Random/{next(self._numbers)}"


class RotatingProxies:
    """Picks the next proxy on every pass, like the popular plugins."""

    def __init__(self, proxies: list[str]) -> None:
        self._proxies = itertools.cycle(proxies)

    @classmethod
    def from_crawler(cls, crawler: scrapy.crawler.Crawler) -> RotatingProxies:
        return cls(crawler.settings.getlist("TEST_PROXIES"))

    def process_request(self, request: Request, spider: object = None) -> None:
        if "127.0.0.1:" in request.url or "127.0.0.2:" in request.url:
            request.meta["proxy"] = next(self._proxies)


class BanDetection:
    """Takes statuses for bans and throws such responses away, like the popular plugins."""

    def __init__(self, crawler: scrapy.crawler.Crawler) -> None:
        self._stats = crawler.stats

    @classmethod
    def from_crawler(cls, crawler: scrapy.crawler.Crawler) -> BanDetection:
        return cls(crawler)

    def process_response(
        self, request: Request, response: Response, spider: object = None
    ) -> Response:
        if response.status in {200, 301, 302}:
            return response
        self._stats.inc_value("bans")
        raise IgnoreRequest("banned")

    def process_exception(
        self, request: Request, exception: Exception, spider: object = None
    ) -> None:
        if not isinstance(exception, IgnoreRequest):
            self._stats.inc_value("bans")


class FolderScheduler(BaseScheduler):
    """A queue that survives the process, as one in Redis does: a file for each request."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(len(list(folder.iterdir())))

    @classmethod
    def from_crawler(cls, crawler: scrapy.crawler.Crawler) -> FolderScheduler:
        scheduler = cls(Path(crawler.settings["TEST_QUEUE"]))
        scheduler._spider = crawler.spider
        return scheduler

    _spider: scrapy.Spider | None = None

    def has_pending_requests(self) -> bool:
        return any(self._folder.iterdir())

    def enqueue_request(self, request: Request) -> bool:
        name = f"{10**9 - request.priority:010}-{next(self._numbers):09}"
        fields = request.to_dict(spider=self._spider)
        # Whole or not at all: the process may be killed at any moment.
        part = self._folder.with_name(f"{self._folder.name}-{name}")
        part.write_bytes(pickle.dumps(fields))
        part.rename(self._folder / name)
        return True

    def next_request(self) -> Request | None:
        file = min(self._folder.iterdir(), default=None)
        if file is None:
            return None
        fields = pickle.loads(file.read_bytes())  # noqa: S301 - our own file
        file.unlink()
        return request_from_dict(fields, spider=self._spider)


class Shared(Crawl):
    """Fills the queue only if it finds none."""

    name = "shared"

    async def start(self) -> AsyncIterator[Any]:
        if not scheduler_of(self.crawler).has_pending_requests():
            async for request in super().start():
                yield request


class QuietDownloader(Downloader):
    """Does not tell anybody when a request reaches it."""

    def __init__(self, crawler: scrapy.crawler.Crawler) -> None:
        super().__init__(crawler)
        self.signals = SignalManager(self)


class SocksInName:
    """Makes responses look as if they had come through a SOCKS4 proxy."""

    def process_response(
        self, request: Request, response: Response, spider: object = None
    ) -> Response:
        request.meta["proxy"] = "socks4://127.0.0.1:1080"
        return response
