"""Watches browsers while they have tasks: one page must not take the machine, or starve the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import psutil

from captcha_bypass.browsers.browser import Browser
from captcha_bypass.browsers.fleet import Fleet
from captcha_bypass.browsers.launch.driver import Driver
from captcha_bypass.browsers.launch.processes import resident_trees
from captcha_bypass.browsers.rounds import every
from captcha_bypass.concurrency import within

#: Seconds between two looks; a script can take a gigabyte a second.
LOOK_EVERY = 0.25
#: What a browser with a few ordinary pages holds, and what it needs at least to show any.
BROWSER_BYTES = 512 * 1024**2
LEAST_BYTES = 256 * 1024**2
#: Seconds between two questions to a browser whether it is there; 10 ms is normal.
BEAT_EVERY = 1.0
#: Seconds that an answer may always take.
LATE_SECONDS = 1.0
#: CPU seconds that a browser's first process spends on other things before it comes to a question
#: of 10 ms. So many, and it gets no more tasks until it has answered;
STRAINED_CPU = 0.4
#: so many, and it starves the pages that it has;
STARVED_CPU = 0.8
#: so many, and it is ended for the tasks of other browsers too, whose CPU it takes. A browser that
#: is slow because the machine is does not use any.
HOGGING_CPU = 2.5
#: CPU seconds below which a driver that is late does not work at all: its browsers are asked through
#: it, so their silence is its own.
STOPPED_CPU = 0.05
#: Seconds until a question is given up; the browser has long been killed, or is alone.
GIVE_UP_SECONDS = 30.0


@dataclass
class _Beat:
    asked: asyncio.Task[None]
    at: float
    #: CPU seconds that the process asked had used then.
    cpu: float

    @property
    def was_answered(self) -> bool:
        """Whether it was, and not given up."""
        asked = self.asked
        return asked.done() and not asked.cancelled() and asked.exception() is None

    @property
    def is_late(self) -> bool:
        """Whether the answer takes longer than it may."""
        return not self.asked.done() and time.monotonic() - self.at >= LATE_SECONDS

    def spent(self, pid: int) -> float:
        """Return the CPU seconds that the process has used since; 0 while the answer is in time."""
        return _cpu_seconds(pid) - self.cpu if self.is_late else 0.0


class Watchdog:
    """Ends what a page does to its browser before other tasks suffer.

    Args:
        max_browser_bytes: See Config. A browser may hold as much, and what it needs by itself.
    """

    def __init__(self, fleet: Fleet, driver: Driver, max_browser_bytes: int) -> None:
        self._fleet = fleet
        self._driver = driver
        self._max_bytes = max(max_browser_bytes, LEAST_BYTES) + BROWSER_BYTES
        self._beats: dict[Browser, _Beat] = {}
        self._driver_beat: _Beat | None = None

    async def keep(self) -> None:
        """Watch for ever, whatever goes wrong."""
        await every(LOOK_EVERY, self._look)

    async def _look(self) -> None:
        running = [browser for browser in self._fleet.browsers if browser.is_running]
        busy = [browser for browser in running if browser.occupants.tasks]
        if busy:
            await self._weigh(busy)
        # One that is strained gets no tasks: nobody else would find out that it is well again.
        asked = [browser for browser in running if browser in busy or browser.is_strained]
        if asked:
            await self._listen(asked)

    async def _weigh(self, busy: list[Browser]) -> None:
        pids = [browser.process.root.pid for browser in busy]
        rough = await asyncio.to_thread(resident_trees, pids)
        for browser, pid in zip(busy, pids, strict=True):
            # Memory that its processes share counts for each: the exact figure takes longer.
            if rough[pid] > self._max_bytes and not browser.is_dead:
                size = await browser.weigh()
                if size > self._max_bytes:
                    await browser.kill("memory")

    async def _listen(self, asked: list[Browser]) -> None:
        for gone in set(self._beats) - set(asked):
            self._beats.pop(gone).asked.cancel()
        spent = {browser: self._follow(browser) for browser in asked}
        tasks = sum(browser.occupants.tasks for browser in self._fleet.browsers)
        beat, pid = self._driver_beat, self._driver.pid
        if beat is None or self._is_due(beat):
            self._driver_beat = self._ask(self._driver.beat, pid)
        elif beat.spent(pid) >= STARVED_CPU and tasks > 1:
            # It reads what all browsers say: the one that says most is the busiest.
            busiest = max(asked, key=spent.__getitem__)
            if spent[busiest] >= STRAINED_CPU:
                await busiest.kill("busy")
            return
        elif beat.is_late and beat.spent(pid) < STOPPED_CPU:
            return
        for browser in asked:
            others = tasks > browser.occupants.tasks and spent[browser] >= HOGGING_CPU
            if spent[browser] >= STARVED_CPU and (browser.occupants.tasks > 1 or others):
                await browser.kill("busy")

    def _follow(self, browser: Browser) -> float:
        """Return the CPU seconds that a browser has spent while a question to it waits.

        Where it has answered, it is asked again; where it is slow to, it gets no more tasks.
        """
        process = browser.process
        pid = process.root.pid
        beat = self._beats.get(browser)
        if beat is None or self._is_due(beat):
            if beat is not None and beat.was_answered:
                browser.relax()
            self._beats[browser] = self._ask(process.beat, pid)
            return 0.0
        spent = beat.spent(pid)
        if spent >= STRAINED_CPU:
            browser.strain()
        return spent

    def _ask(self, question: Callable[[], Coroutine[Any, Any, None]], pid: int) -> _Beat:
        asked = self._fleet.background.start(_answered(question))
        return _Beat(asked, time.monotonic(), _cpu_seconds(pid))

    def _is_due(self, beat: _Beat) -> bool:
        return beat.asked.done() and time.monotonic() - beat.at >= BEAT_EVERY


async def _answered(question: Callable[[], Coroutine[Any, Any, None]]) -> None:
    # The question begins here: one that is cancelled before that was never asked.
    await within(GIVE_UP_SECONDS, question())


def _cpu_seconds(pid: int) -> float:
    try:
        used = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(used.user + used.system)
