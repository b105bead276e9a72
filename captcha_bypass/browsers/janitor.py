"""Looks after browsers that nobody asks about: the dead, the idle and the large."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from captcha_bypass.browsers.browser import Browser
from captcha_bypass.browsers.fleet import Fleet
from captcha_bypass.browsers.rounds import every

#: Seconds between two looks at the browsers.
TEND_EVERY = 1.0
#: Seconds without a task after which a browser is closed, if it is not the last.
IDLE_SECONDS = 60.0
#: Seconds between two looks at the memory of a browser that is being used.
WEIGH_EVERY = 5.0


class Janitor:
    """Tends a fleet.

    Args:
        max_browser_bytes: See Config.
    """

    def __init__(self, fleet: Fleet, max_browser_bytes: int) -> None:
        self._fleet = fleet
        self._max_browser_bytes = max_browser_bytes
        self._clock = asyncio.get_running_loop().time
        self._weigh_at = 0.0
        #: How often each had been used when it was last weighed.
        self._weighed: WeakKeyDictionary[Browser, int] = WeakKeyDictionary()

    async def keep(self) -> None:
        """Tend the fleet for ever, whatever goes wrong."""
        await every(TEND_EVERY, self._tend)

    async def _tend(self) -> None:
        for browser in self._fleet.browsers:
            browser.check()
        self._close_idle()
        self._fleet.update()
        if self._clock() >= self._weigh_at:
            self._weigh_at = self._clock() + WEIGH_EVERY
            await self._retire_large()

    def _close_idle(self) -> None:
        """Close browsers that had nothing to do for long; the one with most tasks left stays."""
        ready = [b for b in self._fleet.browsers if b.has_started and b.accepts_tasks]
        for browser in sorted(ready, key=lambda b: b.occupants.tasks_left)[:-1]:
            if browser.occupants.idle_seconds > IDLE_SECONDS:
                browser.retire("idle")

    async def _retire_large(self) -> None:
        """Weigh those that were used since, and each once it runs."""
        for browser in self._fleet.browsers:
            uses = browser.occupants.uses
            unused = not browser.occupants.tasks and self._weighed.get(browser) == uses
            if unused or not browser.is_running:
                continue
            self._weighed[browser] = uses
            size = await browser.weigh()
            if not uses:
                continue  # its size is not its tasks' doing, and the next would have the same
            if size > self._max_browser_bytes:
                browser.retire("memory")
            if size > 2 * self._max_browser_bytes and browser.occupants.sessions:
                # Their users come back as often as they like, so it would never be closed.
                await browser.kill("memory")
