"""What a page shows, gathered so that all of it is of one document."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from playwright.async_api import Error, Page

from captcha_bypass import challenges
from captcha_bypass.errors import TaskError
from captcha_bypass.solving.bounds import Bounds
from captcha_bypass.solving.cookies import Jar
from captcha_bypass.solving.documents import Document, DocumentTracker
from captcha_bypass.solving.isolated import ask
from captcha_bypass.solving.outcome import Exchange, Findings
from captcha_bypass.solving.sources import decode
from captcha_bypass.wire.results import ResultCookie
from captcha_bypass.wire.task import Task

#: Seconds each part of the result may take to collect past the deadline; together they stay under
#: the five that the browser lives on then.
COLLECT_SECONDS = 2.0
#: Seconds for HTML and screenshot where the deadline leaves them: ten megabytes take one, and five
#: on a busy machine.
PATIENCE = 15.0
#: Seconds between two looks whether fonts are loaded.
FONTS_EVERY = 0.1
#: For the document's source where its DOM cannot be had in time.
SOURCE_SECONDS = 1.0
#: A page that moves on while it is collected is collected so many times; then without a screenshot.
_ATTEMPTS = 3

T = TypeVar("T")


@dataclass(frozen=True)
class Shown:
    """A document as the main frame showed it at one moment."""

    document: Document
    url: str
    html: str


class Collector:
    """Gathers what a task's page has to show."""

    def __init__(
        self, page: Page, tracker: DocumentTracker, jar: Jar, task: Task, bounds: Bounds
    ) -> None:
        self._page = page
        self._tracker = tracker
        self._jar = jar
        self._task = task
        self._bounds = bounds

    async def collect(self) -> Findings:
        """Return what the page shows.

        Raises:
            TaskError: `page_too_large`; `page_unreadable`: it came, but cannot be had in time;
                or why the browser shows an error page.
            TimeoutError: the browser does not answer at all, and the time is up.
        """
        if self._tracker.document is None:
            if self._tracker.answer is not None:
                self._bounds.check_declared(self._tracker.answer.headers)
            return Findings(self._task.url)
        self._bounds.check_declared(self._tracker.document.headers)
        shown, shot = await self._shown()
        document = shown.document
        cookies, exchange = await asyncio.gather(self._cookies(), self._exchange(document))
        return Findings(
            shown.url,
            document,
            exchange,
            cookies,
            html=shown.html,
            screenshot=shot,
            obstacle=challenges.detect(document.status or 200, exchange.headers, shown.html),
        )

    async def collect_file(self) -> Findings:
        """Return what is known about the file that came in place of a page: all but itself."""
        file = self._tracker.file
        if file is None or file.response is None:
            return Findings(self._task.url, cookies=await self._cookies())
        cookies, exchange = await asyncio.gather(self._cookies(), self._exchange(file))
        return Findings(file.response.url, file, exchange, cookies)

    async def _cookies(self) -> list[ResultCookie]:
        return await self._within(self._jar.read()) or []

    async def _exchange(self, document: Document) -> Exchange:
        request = document.request
        headers, sent = await asyncio.gather(
            self._within(document.all_headers()),
            self._within(request.all_headers() if request else _nothing()),
        )
        request_headers = sent or (request.headers if request else {})
        asked = request or (self._tracker.answer and self._tracker.answer.request)
        agent = request_headers.get("user-agent")
        return Exchange(
            document.status,
            headers or document.headers,
            request_headers,
            agent or (asked.headers.get("user-agent") if asked else None),
        )

    async def _shown(self) -> tuple[Shown, bytes | None]:
        """Return the page, and a screenshot of the same document if one is wanted."""
        for _ in range(_ATTEMPTS):
            before = self._tracker.document
            shown, shot = await asyncio.gather(self._html(), self._screenshot())
            if shot is None or before is shown.document is self._tracker.document:
                return shown, shot
        return shown, None

    def _patience(self) -> float:
        left = self._bounds.deadline - asyncio.get_running_loop().time()
        return max(COLLECT_SECONDS, min(PATIENCE, left))

    async def _screenshot(self) -> bytes | None:
        if not self._task.screenshot:
            return None
        await self._within(self._fonts())
        return await self._within(self._page.screenshot(timeout=0), self._patience())

    async def _fonts(self) -> None:
        """Wait until no font is on its way, or text may not be there to be seen."""
        while await ask(self._page.main_frame, "fonts", {}) == "loading":  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(FONTS_EVERY)

    async def _html(self) -> Shown:
        """Return the DOM as HTML, or the source as it came where the page's script spins."""
        try:
            async with asyncio.timeout(self._patience()):
                shown = await self._serialized()
        except TimeoutError:
            shown = await self._source()
        self._bounds.check_size(len(shown.html.encode("utf-8", "surrogatepass")))
        return shown

    async def _serialized(self) -> Shown:
        while True:
            document = self._tracker.document
            try:
                limit = {"limit": self._bounds.max_html_bytes}
                answer = await ask(self._page.main_frame, "collect", limit)
            except Error:
                if self._page.is_closed():
                    raise
                await asyncio.sleep(0.05)  # it is navigating: its next document can be asked
                continue
            about, _, html = answer.partition("\n")
            told = json.loads(about)
            self._tracker.raise_if_failed(told["errorPage"])
            if document is not None and document is self._tracker.document:
                self._bounds.check_size(told["length"])
                return Shown(document, told["url"], html)

    async def _source(self) -> Shown:
        document, url = self._tracker.document, self._page.url
        source = None
        if document is not None and document.response is not None:
            source = await self._within(document.response.body(), SOURCE_SECONDS)
        if document is not None and source:
            declared = document.headers.get("content-type", "")
            return Shown(document, url, await asyncio.to_thread(decode, source, declared))
        if await self._within(self._page.context.cookies(), SOURCE_SECONDS) is None:
            raise TimeoutError  # it is the browser that does not answer
        raise TaskError(
            "page_unreadable",
            "The page came, but its browser is too busy with it to hand it over; send the task again, "
            "or with less to load (block).",
        )

    async def _within(self, part: Awaitable[T], seconds: float = COLLECT_SECONDS) -> T | None:
        """Return a part of the result, or None where the browser does not give it in time."""
        try:
            async with asyncio.timeout(seconds):
                return await part
        except TimeoutError:
            return None
        except Error:
            if self._page.is_closed():
                raise
            return None


async def _nothing() -> None:
    return None
