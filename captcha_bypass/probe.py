"""Asks every frame of a page, again and again, what it shows, until the conditions hold."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import TypedDict

from playwright.async_api import Error, Frame, Page

from captcha_bypass import challenges
from captcha_bypass.documents import Document, DocumentTracker
from captcha_bypass.errors import TaskError
from captcha_bypass.isolated import ask
from captcha_bypass.models import SolveRequest
from captcha_bypass.text import fold

#: Seconds between two looks at a page. It is also looked at as soon as a document has been parsed,
#: which is when most text appears. Ten looks a second cost 0.05 CPU seconds more per solve.
LOOK_EVERY = 0.25
#: Seconds that frames get to answer in one look; the others are waited for in the next ones.
ANSWER_SECONDS = 0.1
#: A challenge's marks stand at the top of its document; characters of HTML that are looked at.
CHALLENGE_CHARS = 64 * 1024
#: What the first document's source may take once all conditions hold; it is there by then as a rule.
FIRST_SECONDS = 0.5

logger = logging.getLogger(__name__)


class Look(TypedDict):
    """What `probe.js` returns for one frame."""

    text: bool
    selector: bool
    badSelector: bool
    ready: bool
    #: Of the document's source; 0 while it loads.
    bytes: int
    html: str | None
    #: Its `documentURI` if it is the browser's own error page.
    errorPage: str | None


def page_too_large(size: int, limit: int) -> TaskError:
    """Return the error for a page of `size` bytes."""
    return TaskError(
        "page_too_large", f"The page has {size} bytes of HTML; --max-html-bytes is {limit}."
    )


@dataclass
class Conditions:
    """What must hold before a page counts as through."""

    text: str | None
    selector: str | None
    no_challenge: bool

    @classmethod
    def of(cls, request: SolveRequest) -> Conditions:
        """Take the conditions out of a request."""
        text = None if request.success_text is None else fold(request.success_text)
        return cls(text, request.success_selector, bool(request.no_challenge))


class Watcher:
    """Looks at a page until its conditions hold.

    A frame that does not answer (a script that spins, 50 MB of text) is asked once and not again
    before it answers, so that questions do not pile up in it.
    """

    def __init__(
        self, page: Page, tracker: DocumentTracker, conditions: Conditions, max_html_bytes: int
    ) -> None:
        self._page = page
        self._limit = max_html_bytes
        self._tracker = tracker
        self._conditions = conditions
        self._asked: dict[Frame, asyncio.Task[Look | None]] = {}
        self._parsed = asyncio.Event()
        #: Vendor of a challenge that was seen on the way; only where there must be none.
        self.met: str | None = None
        self._first: asyncio.Task[None] | None = None
        page.on("domcontentloaded", self._on_parsed)

    def close(self) -> None:
        """Look no longer: a session's page is used again."""
        self._page.remove_listener("domcontentloaded", self._on_parsed)

    def _on_parsed(self, _: Page) -> None:
        self._parsed.set()

    async def until_through(self) -> None:
        """Return when all conditions hold at once; bounded only by the caller's timeout.

        Raises:
            TaskError: they never can: the browser shows an error page, or the selector is none.
        """
        if self._conditions.no_challenge and self._first is None:
            self._first = asyncio.create_task(self._look_at_first())
        try:
            while True:
                self._parsed.clear()
                if await self._through():
                    break
                await self._something_new()
            if self._first is not None:
                await asyncio.wait({self._first}, timeout=FIRST_SECONDS)
        finally:
            if self._first is not None:
                self._first.cancel()
            for task in self._asked.values():
                task.cancel()
            await asyncio.gather(*self._asked.values(), return_exceptions=True)
            self._asked.clear()

    async def _look_at_first(self) -> None:
        """See whether the first document was a challenge: it may be gone before a look at it."""
        first = self._tracker.first
        if first is None:
            return
        source = b""
        if challenges.body_matters(first.status, first.headers):
            try:
                source = await first.response.body()
            except Error:
                logger.debug("the first document's source was gone")
        found = challenges.detect(first.status, first.headers, source)
        if found is not None and found.solvable:
            self.met = self.met or found.vendor

    async def _something_new(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY):
                await self._parsed.wait()
        except TimeoutError:
            return  # text may have come without a new document

    async def _through(self) -> bool:
        document = self._tracker.document
        self._raise_if_too_large(document)
        looks = await self._look()
        if any(look["badSelector"] for look in looks.values()):
            raise TaskError(
                "invalid_request",
                "success_selector: is not a selector that the browser understands",
            )
        main = looks.get(self._page.main_frame)
        self._tracker.raise_if_failed(main["errorPage"] if main else None, answered=bool(main))
        if main is not None and main["bytes"] > self._limit:
            raise page_too_large(main["bytes"], self._limit)
        if document is not self._tracker.document:
            return False  # navigated meanwhile: these looks are of two documents
        wanted = self._conditions
        return (
            (not wanted.no_challenge or self._unchallenged(main))
            and (wanted.text is None or any(look["text"] for look in looks.values()))
            and (wanted.selector is None or any(look["selector"] for look in looks.values()))
        )

    def _raise_if_too_large(self, document: Document | None) -> None:
        """Save the browser from being asked for the text of 50 MB."""
        if document is None or "content-encoding" in document.headers:
            return
        length = document.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._limit:
            raise page_too_large(int(length), self._limit)

    def _unchallenged(self, look: Look | None) -> bool:
        document = self._tracker.document
        if look is None or document is None or not look["ready"]:
            return False
        found = challenges.detect(document.status, document.headers, look["html"] or "")
        if found is None or not found.solvable:
            return True
        self.met = found.vendor
        return False

    async def _look(self) -> dict[Frame, Look]:
        """Ask all frames; return the answers that came in time."""
        for frame in self._page.frames:
            if frame not in self._asked:
                self._asked[frame] = asyncio.create_task(self._ask(frame))
        if self._asked:
            await asyncio.wait(self._asked.values(), timeout=ANSWER_SECONDS)
        answered = {frame: task for frame, task in self._asked.items() if task.done()}
        for frame in answered:
            del self._asked[frame]
        looks = {frame: task.result() for frame, task in answered.items()}
        return {frame: look for frame, look in looks.items() if look is not None}

    async def _ask(self, frame: Frame) -> Look | None:
        wants_html = self._conditions.no_challenge and frame == self._page.main_frame
        argument = {
            "text": self._conditions.text,
            "selector": self._conditions.selector,
            "html": CHALLENGE_CHARS if wants_html else 0,
            "limit": self._limit,
        }
        try:
            look: Look = json.loads(await ask(frame, "probe", argument))
        except Error:
            if self._page.is_closed():
                raise
            return None  # the frame is navigating, or gone
        return look
