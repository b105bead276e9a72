"""One real Firefox for the tests of fetches; contexts are behind guards, as a task's are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import psutil
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext

from captcha_bypass.browsers.launch.driver import Driver
from captcha_bypass.browsers.launch.engines import Firefox
from captcha_bypass.browsers.launch.installed import find_firefox
from captcha_bypass.browsers.launch.processes import BROWSER_MARK, marked_child
from captcha_bypass.browsers.launch.workspace import Workspace
from captcha_bypass.egress.guards import Egress
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination, Rules
from captcha_bypass.fetching.fetcher import Fetcher
from tests.captcha_bypass.fetching.other_world import install
from tests.support.raw_site import RawSite

#: Opens a context that may reach the site of an origin, and no other private host.
OpenContext = Callable[[str], Awaitable[BrowserContext]]


class Running(NamedTuple):
    """A browser, and how its contexts are opened."""

    engine: Firefox
    browser: Browser
    #: Its first process.
    root: psutil.Process


class Shared(NamedTuple):
    """What tests share that leave it as it was, but for what they ask the site."""

    site: RawSite
    context: BrowserContext
    fetcher: Fetcher


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def firefox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A Firefox with a driver of its own."""
    engine = find_firefox(None)
    with Workspace(tmp_path_factory.mktemp("fetching")) as workspace:
        driver = Driver(workspace, install)
        try:
            playwright = await driver.playwright()
            environment = workspace.environment("fetching")
            browser = await engine.launch(playwright, workspace, environment, headless=True)
            root = marked_child(driver.pid, BROWSER_MARK, "fetching")
            yield Running(engine, browser, root)
        finally:
            await driver.close()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def open_context(firefox: Running) -> AsyncIterator[OpenContext]:
    opened = []
    async with Egress(Rules(trust_named=True), max_task_bytes=2**40) as egress:

        async def open_context(origin: str) -> BrowserContext:
            guard = await egress.guard()
            guard.admit(Permit(Destination.of(origin)))
            context = await firefox.engine.new_context(firefox.browser, guard.url)
            opened.append(context)
            return context

        yield open_context
        for context in opened:
            await context.close()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def shared(open_context: OpenContext) -> AsyncIterator[Shared]:
    async with RawSite() as site:
        context = await open_context(site.origin)
        fetcher = Fetcher(await context.new_page(), site.origin)
        await fetcher.open()
        yield Shared(site, context, fetcher)


@pytest_asyncio.fixture(loop_scope="package")
async def site(shared: Shared) -> RawSite:
    for kept in (shared.site.answers, shared.site.seen, shared.site.hung_up):
        kept.clear()
    await shared.context.clear_cookies()
    return shared.site


@pytest.fixture
def fetcher(shared: Shared) -> Fetcher:
    return shared.fetcher


@pytest_asyncio.fixture(loop_scope="package")
async def context(site: RawSite, open_context: OpenContext) -> AsyncIterator[BrowserContext]:
    """One of the test's own, for the same site."""
    context = await open_context(site.origin)
    yield context
    await context.close()
