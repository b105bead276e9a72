"""Sends a request in a session: through the session's own page for the origin, which it makes ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from playwright.async_api import Error

from captcha_bypass.browsers.sessions import Sessions
from captcha_bypass.browsers.tab import Tab
from captcha_bypass.browsers.visits import Visit
from captcha_bypass.concurrency import Background, within
from captcha_bypass.egress.routes import Permit
from captcha_bypass.errors import TaskError
from captcha_bypass.fetching.fetcher import Fetcher
from captcha_bypass.fetching.messages import Answer, FetchError, PageSpoilt, Request, origin_of
from captcha_bypass.wire.task import SessionKey

#: Seconds for a page to show the blank document and take what fetches in it; 0.1 s is normal.
OPEN_SECONDS = 10.0
#: Pages that a request is tried with which never left the browser.
PAGES = 3


class NotSent(FetchError):
    """The session has ended before the request has left the browser; another may have it."""

    code = "session_lost"


@dataclass(frozen=True)
class Wanted:
    """A request, and what is to be so when it is sent."""

    request: Request
    #: Cookies that are set before, as Playwright takes them.
    cookies: Sequence[Any] = field(default=(), repr=False)


@dataclass(frozen=True)
class Sent:
    """An answer, and who has asked."""

    answer: Answer
    user_agent: str


@dataclass
class _Ready:
    fetcher: Fetcher
    user_agent: str
    #: Requests that are being sent through it.
    requests: int = 0


class Sender:
    """Sends requests in sessions.

    Args:
        at_once: Requests that are sent through one page at once.
        max_bytes: Of an answer's body.
    """

    def __init__(self, sessions: Sessions, *, at_once: int, max_bytes: int) -> None:
        self._sessions = sessions
        self._background = Background()
        self._at_once = at_once
        self._max_bytes = max_bytes
        self._pages: WeakKeyDictionary[Tab, asyncio.Task[_Ready]] = WeakKeyDictionary()

    async def close(self) -> None:
        """Make no more pages ready."""
        await self._background.close()

    async def send(self, key: SessionKey, permit: Permit, wanted: Wanted, deadline: float) -> Sent:
        """Send a request once, and return what the site answers.

        Args:
            deadline: On the event loop's clock, for the last byte.

        Raises:
            NotSent: the session ended before.
            TimeoutError: the answer is not there in time.
            TaskError: there is none; the code says why.
            FetchError: there is one, but it is too large, or cannot be read.
        """
        request = wanted.request
        origin = origin_of(request.url)
        asked = False
        try:
            async with self._sessions.visit(key, permit, origin) as visit:
                for _ in range(PAGES):
                    tab = await visit.tab()
                    try:
                        ready = await self._ready(tab, origin)
                        async with self._using(visit, tab, ready):
                            await _set_cookies(tab, wanted, deadline)
                            asked = True
                            return await self._send(visit, ready, request, deadline)
                    except PageSpoilt as error:
                        visit.replace(tab)
                        self._background.run(visit.give_up(tab))
                        if error.sent:
                            raise _broken_off(visit, request) from error
                        asked = False
        except TaskError as error:
            if not asked and error.code in ("session_lost", "browser_crashed"):
                raise NotSent(str(error)) from error
            raise
        if not self._sessions.is_settled(key):
            raise NotSent("The session has ended before the request was sent.")
        raise TaskError(
            "navigation_error",
            "The browser has no page to send it through; a service worker of the site may be what "
            "does not let go of it.",
        )

    @asynccontextmanager
    async def _using(self, visit: Visit, tab: Tab, ready: _Ready) -> AsyncIterator[None]:
        """Use a page within the block; one that is worn is closed by whoever uses it last."""
        ready.requests += 1
        try:
            yield
        finally:
            ready.requests -= 1
            if ready.fetcher.is_worn:
                visit.replace(tab)
                if not ready.requests:
                    self._background.run(visit.give_up(tab))

    async def _send(self, visit: Visit, ready: _Ready, request: Request, deadline: float) -> Sent:
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        try:
            answer = await ready.fetcher.fetch(request, timeout=left, max_bytes=self._max_bytes)
        except TaskError as error:
            # What the browser says of a proxy is what it thinks of our guard.
            raise _why(visit, request) or error from error
        return Sent(answer, ready.user_agent)

    async def _ready(self, tab: Tab, origin: str) -> _Ready:
        """Make a page ready, or wait for whoever does."""
        opening = self._pages.get(tab)
        if opening is None:
            opening = self._background.start(self._open(tab, origin))
            self._pages[tab] = opening
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                return await asyncio.shield(opening)
        except TimeoutError:
            raise PageSpoilt("the page does not open", sent=False) from None
        except Error as error:
            raise PageSpoilt("the page is gone", sent=False) from error

    async def _open(self, tab: Tab, origin: str) -> _Ready:
        fetcher = Fetcher(tab.page, origin, at_once=self._at_once)
        user_agent = await tab.page.evaluate("navigator.userAgent")
        await fetcher.open()
        return _Ready(fetcher, str(user_agent))


async def _set_cookies(tab: Tab, wanted: Wanted, deadline: float) -> None:
    if not wanted.cookies:
        return
    left = deadline - asyncio.get_running_loop().time()
    try:
        await within(left, tab.page.context.add_cookies(list(wanted.cookies)))
    except Error as error:
        raise PageSpoilt("the page is gone", sent=False) from error


def _why(visit: Visit, request: Request) -> TaskError | None:
    """Return why there is no answer, as the guard knows."""
    failure = visit.failure(request.url)
    if failure is None or failure.code != "too_much_traffic":
        return failure
    return TaskError(
        "too_much_traffic",
        "The request moved more than one may, or those beside it in its session did; raise "
        "--max-task-bytes.",
    )


def _broken_off(visit: Visit, request: Request) -> TaskError:
    why = _why(visit, request)
    if why is not None and why.code == "too_much_traffic":
        return why
    return TaskError(
        "browser_crashed",
        "The browser, or its page, was lost while the request was on its way; it may have reached "
        "the site.",
    )
