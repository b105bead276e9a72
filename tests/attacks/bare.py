"""Attacks in a Firefox of its own, without proxy or guard: what reaches the target by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Error, Page, async_playwright

from captcha_bypass.browsers.launch.installed import find_firefox
from tests.attacks.arena import Arena
from tests.attacks.catalogue import APART, TOP
from tests.attacks.target import SECRET

#: Where they differ from Firefox's own defaults, it is to see what the guard has to stop when
#: nothing else does.
_PREFS: dict[str, str | float | bool] = {
    # Firefox's own value; Playwright sets 0, which would hide <link rel=preconnect>.
    "network.http.speculative-parallel-limit": 20,
    # Firefox connects to a private address for a page from a public one, but then holds its
    # request back until somebody permits it. Camoufox and older builds do not.
    "network.lna.enabled": False,
    # Firefox keeps an address for a minute: an attacker waits, a test need not.
    "network.dnsCacheExpiration": 0,
    "network.dnsCacheExpirationGracePeriod": 0,
    # A page and its frames are one process, as in the service's browsers: others take CPU.
    "fission.webContentIsolationStrategy": 0,
    "dom.ipc.processPrelaunch.enabled": False,
}


@asynccontextmanager
async def bare_firefox() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.firefox.launch(
            channel="moz-firefox",
            executable_path=find_firefox(None).executable,
            firefox_user_prefs=_PREFS,
        )
        try:
            yield browser
        finally:
            await browser.close()


async def attack_all(browser: Browser, place: Arena) -> None:
    """Open the page that tries everything, until everything that can has reached the target."""
    page = await browser.new_page()
    await page.goto(f"{place.base}/attack", wait_until="commit")
    waited = {v.name for v in place.vectors if v.name not in APART and v.kind.trace != "dns"}
    await place.target.until_hit(waited, 60)
    await place.site.until_tried(20)
    await page.close()


async def go_elsewhere(browser: Browser, place: Arena, host: str) -> list[str]:
    """Open the pages that go to the target as a whole; return those that show its secret."""
    told = []
    page = await browser.new_page()
    for name in TOP:
        await page.goto(place.going_to(name, host), wait_until="commit")
        if await shows_secret(page):
            told.append(name)
    await page.close()
    return told


async def shows_secret(page: Page) -> bool:
    try:
        await page.wait_for_function(
            f"document.body?.innerText.includes({SECRET!r})", timeout=30_000
        )
    except Error:  # in time, it does not
        return False
    return True
