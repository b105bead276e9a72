"""One crawl through scrapy-flaresolverr: `python -m tests.captcha_bypass.api.flaresolverr.crawl PLAN`.

PLAN is JSON: settings, and requests as scrapy.Request's arguments. Each response or failure is printed
as a line of JSON, and the stats at the end.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.http import Response, TextResponse


class Spider(scrapy.Spider):
    """Sends the requests of its plan."""

    name = "flaresolverr"
    requests: list[dict[str, Any]]

    async def start(self) -> AsyncIterator[Any]:
        for arguments in self.requests:
            yield scrapy.Request(callback=self.parse, errback=self.failed, **arguments)

    def parse(self, response: Response, **kwargs: object) -> None:
        assert isinstance(response, TextResponse)
        show(
            url=response.url,
            status=response.status,
            title=response.css("title::text").get(),
            kind=(response.headers.get("Content-Type") or b"").decode(),
            flags=response.flags,
            backend=response.meta.get("flaresolverr_backend"),
            solved=response.meta.get("flaresolverr_response"),
        )

    def failed(self, failure: Any) -> None:  # noqa: ANN401 - Twisted's Failure
        show(error=type(failure.value).__name__, message=str(failure.value))


def show(**fields: object) -> None:
    print(json.dumps(fields, default=str), flush=True)


def main(plan: dict[str, Any]) -> None:
    process: Any = CrawlerProcess(plan["settings"])
    crawler = process.create_crawler(Spider)
    process.crawl(crawler, requests=plan["requests"])
    process.start()
    assert crawler.stats is not None
    show(**crawler.stats.get_stats())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
