"""Fixtures: the API over a script; and services and a site for whole clients to talk to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from demo.challenge_pages import html, html_page
from demo.challenge_site import SiteOptions, create_site
from tests.captcha_bypass.api.flaresolverr.browserless import Browserless
from tests.captcha_bypass.api.flaresolverr.scripted import Make, Scripted
from tests.support.flaresolverr_service import FakeSessions, serving
from tests.support.scripted_queue import Script
from tests.support.solve_client import client_of


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        async def made(**settings: Any) -> Scripted:  # noqa: ANN401
            script = Script()
            v1 = await stack.enter_async_context(serving(script, FakeSessions(), **settings))
            return Scripted(v1, script)

        yield made


@pytest.fixture
async def scripted(make: Make) -> Scripted:
    return await make()


@dataclass
class World:
    """A service for clients to use, and a site that wants what it gives."""

    #: Of the service, without a slash at the end.
    service: str
    site: TestServer
    has_browser: bool

    def page(self, path: str) -> str:
        return f"http://127.0.0.1:{self.site.port}{path}"


@pytest.fixture(params=["browserless", pytest.param("browser", marks=pytest.mark.browser)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """The same clients talk to a service without a browser, and to the real one."""
    # Any answer does: one of the services has no browser to work it out.
    site = create_site(SiteOptions(work=0, cookie="cf_clearance"))
    site.on_response_prepare.append(_looks_like_cloudflare)
    site.router.add_get("/banned", _banned)
    server = TestServer(site)
    async with server:
        if request.param == "browser":
            service = request.getfixturevalue("service")
            async with client_of(service) as client:
                await client.until_warm()
            yield World(service.url, server, has_browser=True)
            return
        sessions = FakeSessions()
        async with serving(Browserless(sessions), sessions, max_per_host=0) as v1:
            yield World(v1.url, server, has_browser=False)


async def _looks_like_cloudflare(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "cloudflare"


async def _banned(request: web.Request) -> web.Response:
    title = "Access denied | site.test used Cloudflare to restrict access"
    return html(html_page(title, "<h1>Error 1020</h1>"), 403)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client's own HTTP client, which keeps no cookies by itself."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session
