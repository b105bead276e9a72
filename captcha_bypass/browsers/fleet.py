"""Which browsers there are: started ahead of need, replaced for a cause, removed for certain."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from captcha_bypass.browsers.browser import Browser
from captcha_bypass.browsers.launch.engines import Engine
from captcha_bypass.browsers.launch.launcher import Launcher
from captcha_bypass.browsers.lease import Lease
from captcha_bypass.browsers.retirement import HANGS
from captcha_bypass.browsers.tabs import Means
from captcha_bypass.browsers.time_zones import TimeZones
from captcha_bypass.concurrency import Background
from captcha_bypass.config.memory import PAGES_PER_BROWSER
from captcha_bypass.egress.guards import Egress
from captcha_bypass.errors import TaskError, Unguarded
from captcha_bypass.status import Browsers

logger = logging.getLogger(__name__)

#: A browser is started so many tasks before it is needed: about those that end during a launch.
TASKS_AHEAD = 4
#: Seconds until a launch that failed is tried again without a task that needs it.
RETRY_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How many pages are lent at once, and when a browser is replaced; see Config.

    Attributes:
        slots: Config.workers.
    """

    slots: int
    tasks_per_browser: int
    max_browser_bytes: int


@dataclass(frozen=True)
class Step:
    """What is to be done about the browsers next.

    Attributes:
        close: Those that are finished.
        start: Whether one more is needed.
        prepare: The one that makes a page ready for the next task.
    """

    close: list[Browser]
    start: bool
    prepare: Browser | None


class Fleet:
    """The browsers of one service. Used as `async with Fleet(...) as fleet`.

    Whatever happens to a browser, it tells `update`, which decides at once and without asking anybody,
    and does in the background what it has decided.
    """

    def __init__(
        self, engine: Engine, launcher: Launcher, egress: Egress, *, limits: Limits
    ) -> None:
        self._engine = engine
        self._launcher = launcher
        launcher.driver.when_lost(self._check_all)
        self._limits = limits
        self._clock = asyncio.get_running_loop().time
        #: Those that are starting or running, the oldest first.
        self._browsers: list[Browser] = []
        self._restarts: Counter[str] = Counter()
        self._failure: str | None = None
        self._retry_at = 0.0
        self._closing = False
        #: Resolved once no browser of this machine may be used, with the reason.
        self.broken: asyncio.Future[Unguarded] = asyncio.get_running_loop().create_future()
        #: Set once the first browser has started and passed its self-check.
        self.ready = asyncio.Event()
        #: Work on browsers that nobody waits for; ended with the fleet.
        self.background = Background()
        time_zones = TimeZones(egress, self.background)
        self._means = Means(engine, egress, time_zones, self.background)

    async def __aenter__(self) -> Self:
        self.update()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._closing = True
        await self.background.close()

    @property
    def browsers(self) -> list[Browser]:
        """Those that are starting or running, the oldest first; the list is the caller's."""
        return list(self._browsers)

    @property
    def unavailable(self) -> str | None:
        """Why no browser can be had; None while one runs, or may still start."""
        return None if any(b.is_running for b in self._browsers) else self._failure

    @property
    def obstacle(self) -> str:
        """See lifecycle.Owner."""
        return self._failure or f"{self._engine.name} was still starting"

    def counts(self) -> Browsers:
        """Count browsers, without asking them."""
        started = [browser for browser in self._browsers if browser.has_started]
        return Browsers(
            tasks=[browser.occupants.served for browser in started],
            starting=len(self._browsers) - len(started),
            restarts=dict(self._restarts),
            bytes=[browser.bytes for browser in started],
            each=[browser.now() for browser in started],
        )

    def lend(self, *, alone: bool) -> Lease:
        """Give a task its place in a browser, which may still be starting."""
        browser = self._next(alone=alone)
        while browser is not None:
            browser.check()
            if not browser.is_dead:
                break
            browser = self._next(alone=alone)  # it died just now
        browser = browser or self._start()
        lease = Lease(browser, alone=alone)
        browser.seat(lease)
        return lease

    def home_for_session(self) -> Browser:
        """Return the browser that a new session lives in, which may still be starting.

        One that was started for a session which ended meanwhile serves the next: else whoever
        begins and ends them would start one each time.
        """
        keeping = [b for b in self._browsers if b.occupants.sessions and b.is_active]
        unused = [b for b in self._browsers if b.accepts_tasks and not b.occupants.tasks]
        unused.sort(key=lambda b: (not b.has_started, b.occupants.served))
        return next(iter([*keeping, *unused]), None) or self._start()

    def update(self) -> None:
        """Bring the browsers in line with what has happened; called after each change."""
        if self._closing:
            return
        step = self._decide()
        for browser in step.close:
            self._browsers.remove(browser)
            self.background.run(self._close(browser))
            if browser.cause not in (
                None,
                "idle",
            ):  # nothing was wrong with it, nothing replaces it
                self._restarts[str(browser.cause)] += 1
        if step.start:
            self._start()
        if step.prepare is not None:
            step.prepare.tabs.prepare()

    def _decide(self) -> Step:
        """Say what the next tasks will need, and what is needed no more."""
        most = self._limits.tasks_per_browser
        wanted = min(self._limits.slots + TASKS_AHEAD, max(1, most // 2))
        usable = [browser for browser in self._browsers if browser.accepts_tasks]
        left = sum(browser.occupants.tasks_left for browser in usable)
        ready = self._next()
        is_ready = ready is not None and ready.has_started
        spare = any(browser.has_spare for browser in usable)
        return Step(
            close=[browser for browser in self._browsers if browser.is_finished],
            start=left < wanted and self._clock() >= self._retry_at,
            prepare=ready if is_ready and not spare else None,
        )

    def _next(self, *, alone: bool = False) -> Browser | None:
        """Choose the browser for the next task, or None if all are full.

        First the one with a page ready, then the oldest, so that it is used up; last one that is
        still starting.
        """
        room = 0 if alone else PAGES_PER_BROWSER - 1
        fitting = [
            browser
            for browser in self._browsers
            if browser.accepts_tasks
            and browser.occupants.tasks <= room
            and browser.occupants.tasks_left > 0
        ]
        return min(fitting, key=lambda b: (not b.has_started, not b.has_spare), default=None)

    def _start(self) -> Browser:
        browser = Browser(self._means, self._launcher, self._limits.tasks_per_browser, self)
        self._browsers.append(browser)
        return browser

    def on_started(self) -> None:
        """See lifecycle.Owner."""
        self._failure = None
        self._retry_at = 0.0
        self.ready.set()
        self._clear_leftovers()
        self.update()

    def on_not_started(self, error: TaskError | Unguarded) -> None:
        """See lifecycle.Owner."""
        self._failure = str(error)
        self._retry_at = self._clock() + RETRY_SECONDS
        logger.error("%s", error)
        if isinstance(error, Unguarded) and not self.broken.done():
            self.broken.set_result(error)
        self.update()

    async def _close(self, browser: Browser) -> None:
        """End a browser for certain, and say why."""
        await browser.close()
        if browser.cause is not None:  # else it has never run
            message = "browser closed" if browser.cause == "idle" else "browser replaced"
            seconds = round(browser.seconds, 3)
            told = {"cause": browser.cause, "tasks": browser.occupants.served, "seconds": seconds}
            logger.info(message, extra=told)
        self._clear_leftovers()
        if browser.cause in HANGS:
            await self._launcher.driver.kill_if_it_hangs()

    def _clear_leftovers(self) -> None:
        if all(browser.has_started for browser in self._browsers):
            profiles = [browser.process.profile for browser in self._browsers]
            self._launcher.workspace.clear_leftovers([profile for profile in profiles if profile])

    def _check_all(self) -> None:
        for browser in self.browsers:
            browser.check()
