"""What a page shows that did not come to what its task waited for, for the operator."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine
from typing import TypeVar

from playwright.async_api import Error, Page

from captcha_bypass.concurrency import within
from captcha_bypass.history import Evidence
from captcha_bypass.history.timeline import cut
from captcha_bypass.solving.bounds import Bounds
from captcha_bypass.solving.isolated import ask

#: Seconds for all of it; a picture takes 0.1 where the page's scripts leave it the time.
CAPTURE_SECONDS = 2.0
#: Likewise of a page that waited for a person: two seconds after that it has to be gone.
WAITED_SECONDS = 0.5
#: Past its task's deadline by so many seconds nothing is begun or waited for: at five the page's
#: browser is killed.
GRACE_SECONDS = 4.5
#: Of a JPEG: text can be read, and a window of 1280x720 takes 50 to 150 kB.
JPEG_QUALITY = 50

T = TypeVar("T")


async def capture(page: Page, html: str, bounds: Bounds, owner: str) -> Evidence | None:
    """Return what a page shows, as far as it can be had in time; None: nothing of the site's.

    Args:
        html: Its HTML; empty: it is not known yet.
        owner: Whose it will be.
    """
    left = bounds.deadline + GRACE_SECONDS - asyncio.get_running_loop().time()
    seconds = min(WAITED_SECONDS if bounds.was_moved else CAPTURE_SECONDS, left)
    if seconds <= 0 or page.url == "about:blank":
        return None
    # What the window shows, not the whole page, which may be as high as it likes.
    shot = page.screenshot(type="jpeg", quality=JPEG_QUALITY, scale="css", timeout=1000 * seconds)
    if html:
        jpeg = await _in_time(seconds, shot)
    else:
        limit = {"limit": bounds.max_html_bytes}
        asking = ask(page.main_frame, "collect", limit)
        jpeg, answer = await asyncio.gather(_in_time(seconds, shot), _in_time(seconds, asking))
        about, _, html = (answer or "{}").partition("\n")
        if json.loads(about).get("errorPage"):
            return None  # which is the browser's own
    if not html and jpeg is None:
        return None
    source = html.encode("utf-8", "replace") if html else None
    return Evidence(owner, cut(page.url), source, jpeg, time.time())


async def _in_time(seconds: float, part: Coroutine[None, None, T]) -> T | None:
    try:
        return await within(seconds, part)
    except (Error, TimeoutError):
        return None
