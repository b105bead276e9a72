"""Fixtures of the middleware's tests: crawls, and a service and a site that do as told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.captcha_bypass_scrapy.crawling import Crawler
from tests.captcha_bypass_scrapy.fakes import FakeService, FakeSite, serving
from tests.support.service import Service


@pytest.fixture
def crawl(tmp_path: Path, service: Service) -> Crawler:
    """Crawls with the real service and its real Firefox."""
    return Crawler(tmp_path, service.url)


@pytest.fixture
async def guarded() -> AsyncIterator[FakeSite]:
    """A site whose challenge the fake service knows how to pass."""
    site = FakeSite()
    async with serving(site.app(), "127.0.0.1") as site.url:
        yield site


@pytest.fixture
async def fake(guarded: FakeSite) -> AsyncIterator[FakeService]:
    """A service that answers as it is told."""
    service = FakeService(guarded)
    async with serving(service.app(), "127.0.0.1") as service.url:
        yield service


@pytest.fixture
def fake_crawl(tmp_path: Path, fake: FakeService) -> Crawler:
    """Crawls with the fake service."""
    return Crawler(tmp_path, fake.url)
