"""From nothing to the first browser, beside an API that answers already."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from captcha_bypass.browsers.launch.engines import Engine
from captcha_bypass.browsers.lease import no_page
from captcha_bypass.browsers.pool import BrowserPool
from captcha_bypass.browsers.tab import Tab
from captcha_bypass.egress.routes import Permit
from captcha_bypass.errors import StartupError
from captcha_bypass.status import Browsers, Readiness
from captcha_bypass.wire.task import SessionKey

logger = logging.getLogger(__name__)

#: Finds an engine; is given somebody to tell of the steps where that takes long.
Find = Callable[[Callable[[str], None]], Awaitable[Engine]]


class Startup:
    """Finds an engine, opens a pool of its browsers, and has tasks wait until there is one.

    Used as `async with Startup(...) as startup`, within which `begin()` is called once; leaving it
    ends whatever is under way, and every browser.

    Args:
        find: Finds the engine; None: there are to be no browsers, and no tasks that need one.
        make_pool: Returns the pool for it, not entered yet.
    """

    def __init__(self, find: Find | None, make_pool: Callable[[Engine], BrowserPool]) -> None:
        self._find = find
        self._make_pool = make_pool
        self._engine: Engine | None = None
        self._pool: BrowserPool | None = None
        self._opened = asyncio.Event()
        self._running: asyncio.Task[StartupError] | None = None
        self._step = "the browser is being looked for"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    def begin(self) -> asyncio.Task[StartupError]:
        """Start, and return what ends only when the service cannot go on: with the reason.

        It may also end by raising it.
        """
        self._running = asyncio.create_task(self._run())
        return self._running

    @property
    def is_ready(self) -> bool:
        """Whether a browser has ever started and passed its self-check."""
        return self._pool is not None and self._pool.is_ready

    def readiness(self) -> Readiness:
        """Return whether there is a browser, without asking one."""
        if self._find is None:
            return Readiness(browser="none")
        pool, engine = self._pool, self._engine
        if pool is None or engine is None:
            return Readiness(starting=True)
        return Readiness(
            starting=not pool.is_ready and pool.unavailable is None,
            unavailable=pool.unavailable,
            browser=f"{engine.name} {engine.version}",
            version=engine.version,
            warning=engine.warning,
        )

    def browsers(self) -> Browsers:
        """Count browsers, without asking them."""
        return self._pool.counts() if self._pool is not None else Browsers([], 0, {})

    @asynccontextmanager
    async def page(
        self,
        *,
        deadline: float,
        permit: Permit,
        alone: bool = False,
        session: SessionKey | None = None,
        max_age: float | None = None,
    ) -> AsyncIterator[Tab]:
        """Lend a page as soon as there is a browser; see BrowserPool.page."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._opened.wait()
        except TimeoutError:
            raise no_page(self._step) from None
        assert self._pool is not None  # noqa: S101 - opened
        async with self._pool.page(
            deadline=deadline, permit=permit, alone=alone, session=session, max_age=max_age
        ) as tab:
            yield tab

    async def _run(self) -> StartupError:
        clock = asyncio.get_running_loop().time
        began = clock()
        if self._find is None:
            never: asyncio.Future[StartupError] = asyncio.get_running_loop().create_future()
            return await never
        engine = await self._find(self._told)
        self._step = f"{engine.name} was still starting"
        try:
            async with self._make_pool(engine) as pool:
                self._engine, self._pool = engine, pool
                self._opened.set()
                waiting = asyncio.create_task(pool.broken())
                try:
                    await self._until_ready(pool, waiting)
                    if not waiting.done():
                        name = f"{engine.name} {engine.version}"
                        logger.info("browser ready, %s, %.1f s", name, clock() - began)
                    return await waiting
                finally:
                    waiting.cancel()
        except TimeoutError as error:
            message = "Playwright's driver did not start in time; is the machine overloaded?"
            raise StartupError(message) from error
        except OSError as error:
            raise StartupError(f"the browsers' folder cannot be used: {error}") from error

    async def _until_ready(self, pool: BrowserPool, broken: asyncio.Task[StartupError]) -> None:
        ready = asyncio.create_task(pool.ready())
        try:
            await asyncio.wait({ready, broken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()

    def _told(self, step: str) -> None:
        self._step = f"Camoufox is being fetched ({step})"
