"""The demo's crawl: one Scrapy spider, many challenged pages, one solve."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from yarl import URL

from demo.programs import DemoError, say, stop, uninterrupted

SPIDER = Path(__file__).with_name("challenged_spider.py")
PAGES = 200
STAT = re.compile(
    r"'((?:captcha_bypass|item_scraped|downloader/(?:request|response_status))\w*"
    r"[^']*count[^']*)': (\d+)"
)


async def crawl(service: URL, site: URL) -> None:
    """Let a spider that knows nothing of challenges crawl the site, and look at its stats."""
    command = ("-m", "scrapy", "runspider", str(SPIDER), "-a", f"site={site}", "-a")
    say(f"\n==> scrapy runspider {SPIDER.name} -a site={site} -a pages={PAGES}")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        f"pages={PAGES}",
        cwd=SPIDER.parents[1],
        env={**os.environ, "CAPTCHA_BYPASS_URL": str(service)},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    log: list[str] = []
    try:
        async for line in process.stderr:
            log.append(line.decode(errors="replace").rstrip())
            if "[captcha_bypass_scrapy]" in log[-1]:
                say(f"    {log[-1].partition('INFO: ')[2] or log[-1]}")
        await process.wait()
    finally:
        await uninterrupted(stop(process, "crawl"))
    stats = {name: int(value) for name, value in STAT.findall("\n".join(log))}
    for name in sorted(stats):
        say(f"    {name + ':':48}{stats[name]}")
    wanted = {"item_scraped_count": PAGES, "captcha_bypass/solve/count": 1}
    if any(stats.get(name) != value for name, value in wanted.items()):
        raise DemoError(f"the crawl should have ended with {wanted}; " + "\n".join(log[-40:]))
