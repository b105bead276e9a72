"""The crawls' fixtures are those of the middleware's own tests."""

from __future__ import annotations

from tests.captcha_bypass_scrapy.conftest import crawl, fake_crawl

__all__ = ["crawl", "fake_crawl"]
