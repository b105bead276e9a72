"""A service without a browser, both clients of it, and HTTP libraries of users."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import certifi
import pytest
from aiohttp.test_utils import TestServer

from demo import fingerprint_site
from demo.challenge_site import STATS, create_site
from tests.support.clients import Caller, Clock, ScriptedFetches, calling
from tests.support.flaresolverr_service import V1, FakeSessions, serving
from tests.support.http_libraries import KINDS, Library, using
from tests.support.passing_stage import OPTIONS, Stage
from tests.support.scripted_queue import Script
from tests.support.stand_in_browser import StandInBrowser


@pytest.fixture(scope="session")
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of the certificates that httpx trusts."""
    first, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
    file = Path(tmp_path_factory.mktemp("trusted")) / "one.pem"
    file.write_text(first + end)
    return file


@pytest.fixture(autouse=True)
def _few_authorities(one_authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each client of httpx the 20 ms that it takes to load all of them; no test here has TLS."""
    monkeypatch.setenv("SSL_CERT_FILE", str(one_authority))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("captcha_bypass.client.protocol.time.monotonic", made.monotonic)
    return made


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def fetches() -> ScriptedFetches:
    return ScriptedFetches()


@pytest.fixture
async def service(script: Script, fetches: ScriptedFetches) -> AsyncIterator[V1]:
    async with serving(script, FakeSessions(), fetches) as running:
        yield running


@pytest.fixture(params=["sync", "async"])
async def caller(request: pytest.FixtureRequest, service: V1) -> AsyncIterator[Caller]:
    async with calling(request.param, service.url) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[StandInBrowser]:
    made = StandInBrowser()
    yield made
    await made.close()


@pytest.fixture
async def solving(browser: StandInBrowser) -> AsyncIterator[V1]:
    """A service whose browser passes the challenge site's challenges."""
    async with serving(browser, FakeSessions(), browser) as running:
        yield running


@pytest.fixture(params=KINDS)
async def library(request: pytest.FixtureRequest, solving: V1) -> AsyncIterator[Library]:
    async with using(request.param, solving.url) as running:
        yield running


@pytest.fixture
async def stage(library: Library, browser: StandInBrowser, solving: V1) -> AsyncIterator[Stage]:
    clock = Clock()
    app = create_site(replace(OPTIONS, clock=clock.monotonic))
    async with TestServer(app) as server:
        url = f"http://127.0.0.1:{server.port}"
        yield Stage(library, browser, solving, url, app[STATS], clock)


@pytest.fixture
async def strict(library: Library, browser: StandInBrowser, solving: V1) -> AsyncIterator[Stage]:
    """A site whose clearances fit no client but the browser."""
    async with fingerprint_site.serving(OPTIONS) as (url, app):
        yield Stage(library, browser, solving, url, app[STATS], Clock())
