"""Has the browser send requests, as a download handler of Scrapy's sends them."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING
from uuid import uuid4

from captcha_bypass_scrapy import downloads, outcome, request_state
from captcha_bypass_scrapy.asking import fetch_body
from captcha_bypass_scrapy.errors import CrawlEnding, FetchFailed, NotFetched, SolveError
from captcha_bypass_scrapy.fetched import exception_of, response_of
from captcha_bypass_scrapy.keys import key_of
from captcha_bypass_scrapy.options import options_of, wanted
from captcha_bypass_scrapy.site_state import OPENING_SECONDS

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from captcha_bypass_scrapy.attachment import Attachments
    from captcha_bypass_scrapy.options import Options
    from captcha_bypass_scrapy.reporting import Reporter
    from captcha_bypass_scrapy.service import Service
    from captcha_bypass_scrapy.settings import Config
    from captcha_bypass_scrapy.site_cookies import SiteCookies
    from captcha_bypass_scrapy.solves import Solves
    from captcha_bypass_scrapy.ways import Ways

logger = logging.getLogger("captcha_bypass_scrapy")
#: Methods that ask for nothing to be done: such a request may be broken off where the spider closes.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Fetches:
    """Sends requests through the service's browser; there is one for each crawl."""

    def __init__(
        self,
        crawler: Crawler,
        config: Config,
        service: Service,
        ways: Ways,
        solves: Solves,
        attachments: Attachments,
        cookies: SiteCookies,
        reporter: Reporter,
    ) -> None:
        self._crawler = crawler
        self._config = config
        self._service = service
        self._ways = ways
        self._solves = solves
        self._attachments = attachments
        self._cookies = cookies
        self._reporter = reporter
        #: What the service knows this crawl by.
        self._crawl = uuid4().hex
        settings = crawler.settings
        self._maxsize = settings.getint("DOWNLOAD_MAXSIZE")
        self._warnsize = settings.getint("DOWNLOAD_WARNSIZE")
        self._download_seconds = settings.getfloat("DOWNLOAD_TIMEOUT")

    @property
    def possible(self) -> bool:
        """Whether the downloader in use has a place for them."""
        return downloads.can_install(self._crawler)

    def install(self) -> None:
        """Let requests of sites whose way this is come here from now on."""
        downloads.install(self._crawler, self.takes, self.fetch)

    def takes(self, request: Request) -> bool:
        """Whether the browser sends a request."""
        return wanted(request) and self._ways.by_browser(request, options_of(request, self._config))

    async def fetch(self, request: Request) -> Response:
        """Return the site's answer to a request.

        Raises:
            NotFetched: for our own middleware, which has the request wait.
            Exception: what a download handler of Scrapy's raises.
        """
        self._attachments.detach(request)  # it may have reached the downloader on its old way
        key, options = key_of(request), options_of(request, self._config)
        probing = request_state.is_probe(request)
        maxsize = int(request.meta.get("download_maxsize", self._maxsize))
        timeout, began = self._timeout(request, options, probing=probing), time.monotonic()
        # Others may have been in the download slot when the browser got the site.
        opening = probing or self._solves.is_unproven(key)
        leaves = opening and request.method in _SAFE
        body = fetch_body(
            request,
            options,
            self._cookies.split(request),
            timeout=timeout,
            proxy=key.proxy if self._config.share_proxy else None,
            crawl=self._crawl,
            on_challenge=options.on_challenge if leaves else None,
        )
        try:
            answer = await self._service.fetch(body, most=maxsize, leaves=leaves)
            if maxsize and len(answer.body) > maxsize:
                message = f"The answer is larger than {maxsize} bytes."
                raise FetchFailed("answer_too_large", message)
        except FetchFailed as error:
            self._failed(request, options, error)
            raise exception_of(error) from error
        except (SolveError, CrawlEnding) as error:
            raise NotFetched(error) from error
        self._solves.page_came(key, probing=probing)
        if not (opening or answer.solved):  # AutoThrottle takes it for what the site needs
            request.meta["download_latency"] = time.monotonic() - began
        self._check_size(request, len(answer.body))
        request_state.mark_fetched(request)
        vendor = answer.solved or self._ways.vendor(key)
        outcome.tell(request, vendor, time.monotonic() - began, "fetch")
        self._reporter.fetched(request, answer.solved)
        return response_of(answer, request)

    def _timeout(self, request: Request, options: Options, *, probing: bool) -> float:
        """Return the seconds for a request; the one that opens the way needs those of a solve."""
        own = float(request.meta.get("download_timeout", self._download_seconds))
        if probing or own <= 0:  # which is no bound to Scrapy
            return options.timeout_seconds
        return min(options.timeout_seconds, own)

    def _failed(self, request: Request, options: Options, error: FetchFailed) -> None:
        self._reporter.count(f"fetch/error/{error.code}")
        key = key_of(request)
        short = self._timeout(request, options, probing=False) < options.timeout_seconds
        if error.code == "timeout" and short:
            # Perhaps its site had to be solved anew, for which there was no time.
            self._solves.prove(key, OPENING_SECONDS)
        self._solves.probe_ended(key)

    def _check_size(self, request: Request, size: int) -> None:
        warnsize = int(request.meta.get("download_warnsize", self._warnsize))
        if warnsize and size > warnsize:
            logger.warning(
                "Received %d bytes, which is larger than the download warn size (%d), in request %s",
                size,
                warnsize,
                request,
                extra={"spider": self._crawler.spider},
            )
