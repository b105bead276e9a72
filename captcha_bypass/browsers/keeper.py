"""Looks after browsers that nobody asks about: the dead, the idle and the large."""

from __future__ import annotations

import asyncio
import logging

from captcha_bypass.browsers.fleet import Fleet
from captcha_bypass.browsers.reaper import weigh_tree

logger = logging.getLogger(__name__)

#: Seconds between two looks at the browsers.
TEND_EVERY = 1.0
#: Seconds without a task after which a browser is closed, if it is not the last.
IDLE_SECONDS = 60.0
#: Seconds between two looks at the memory of a browser that is being used.
WEIGH_EVERY = 5.0


class Keeper:
    """Tends a fleet.

    Args:
        max_browser_bytes: See Config.
    """

    def __init__(self, fleet: Fleet, max_browser_bytes: int) -> None:
        self._fleet = fleet
        self._max_browser_bytes = max_browser_bytes
        self._clock = asyncio.get_running_loop().time
        self._weigh_at = 0.0

    async def keep(self) -> None:
        """Tend the fleet for ever, whatever goes wrong."""
        while True:
            await asyncio.sleep(TEND_EVERY)
            try:
                await self._tend()
            except Exception:
                logger.exception("looking after the browsers failed")

    async def _tend(self) -> None:
        for browser in list(self._fleet.browsers):
            self._fleet.check(browser)
        self._close_idle()
        self._fleet.plan()
        if self._clock() >= self._weigh_at:
            self._weigh_at = self._clock() + WEIGH_EVERY
            await self._retire_large()

    def _close_idle(self) -> None:
        """Close browsers that had nothing to do for long; the one with most tasks left stays."""
        ready = [b for b in self._fleet.browsers if b.launched and b.accepting]
        for browser in sorted(ready, key=lambda b: -b.served)[:-1]:
            if not browser.leases and self._clock() - browser.idle_since > IDLE_SECONDS:
                self._fleet.retire(browser, "idle")

    async def _retire_large(self) -> None:
        for browser in list(self._fleet.browsers):
            unused = not browser.leases and browser.weighed == browser.served
            if browser.launched is None or browser.dead or unused:
                continue
            browser.weighed = browser.served
            size = await asyncio.to_thread(weigh_tree, browser.launched.root)
            if size > self._max_browser_bytes and not browser.dead:
                self._fleet.retire(browser, "memory")
            if size > 2 * self._max_browser_bytes and browser.sessions:
                # Their users come back as often as they like, so it would never be closed.
                await self._fleet.kill(browser, "memory")
