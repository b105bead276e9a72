"""What a page shows, as a result whose parts are all of one document."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from playwright.async_api import Error, Page

from captcha_bypass import challenges
from captcha_bypass.cookies import Jar
from captcha_bypass.documents import Document, DocumentTracker
from captcha_bypass.errors import TaskError
from captcha_bypass.isolated import ask
from captcha_bypass.models import Task
from captcha_bypass.probe import page_too_large, raise_if_too_large
from captcha_bypass.results import Solution
from captcha_bypass.sources import decode

#: Seconds each part of the result may take to collect past the deadline; together they stay under
#: the five that the browser lives on then.
COLLECT_SECONDS = 2.0
#: Seconds for HTML and screenshot where the deadline leaves them: ten megabytes take one, and five
#: on a busy machine.
PATIENCE = 15.0
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
    """Makes the result of a task out of what its page shows.

    Args:
        deadline: Of the task, on the event loop's clock.
        max_html_bytes: A larger page raises `page_too_large`.
    """

    def __init__(
        self,
        page: Page,
        tracker: DocumentTracker,
        jar: Jar,
        request: Task,
        deadline: float,
        max_html_bytes: int,
    ) -> None:
        self._page = page
        self._tracker = tracker
        self._jar = jar
        self._request = request
        self._deadline = deadline
        self._limit = max_html_bytes

    async def collect(self) -> tuple[Document | None, Solution]:
        """Return what the page shows, and which document that is; None: there is none.

        Raises:
            TaskError: `page_too_large`; `page_unreadable`: it came, but cannot be had in time;
                or why the browser shows an error page.
            TimeoutError: the browser does not answer at all, and the time is up.
        """
        if self._tracker.document is None:
            if self._tracker.answer is not None:
                raise_if_too_large(self._tracker.answer.headers, self._limit)
            return None, self._empty()
        raise_if_too_large(self._tracker.document.headers, self._limit)
        shown, shot = await self._shown()
        solution = await self._about(shown.document)
        solution.html = shown.html
        solution.url = shown.url
        solution.screenshot = base64.b64encode(shot).decode() if shot else None
        status = shown.document.status or 200
        found = challenges.detect(status, solution.headers, shown.html)
        if found is not None and found.solvable:
            solution.challenge = found.vendor
        elif found is not None:
            solution.block = found.vendor
        return shown.document, solution

    async def collect_file(self) -> Solution:
        """Return what is known about the file that came in place of a page: all but itself."""
        file = self._tracker.file
        if file is None or file.response is None:
            solution = self._empty()
            solution.cookies = await self._within(self._jar.read()) or []
            return solution
        solution = await self._about(file)
        solution.url = file.response.url
        return solution

    def _empty(self) -> Solution:
        return Solution(url=self._request.url, timeout_reached=False, elapsed=0.0)

    async def _about(self, document: Document) -> Solution:
        """Return all of a result but what the page itself shows."""
        request = document.request
        cookies, headers, sent = await asyncio.gather(
            self._within(self._jar.read()),
            self._within(document.all_headers()),
            self._within(request.all_headers() if request else _nothing()),
        )
        solution = self._empty()
        solution.cookies = cookies or []
        solution.status_code = document.status
        solution.headers = headers or document.headers
        solution.request_headers = sent or (request.headers if request else {})
        asked = request or (self._tracker.answer and self._tracker.answer.request)
        agent = solution.request_headers.get("user-agent")
        solution.user_agent = agent or (asked.headers.get("user-agent") if asked else None)
        return solution

    async def _shown(self) -> tuple[Shown, bytes | None]:
        """Return the page, and a screenshot of the same document if one is wanted."""
        for _ in range(_ATTEMPTS):
            before = self._tracker.document
            shown, shot = await asyncio.gather(self._html(), self._screenshot())
            if shot is None or before is shown.document is self._tracker.document:
                return shown, shot
        return shown, None

    def _patience(self) -> float:
        left = self._deadline - asyncio.get_running_loop().time()
        return max(COLLECT_SECONDS, min(PATIENCE, left))

    async def _screenshot(self) -> bytes | None:
        if not self._request.screenshot:
            return None
        return await self._within(self._page.screenshot(timeout=0), self._patience())

    async def _html(self) -> Shown:
        """Return the DOM as HTML, or the source as it came where the page's script spins."""
        try:
            async with asyncio.timeout(self._patience()):
                shown = await self._serialized()
        except TimeoutError:
            shown = await self._source()
        size = len(shown.html.encode("utf-8", "surrogatepass"))
        if size > self._limit:
            raise page_too_large(size, self._limit)
        return shown

    async def _serialized(self) -> Shown:
        while True:
            document = self._tracker.document
            try:
                answer = await ask(self._page.main_frame, "collect", {"limit": self._limit})
            except Error:
                if self._page.is_closed():
                    raise
                await asyncio.sleep(0.05)  # it is navigating: its next document can be asked
                continue
            about, _, html = answer.partition("\n")
            told = json.loads(about)
            self._tracker.raise_if_failed(told["errorPage"])
            if document is not None and document is self._tracker.document:
                if told["length"] > self._limit:
                    raise page_too_large(told["length"], self._limit)
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
