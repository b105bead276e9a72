"""Fixtures of the middleware's tests: crawls, and a service and a site that do as told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

import captcha_bypass_scrapy.parking as parking_module
import captcha_bypass_scrapy.service as service_module
from tests.captcha_bypass_scrapy.benches import Benches, opened_bench
from tests.captcha_bypass_scrapy.crawling import Crawler
from tests.captcha_bypass_scrapy.fake_service import FakeService
from tests.captcha_bypass_scrapy.fake_site import FakeSite, serving
from tests.captcha_bypass_scrapy.labs import Labs, opened_lab
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


@pytest.fixture
def bench(fake: FakeService, monkeypatch: pytest.MonkeyPatch) -> Benches:
    """Opens benches for solvers, whose service has nothing to wait for."""
    monkeypatch.setattr(service_module, "ASK_SECONDS", 0.05)
    fake.seconds = 0.0
    return partial(opened_bench, fake)


@pytest.fixture
def lab(fake: FakeService, monkeypatch: pytest.MonkeyPatch) -> Labs:
    """Opens labs for the middleware's parts; requests wait there for moments."""
    monkeypatch.setattr(parking_module, "WAIT_SECONDS", 0.05)
    fake.seconds = 0.02
    return partial(opened_lab, fake)
