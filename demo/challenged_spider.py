"""A Scrapy spider for a site behind a challenge: 200 pages, one solve.

Start the site and the service first, then crawl:

    python demo/challenge_site.py --port 8080
    captcha-bypass
    scrapy runspider demo/challenged_spider.py -a site=http://127.0.0.1:8080 -O pages.jsonl
"""

import os
from collections.abc import AsyncIterator
from typing import Any

import scrapy
from scrapy.http import Response


class ChallengedSpider(scrapy.Spider):
    """Scrapes /page/1 ... of the challenge site; nothing in here knows of challenges."""

    name = "challenged"
    custom_settings = {  # noqa: RUF012 - this is how Scrapy has it
        "ADDONS": {"captcha_bypass_scrapy.Addon": 500},
        "CAPTCHA_BYPASS_URL": os.environ.get("CAPTCHA_BYPASS_URL", "http://127.0.0.1:8191"),
        "LOG_LEVEL": "INFO",
    }

    def __init__(
        self, site: str = "http://127.0.0.1:8080", pages: str = "200", path: str = "page"
    ) -> None:
        super().__init__()
        self.urls = [f"{site.rstrip('/')}/{path}/{n}" for n in range(1, int(pages) + 1)]

    async def start(self) -> AsyncIterator[Any]:
        """Ask for all pages at once; the scheduler keeps the pace."""
        for url in self.urls:
            yield scrapy.Request(url)

    def parse(self, response: Response) -> dict[str, str | None]:
        """Take what is wanted from a page."""
        return {"url": response.url, "title": response.css("title::text").get()}
