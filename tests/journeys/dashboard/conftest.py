"""One Chromium for all tests of the operator's page; each test has a context of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from tests.support.dashboard import StandIn, stand_in

#: Milliseconds; a machine that runs other tests beside these is slow at times.
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium, which is not the browser that the service opens pages in.

    Where it is there, the one without windows: a test takes a third of the CPU with it.
    """
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    assert path is not None, "bash .ci/setup chromium"
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    context = await chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """A page that must have nothing to complain of: no error, nothing refused by its policy."""
    page = await context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: wrong.append(m.text) if "Content Security" in m.text else None)
    yield page
    assert wrong == []


@pytest_asyncio.fixture(loop_scope="session")
async def service() -> AsyncIterator[StandIn]:
    async with stand_in() as service:
        yield service
