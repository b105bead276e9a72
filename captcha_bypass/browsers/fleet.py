"""Which browsers there are: started ahead of need, replaced for a cause, removed for certain."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from captcha_bypass.background import Background
from captcha_bypass.browsers.causes import Cause, part
from captcha_bypass.browsers.driver import Driver
from captcha_bypass.browsers.engines import Engine
from captcha_bypass.browsers.exits import Exits
from captcha_bypass.browsers.launcher import Launcher
from captcha_bypass.browsers.lease import Lease
from captcha_bypass.browsers.reaper import Workspace
from captcha_bypass.browsers.warm import WarmBrowser
from captcha_bypass.config.memory import PAGES_PER_BROWSER
from captcha_bypass.egress.guard import Egress
from captcha_bypass.errors import TaskError, Unguarded
from captcha_bypass.status import Browsers

logger = logging.getLogger(__name__)

#: A browser is started so many tasks before it is needed: about those that end during a launch.
TASKS_AHEAD = 4
#: Seconds until a launch that failed is tried again without a task that needs it.
RETRY_SECONDS = 5.0


@dataclass(frozen=True)
class Limits:
    """How many pages are lent at once, and when a browser is replaced; see Config."""

    slots: int = 1
    tasks_per_browser: int = 100
    max_browser_bytes: int = 2 * 1024**3
    sessions: int = 20
    session_ttl: float = 1800.0


class Fleet:
    """The browsers of one service. Used as `async with Fleet(...) as fleet`."""

    def __init__(
        self,
        engine: Engine,
        launcher: Launcher,
        driver: Driver,
        workspace: Workspace,
        egress: Egress,
        limits: Limits,
    ) -> None:
        self._engine = engine
        self._launcher = launcher
        self._driver = driver
        driver.on_lost = self._check_all
        self._workspace = workspace
        self._egress = egress
        self._limits = limits
        self._clock = asyncio.get_running_loop().time
        #: Those that are starting or running, the oldest first.
        self.browsers: list[WarmBrowser] = []
        self._restarts: Counter[str] = Counter()
        self._failure: str | None = None
        self._retry_at = 0.0
        self._closing = False
        #: Resolved once no browser of this machine may be used, with the reason.
        self.broken: asyncio.Future[Unguarded] = asyncio.get_running_loop().create_future()
        #: Set once the first browser has started and passed its self-check.
        self.ready = asyncio.Event()
        self.background = Background()
        self._exits = Exits(egress, self.background)

    async def __aenter__(self) -> Self:
        self.plan()
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
    def unavailable(self) -> str | None:
        """Why no browser can be had; None while one runs, or may still start."""
        return None if any(b.launched and not b.dead for b in self.browsers) else self._failure

    def obstacle(self, browser: WarmBrowser) -> str:
        """Say why a task got no page of a browser in time."""
        if browser.launched is not None:
            return "its browser was too busy to open one"
        return self._failure or f"{self._engine.name} was still starting"

    def census(self) -> Browsers:
        """Count browsers, without asking them."""
        running = [browser for browser in self.browsers if browser.launched]
        return Browsers(
            tasks=[browser.served for browser in running],
            starting=len(self.browsers) - len(running),
            restarts=dict(self._restarts),
        )

    def reserve(self, lease: Lease, *, alone: bool) -> WarmBrowser:
        """Give a task its place in a browser, which may still be starting."""
        browser = self._next(alone=alone)
        while browser is not None and not browser.alive:
            self.check(browser)  # died just now
            browser = self._next(alone=alone)
        browser = browser or self._start()
        browser.exclusive = alone
        self.seat(browser, lease)
        return browser

    def for_sessions(self) -> WarmBrowser:
        """Return the browser that new sessions live in, which may still be starting.

        One that was started for a session which ended meanwhile serves the next: else whoever
        begins and ends them would start one each time.
        """
        keeping = [b for b in self.browsers if b.sessions and not b.dead and not b.retiring]
        unused = [b for b in self.browsers if b.accepting and not b.leases]
        unused.sort(key=lambda b: (b.launched is None, b.served))
        return next(iter([*keeping, *unused]), None) or self._start()

    def seat(self, browser: WarmBrowser, lease: Lease) -> None:
        """Give a task a place in a certain browser."""
        browser.leases.add(lease)
        browser.served += 1
        self.plan()

    def release(self, browser: WarmBrowser, lease: Lease) -> None:
        """Take a task's place back; its page is closed already, or is being closed."""
        browser.leases.discard(lease)
        browser.exclusive = False
        browser.idle_since = self._clock()
        if browser.served >= self._limits.tasks_per_browser and not browser.sessions:
            self.retire(browser, "tasks")
        elif browser.retiring:
            self.retire(browser, browser.retiring)
        self.plan()

    def retire(self, browser: WarmBrowser, cause: Cause) -> None:
        """Give a browser no more tasks, and close it once it has none, and no sessions."""
        browser.retiring = browser.retiring or cause
        if not browser.leases and not browser.sessions and not browser.dead:
            self.background.run(self._remove(browser, browser.retiring))

    async def kill(self, browser: WarmBrowser, cause: Cause, culprit: Lease | None = None) -> None:
        """Kill a browser that hangs; the tasks that merely shared it are told that they lost it."""
        if not browser.dead and not self._closing:
            part(browser.leases, cause, culprit)
            browser.dead = True  # it would go on while it is asked to close
            await self._remove(browser, cause)
            self.background.run(self._question_driver())

    def check(self, browser: WarmBrowser) -> None:
        """Deal with a browser that may have died."""
        if browser.dead or browser.launched is None:
            return
        if not self._driver.alive:
            self._bury(browser, "driver")
        elif not browser.alive or not browser.launched.browser.is_connected():
            self._bury(browser, "crash")

    def plan(self) -> None:
        """Start what the next tasks will need."""
        if self._closing:
            return
        most = self._limits.tasks_per_browser
        wanted = min(self._limits.slots + TASKS_AHEAD, max(1, most // 2))
        left = sum(most - browser.served for browser in self.browsers if browser.accepting)
        if left < wanted and self._clock() >= self._retry_at:
            self._start()
        ready = self._next()
        spare = any(browser.has_spare for browser in self.browsers if browser.accepting)
        if ready and ready.launched and not spare:
            ready.prepare()

    def _next(self, *, alone: bool = False) -> WarmBrowser | None:
        """Choose the browser for the next task, or None if all are full.

        First the one with a page ready, then the oldest, so that it is used up; last one that is
        still starting.
        """
        room = 0 if alone else PAGES_PER_BROWSER - 1
        fitting = [
            browser
            for browser in self.browsers
            if browser.accepting
            and len(browser.leases) <= room
            and browser.served < self._limits.tasks_per_browser
        ]
        return min(fitting, key=lambda b: (b.launched is None, not b.has_spare), default=None)

    def _start(self) -> WarmBrowser:
        browser = WarmBrowser(
            self._engine,
            self._launcher,
            self._egress,
            self.background,
            self._exits,
            report=self._on_report,
        )
        self.browsers.append(browser)
        self.background.run(self._watch_start(browser))
        return browser

    def _on_report(self, browser: WarmBrowser, cause: Cause) -> None:
        if cause in ("page_crash", "popups"):
            self.retire(browser, cause)
        elif cause == "open":
            self.background.run(self.kill(browser, cause))
        else:
            self.check(browser)

    async def _watch_start(self, browser: WarmBrowser) -> None:
        try:
            await browser.started()
        except (TaskError, Unguarded) as error:
            self._failure = str(error)
            self._retry_at = self._clock() + RETRY_SECONDS
            browser.dead = True
            self.browsers.remove(browser)
            logger.error("%s", error)
            if isinstance(error, Unguarded) and not self.broken.done():
                self.broken.set_result(error)
        else:
            self._failure = None
            self._retry_at = 0.0
            self.ready.set()
            self._clear_leftovers()
            self.plan()

    def _bury(self, browser: WarmBrowser, cause: Cause) -> None:
        part(browser.leases, cause)
        browser.dead = True
        self.background.run(self._remove(browser, cause))

    async def _remove(self, browser: WarmBrowser, cause: Cause) -> None:
        """End a browser for certain and account for it."""
        if browser not in self.browsers:
            return
        self.browsers.remove(browser)
        if cause != "idle":  # nothing was wrong with it, and nothing replaces it
            self._restarts[cause] += 1
        self.plan()
        if cause not in ("tasks", "memory", "idle", "page_crash", "popups"):
            browser.dead = True  # it will not close by itself
        await browser.close()
        logger.info(
            "browser closed" if cause == "idle" else "browser replaced",
            extra={
                "cause": cause,
                "tasks": browser.served,
                "seconds": round(self._clock() - browser.started_at, 3),
            },
        )
        self._clear_leftovers()

    def _clear_leftovers(self) -> None:
        if all(browser.launched for browser in self.browsers):
            profiles = [b.launched.profile for b in self.browsers if b.launched]
            self._workspace.clear_leftovers([profile for profile in profiles if profile])

    async def _question_driver(self) -> None:
        """A browser that hung may not have been the one that hung."""
        if self._driver.alive and not await self._driver.answers():
            logger.warning("the Playwright driver hangs: killing it")
            self._driver.kill()
            self._check_all()

    def _check_all(self) -> None:
        for browser in list(self.browsers):
            self.check(browser)
