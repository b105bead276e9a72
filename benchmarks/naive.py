"""The floor to measure against: a bare Playwright loop, as its documentation teaches it.

    python -m benchmarks.naive warm|cold

Reads `{"id": ..., "url": ...}` from stdin, one a line, and answers each with a line: `id` and
either `cookies`, `html` and `user_agent`, or `error`. `warm` keeps one browser, `cold` launches
one per line. Lines are worked on side by side as they come; the end of stdin ends it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import Browser, Playwright, async_playwright

from demo.challenge_pages import SUCCESS_TEXT

Answer = dict[str, Any]
Solve = Callable[[str], Awaitable[Answer]]


def firefox() -> str:
    """Return the path of the installed Firefox."""
    found = shutil.which("firefox-esr") or shutil.which("firefox")
    if found is None:
        raise SystemExit("no Firefox is installed; run `apt-get install firefox-esr`")
    return found


async def _launch(playwright: Playwright) -> Browser:
    return await playwright.firefox.launch(
        channel="moz-firefox", executable_path=firefox(), headless=True
    )


async def _solve(browser: Browser, url: str) -> Answer:
    context = await browser.new_context()
    try:
        page = await context.new_page()
        await page.goto(url)
        await page.get_by_text(SUCCESS_TEXT).wait_for()
        return {
            "cookies": await context.cookies(),
            "html": await page.content(),
            "user_agent": await page.evaluate("navigator.userAgent"),
        }
    finally:
        await context.close()


async def _solve_cold(playwright: Playwright, url: str) -> Answer:
    browser = await _launch(playwright)
    try:
        return await _solve(browser, url)
    finally:
        await browser.close()


async def _answer(line: str, solve: Solve) -> None:
    order = json.loads(line)
    try:
        answer = await solve(order["url"])
    except Exception as error:  # noqa: BLE001 - whatever it is, this solve failed
        answer = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps({"id": order["id"], **answer}) + "\n")
    sys.stdout.flush()


async def _serve(solve: Solve) -> None:
    async with asyncio.TaskGroup() as tasks:
        while line := await asyncio.to_thread(sys.stdin.readline):
            tasks.create_task(_answer(line, solve))


async def main(kind: str) -> None:
    """Answer until stdin ends."""
    async with async_playwright() as playwright:
        if kind == "cold":
            await _serve(lambda url: _solve_cold(playwright, url))
            return
        browser = await _launch(playwright)
        try:
            await _serve(lambda url: _solve(browser, url))
        finally:
            await browser.close()


if __name__ == "__main__":
    if sys.argv[1:] not in (["warm"], ["cold"]):
        raise SystemExit(__doc__)
    asyncio.run(main(sys.argv[1]))
