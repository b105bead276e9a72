"""A polite Scrapy spider that reads a whole site; nothing in it knows of challenges.

scrapy runspider examples/spider.py -a url=https://example.com -O pages.jsonl
"""

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import scrapy
from scrapy.http import TextResponse


class TitleSpider(scrapy.Spider):
    """Takes each page's title and follows its links, as long as they stay on the site."""

    name = "titles"
    custom_settings = {  # noqa: RUF012 - this is how Scrapy has it
        "ADDONS": {"captcha_bypass_scrapy.Addon": 500},
        "CAPTCHA_BYPASS_URL": os.environ.get("CAPTCHA_BYPASS_URL", "http://127.0.0.1:8191"),
        "ROBOTSTXT_OBEY": True,
        "AUTOTHROTTLE_ENABLED": True,
        "CLOSESPIDER_PAGECOUNT": 1000,
    }

    def __init__(self, url: str) -> None:
        super().__init__()
        self.start_urls = [url]
        self.allowed_domains = [str(urlsplit(url).hostname)]

    def parse(self, response: TextResponse) -> Iterator[Any]:  # type: ignore[override]
        """Take what is wanted from a page, and go on."""
        yield {"url": response.url, "title": response.css("title::text").get()}
        yield from response.follow_all(css="a")
