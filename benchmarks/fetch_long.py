"""What only shows in the long run: memory over thousands of fetches, and whole crawls."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import psutil

from benchmarks.adapters import Solve
from benchmarks.contest import challenge_site, say
from benchmarks.contestants import ROOT
from benchmarks.meter import ProcessTree
from tests.support.service import Service

#: Fetches between two readings of the memory, and how many are under way at once.
STEPS, AT_ONCE = 20, 16
_ELAPSED = re.compile(r"'elapsed_time_seconds': ([\d.]+)")
_SCRAPED = re.compile(r"'item_scraped_count': (\d+)")


@dataclass(frozen=True)
class Growth:
    """Bytes after so many fetches: proportional set sizes of the tree, and Python's resident set."""

    fetches: int
    pss: int
    python: int


async def growth(
    adapter: Callable[[aiohttp.ClientSession, str], Solve],
    service: Service,
    tree: ProcessTree,
    page: Callable[[], str],
    fetches: int,
) -> list[Growth]:
    """Fetch so many pages, and read the memory now and then."""
    python = psutil.Process(service.process.pid)
    found = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        solve = adapter(http, service.url)
        for step in range(STEPS + 1):
            tree.look()
            done = step * fetches // STEPS
            found.append(Growth(done, tree.pss() or 0, python.memory_info().rss))
            say(f"{done:,} fetches: {found[-1].pss / 1e6:.0f} MB")
            if step < STEPS:
                await _many(solve, page, (step + 1) * fetches // STEPS - done)
    return found


async def _many(solve: Solve, page: Callable[[], str], count: int) -> None:
    left = iter(range(count))

    async def client() -> None:
        for _ in left:
            if error := (await solve(page())).error:
                raise RuntimeError(error)

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))


async def crawls(service: str, pages: int) -> dict[str, float]:
    """Crawl the fingerprint site through /fetch, and the same pages where everybody may; pages/s."""
    found = {}
    with challenge_site(0.4, "demo/fingerprint_site.py") as site:
        for name, path, settings in (
            ("fingerprint site, mode fetch", "page", ("-s", "CAPTCHA_BYPASS_MODE=fetch")),
            ("fingerprint site, mode auto", "page", ("-s", "CAPTCHA_BYPASS_MODE=auto")),
            ("open site", "open", ()),
        ):
            found[name] = await _crawl(service, site, path, pages, settings)
            say(f"{name}: {found[name]:.1f} pages/s")
    return found


async def _crawl(
    service: str, site: str, path: str, pages: int, settings: tuple[str, ...]
) -> float:
    # A crawl of one host: Scrapy's own bound of 8 requests at once to it is the default.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scrapy", "runspider", "demo/challenged_spider.py"),
        *("-a", f"site={site}", "-a", f"pages={pages}", "-a", f"path={path}", *settings),
        cwd=ROOT,
        env={**os.environ, "CAPTCHA_BYPASS_URL": service},
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await process.communicate()
    log = error.decode(errors="replace")
    scraped, elapsed = _SCRAPED.search(log), _ELAPSED.search(log)
    if scraped is None or elapsed is None or int(scraped[1]) != pages:
        raise RuntimeError(f"the crawl failed: {log[-3000:]}")
    return pages / float(elapsed[1])
