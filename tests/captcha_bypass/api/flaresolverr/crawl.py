"""One crawl through scrapy-flaresolverr, in a process of its own.

Each response or failure becomes a line of JSON in a file, and the stats the last one.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TextIO

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.http import Response, TextResponse


class Spider(scrapy.Spider):
    """Sends the requests of its plan."""

    name = "flaresolverr"
    requests: list[dict[str, Any]]
    file: TextIO

    async def start(self) -> AsyncIterator[Any]:
        for arguments in self.requests:
            yield scrapy.Request(callback=self.parse, errback=self.failed, **arguments)

    def parse(self, response: Response, **kwargs: object) -> None:
        assert isinstance(response, TextResponse)
        show(
            self.file,
            url=response.url,
            status=response.status,
            title=response.css("title::text").get(),
            kind=(response.headers.get("Content-Type") or b"").decode(),
            flags=response.flags,
            backend=response.meta.get("flaresolverr_backend"),
            solved=response.meta.get("flaresolverr_response"),
        )

    def failed(self, failure: Any) -> None:  # noqa: ANN401 - Twisted's Failure
        show(self.file, error=type(failure.value).__name__, message=str(failure.value))


def run(plan: dict[str, Any], printed: Path) -> None:
    """Crawl to the end; a plan has `settings`, and `requests` as scrapy.Request's arguments."""
    process: Any = CrawlerProcess(plan["settings"])
    crawler = process.create_crawler(Spider)
    with printed.open("w") as file:
        process.crawl(crawler, requests=plan["requests"], file=file)
        process.start()
        assert crawler.stats is not None
        show(file, **crawler.stats.get_stats())


def show(file: TextIO, **fields: object) -> None:
    print(json.dumps(fields, default=str), file=file, flush=True)
