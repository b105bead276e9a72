"""The border between the service and a page: calls over it, and the end of the page."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from playwright.async_api import Frame, Page

from captcha_bypass.concurrency import within
from captcha_bypass.fetching.messages import PageSpoilt

T = TypeVar("T")

#: Bytes of a body that cross at once. As base64 they stay below what the link to the driver parses beside
#: the event loop.
PART = 360 * 1024

_CALL = "([name, args]) => captchaBypass[name](...args)"


@cache
def _program() -> str:
    return (files("captcha_bypass.fetching") / "fetch.js").read_text(encoding="utf-8")


class Border:
    """A page in which `fetch.js` runs, and whether it still does.

    Args:
        page: Shows a blank document.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        #: Done once the page is of no use any more.
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: Calls of Playwright, which must not be cancelled, whatever becomes of their callers.
        self.calls: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Define what `ask` calls.

        Raises:
            PageSpoilt: the page is gone.
        """
        await self.run(self.page.evaluate(_program(), PART))
        self.page.on("framenavigated", self._on_navigated)
        self.page.on("crash", self._on_end)
        self.page.on("close", self._on_end)

    async def ask(self, name: str, *args: object) -> str:
        """Return what a function of `fetch.js` returns.

        Raises:
            PageSpoilt: the page is gone.
        """
        return str(await self.run(self.page.evaluate(_CALL, [name, list(args)])))

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a call of Playwright, but no longer than the page lives, and never cancel it.

        Raises:
            PageSpoilt: the page is gone.
        """
        return await self.result(self.start(work))

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin a call of Playwright whose result is waited for later, or never."""
        call = asyncio.create_task(work)
        self.calls.add(call)
        call.add_done_callback(self._called)
        return call

    async def result(self, call: asyncio.Task[T]) -> T:
        """Wait for a call that was started, see `run`."""
        await self.until(call)
        try:
            return call.result()
        except Exception as error:
            # Nothing that is called fails, unless there is no page, browser or driver any more.
            raise self.spoil("the page is gone", sent=True) from error

    async def until(self, event: asyncio.Future[Any]) -> None:
        """Return once an event is done, which is not cancelled with its caller.

        Raises:
            PageSpoilt: the page is gone first.
        """
        await asyncio.wait({event, self.lost}, return_when=asyncio.FIRST_COMPLETED)
        if not event.done():
            raise PageSpoilt("the page is gone", sent=True)

    async def tell(self, name: str, *args: object, seconds: float) -> None:
        """Call a function of `fetch.js`; a page that does not do that in time is spoilt."""
        try:
            await within(seconds, self.page.evaluate(_CALL, [name, list(args)]))
        except Exception as error:  # noqa: BLE001 - a dead driver raises plain Exception
            self.spoil(f"{name} failed: {type(error).__name__}", sent=True)

    def spoil(self, message: str, *, sent: bool) -> PageSpoilt:
        """Give the page up, and return the error for whoever uses it."""
        if not self.lost.done():
            self.lost.set_result(None)
        return PageSpoilt(message, sent=sent)

    def _called(self, call: asyncio.Task[Any]) -> None:
        self.calls.discard(call)
        if not call.cancelled():
            call.exception()  # retrieved: its caller may be gone

    def _on_navigated(self, frame: Frame) -> None:
        # Also how Firefox shows that the page's process has died.
        if frame == self.page.main_frame:
            self.spoil("navigated", sent=True)

    def _on_end(self, _: object) -> None:
        self.spoil("closed", sent=True)
