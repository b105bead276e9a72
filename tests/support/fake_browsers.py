"""Browsers that fail on command, for faults that no real browser shows when it is asked to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from playwright.async_api import Error

from captcha_bypass.browsers.fleet import Limits
from captcha_bypass.browsers.launch.engines import Firefox
from captcha_bypass.browsers.launch.launcher import LAUNCH_SECONDS, BrowserProcess
from captcha_bypass.browsers.tab import Tab
from captcha_bypass.egress.routes import Permit
from captcha_bypass.errors import TaskError
from captcha_bypass.solving.outcome import Findings, Outcome
from captcha_bypass.wire.task import Task

#: The settings' defaults, for a pool with one slot.
LIMITS = Limits(slots=1, tasks_per_browser=100, max_browser_bytes=2 * 1024**3)
GONE = "Target page, context or browser has been closed"


class FakeRoot:
    """Stands in for the browser's first process."""

    def __init__(self) -> None:
        self.running = True

    def status(self) -> str:
        return psutil.STATUS_RUNNING if self.running else psutil.STATUS_ZOMBIE


class _Emitter:
    def __init__(self) -> None:
        self._listeners: dict[str, list[Callable[[Any], None]]] = {}

    def on(self, event: str, listener: Callable[[Any], None]) -> None:
        self._listeners.setdefault(event, []).append(listener)

    def emit(self, event: str, value: object) -> None:
        for listener in self._listeners.get(event, []):
            listener(value)


class FakeBrowser(_Emitter):
    """A browser; `world` says how it behaves at each moment."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.root = FakeRoot()
        self.pages: set[FakePage] = set()

    def is_connected(self) -> bool:
        return self.root.running

    async def do(self, seconds: float, *, hangs: bool = False) -> None:
        """Do something that takes time, for ever where it hangs or the driver is frozen."""
        if hangs or self.world.frozen:
            await asyncio.Future()
        await asyncio.sleep(seconds)
        if not self.root.running:
            raise Error(GONE)

    def die(self) -> None:
        if self.root.running:
            self.root.running = False
            self.pages.clear()
            self.emit("disconnected", self)

    async def close(self) -> None:
        await self.do(0.4, hangs=self.world.close_hangs)
        self.die()


class FakePage(_Emitter):
    """A page; its context is itself."""

    def __init__(self, browser: FakeBrowser) -> None:
        super().__init__()
        self.browser = browser
        self.url = "about:blank"
        browser.pages.add(self)

    @property
    def context(self) -> FakePage:
        return self

    @property
    def page(self) -> FakePage:
        return self

    async def new_page(self) -> FakePage:
        await self.browser.do(0.2, hangs=self.browser.world.open_hangs)
        return self

    async def goto(self, url: str, wait_until: str) -> None:
        await self.browser.do(0.02, hangs=self.browser.world.open_hangs)

    def set_default_timeout(self, timeout: float) -> None:
        """Nothing here waits with a timeout of its own."""

    async def close(self) -> None:
        world = self.browser.world
        await self.browser.do(world.page_close_seconds, hangs=world.close_hangs)
        self.browser.pages.discard(self)


class FakeGuard:
    """Nothing goes through it."""

    url = "http://127.0.0.1:1"
    overrun = gate = None

    def __init__(self, egress: FakeEgress) -> None:
        self._egress = egress
        egress.open.add(self)

    def admit(self, permit: Permit) -> None:
        """Anything goes."""

    def failure(self, url: str) -> None:
        """Nothing fails in it."""

    async def close(self) -> None:
        self._egress.open.discard(self)


class FakeEgress:
    """Opens guards that do nothing, and knows which are open."""

    def __init__(self) -> None:
        self.open: set[FakeGuard] = set()

    async def guard(self) -> FakeGuard:
        return FakeGuard(self)

    def check(self, permit: object) -> None:
        """Every task may go where it likes."""


class FakeEngine:
    """Opens fake contexts."""

    name, version, warning, fits_time_zone = "fake", "1", None, False
    pace = Firefox.pace

    async def new_context(
        self, browser: FakeBrowser, guard: str, *, time_zone: str | None = None
    ) -> FakePage:
        await browser.do(0.05)
        return FakePage(browser)


class World:
    """Driver, launcher and workspace at once, and the switches for what goes wrong."""

    pid = 1

    def __init__(self) -> None:
        self.alive = True
        self.driver = self.workspace = self
        self.frozen = self.launch_fails = self.open_hangs = self.close_hangs = False
        self.page_close_seconds = 0.05
        self.browsers: dict[str, FakeBrowser] = {}
        self.opened: list[str] = []

    def living(self) -> list[FakeBrowser]:
        return [browser for browser in self.browsers.values() if browser.root.running]

    async def launch(self, label: str) -> BrowserProcess:
        await asyncio.sleep(2)
        if self.launch_fails:
            raise TaskError("browser_unavailable", "fake could not be started: told so")
        if self.frozen:  # what the launcher does about it
            await asyncio.sleep(LAUNCH_SECONDS)
            self.kill()
            raise TaskError("browser_unavailable", "fake could not be started: no browser")
        self.alive = True  # a driver that died is replaced at the next launch
        browser: Any = FakeBrowser(self)
        self.browsers[label] = browser
        return BrowserProcess(browser, browser.root, None)

    def when_lost(self, call: Callable[[], None]) -> None:
        """Nobody is told: the browsers are looked at often enough."""

    async def kill_if_it_hangs(self) -> None:
        await asyncio.sleep(3 if self.frozen else 0.002)
        if self.alive and self.frozen:
            self.kill()

    def kill(self) -> None:
        """The driver dies, and its browsers with it."""
        self.alive = self.frozen = False
        for browser in self.living():
            browser.die()

    async def kill_marked(self, mark: str, label: str) -> bool:
        if label in self.browsers:
            self.browsers[label].die()
        return True

    def clear_leftovers(self, in_use: list[Path]) -> None:
        """There are no folders."""

    async def solve(self, tab: Tab, task: Task, bounds: object, *others: object) -> Outcome:
        """Behave as the path of the URL says."""
        page: Any = tab.page
        kind = urlsplit(task.url).path.strip("/")
        self.opened.append(task.url)
        page.url = task.url
        if kind == "hang":
            await asyncio.Future()
        if kind == "page-crash":
            page.url = "about:tabcrashed?e=tabcrashed"
            page.emit("framenavigated", page)
            await asyncio.Future()
        if kind == "kill-browser":
            page.browser.die()
        if kind == "error":
            raise TaskError("dns_error", "The host name cannot be resolved; check the URL.")
        try:
            await page.browser.do(1.0)
        except Error as error:
            raise TaskError("browser_crashed", "gone") from error
        return Outcome(Findings(task.url, html=kind))
