"""Asks every frame of a page, again and again, what it shows, until the conditions hold."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TypedDict

from playwright.async_api import Error, Frame, Page

from captcha_bypass import challenges
from captcha_bypass.browsers.failures import NOT_A_PAGE
from captcha_bypass.errors import TaskError
from captcha_bypass.solving.bounds import Bounds
from captcha_bypass.solving.conditions import Conditions
from captcha_bypass.solving.documents import Document, DocumentTracker, same_page
from captcha_bypass.solving.isolated import ask
from captcha_bypass.wire.conditions import Condition

#: Seconds between two looks at a page. It is also looked at as soon as a document has been parsed,
#: which is when most text appears. Ten looks a second cost 0.05 CPU seconds more per solve.
LOOK_EVERY = 0.25
#: Seconds that frames get to answer in one look; the others are waited for in the next ones.
ANSWER_SECONDS = 0.1
#: Characters of a document's HTML that say whether it is a challenge; it is seen to be too long for
#: one, too.
CHALLENGE_CHARS = challenges.LONGEST_INTERSTITIAL + 1
#: Seconds that the first document's source may take once all conditions hold.
FIRST_SECONDS = 0.5
#: Seconds after which a file in place of a document is what the address leads to: a challenge may
#: fetch something on its way, and go on.
FILE_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Look(TypedDict):
    """What `probe.js` returns for one frame."""

    text: bool
    selector: bool
    #: Which selector is none; None: all are.
    badSelector: int | None
    #: It has been parsed once; what a script opens and never closes counts as it is.
    ready: bool
    #: Of the document's source; 0 while it loads.
    bytes: int
    #: The first CHALLENGE_CHARS characters, if asked for and ready.
    html: str | None
    #: Its `documentURI` if it is the browser's own error page.
    errorPage: str | None


class Watcher:
    """Looks at a page until its conditions hold.

    A frame that does not answer (a script that spins, 50 MB of text) is asked once and not again
    before it answers, so that questions do not pile up in it.

    Args:
        judges_always: Whether each look is to say whether a challenge stands, and not just one at
            each document.
    """

    def __init__(
        self,
        page: Page,
        tracker: DocumentTracker,
        conditions: Conditions,
        bounds: Bounds,
        *,
        judges_always: bool = False,
    ) -> None:
        self._page = page
        self._judges_always = judges_always or conditions.no_challenge
        self._bounds = bounds
        self._tracker = tracker
        self._conditions = conditions
        self._asked: dict[Frame, asyncio.Task[Look | None]] = {}
        self._parsed = asyncio.Event()
        #: A challenge that was seen on the way.
        self.met: challenges.Challenge | None = None
        #: The document that was last seen to be a challenge or none, and that challenge.
        self._judged: Document | None = None
        self.standing: challenges.Challenge | None = None
        #: The document that was last looked at, and the conditions that did not hold for it.
        self._seen: Document | None = None
        self._unmet: tuple[Condition, ...] = ()
        #: The document for which the conditions held.
        self.held: Document | None = None
        #: Whether a look has told what the first document was.
        self._seen_first = False
        page.on("domcontentloaded", self._on_parsed)

    def close(self) -> None:
        """Look no longer: a session's page is used again."""
        self._page.remove_listener("domcontentloaded", self._on_parsed)

    def unmet(
        self, document: Document | None, *, challenged: bool = False
    ) -> tuple[Condition, ...]:
        """Return the conditions that did not hold when this document was last looked at.

        Args:
            challenged: Whether it is known to be a challenge since then.
        """
        if document is None or document is not self._seen:
            return self._conditions.unmet()
        again = challenged and self._conditions.no_challenge and "no_challenge" not in self._unmet
        return (*self._unmet, "no_challenge") if again else self._unmet

    def _on_parsed(self, _: Page) -> None:
        self._parsed.set()

    async def until_through(self) -> None:
        """Return when all conditions hold at once; bounded only by the caller's timeout.

        Raises:
            TaskError: they never can: the browser shows an error page, a file came in place of
                the page, or the selector is none.
        """
        try:
            while True:
                self._parsed.clear()
                is_through = await self._look_once()
                if not self._seen_first and self._tracker.document is not self._tracker.first:
                    await self._look_at_first()
                if is_through:
                    break
                await self._wait_for_news()
        finally:
            for task in self._asked.values():
                task.cancel()
            await asyncio.gather(*self._asked.values(), return_exceptions=True)
            self._asked.clear()

    async def _look_at_first(self) -> None:
        """See whether the first document, which was gone before a look at it, was a challenge."""
        first = self._tracker.first
        if first is None or first.response is None or first.status is None:
            return
        source = b""
        if challenges.body_matters(first.status, first.headers):
            try:
                async with asyncio.timeout(FIRST_SECONDS):
                    source = await first.response.body()
            except (Error, TimeoutError):
                logger.debug("the first document's source was gone")
        found = challenges.detect(first.status, first.headers, source)
        self._seen_first = True
        self._tracker.timeline.judge_first(found)
        if found is not None and found.solvable:
            self.met = self.met or found

    async def _wait_for_news(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY):
                await self._parsed.wait()
        except TimeoutError:
            return  # text may have come without a new document

    async def _look_once(self) -> bool:
        """Look at the page; True once all conditions hold, and for which document is kept then."""
        document = self._tracker.document
        if document is not None:
            # Save the browser from being asked for the text of 50 MB.
            self._bounds.check_declared(document.headers)
        looks = await self._ask_all()
        self._raise_if_no_selector(looks)
        main = looks.get(self._page.main_frame)
        self._tracker.raise_if_failed(main["errorPage"] if main else None, answered=bool(main))
        if main is not None:
            self._bounds.check_size(main["bytes"])
        if document is None or document is not self._tracker.document:
            return False  # navigated meanwhile: these looks are of two documents
        self._judge(document, main)
        self._seen = document
        self._unmet = self._conditions.unmet(
            text=any(look["text"] for look in looks.values()),
            selector=any(look["selector"] for look in looks.values()),
            unchallenged=self._judged is document and self.standing is None,
        )
        if not self._unmet:
            self.held = document
            return True
        self._raise_if_file(document)
        return False

    def _raise_if_no_selector(self, looks: dict[Frame, Look]) -> None:
        for look in looks.values():
            if look["badSelector"] is not None:
                several = len(self._conditions.selectors) > 1
                which = f".{look['badSelector']}" if several else ""
                message = f"success_selector{which}: is not a selector that the browser understands"
                raise TaskError("invalid_request", message)

    def _judge(self, document: Document, look: Look | None) -> None:
        """See whether the document is a challenge."""
        if look is None or look["html"] is None:
            return
        found = challenges.detect(document.status or 200, document.headers, look["html"])
        self._judged = document
        self._tracker.timeline.judge(found)
        self._seen_first = self._seen_first or document is self._tracker.first
        self.standing = found if found is not None and found.solvable else None
        self.met = self.standing or self.met

    def _raise_if_file(self, document: Document) -> None:
        """Say that the task's address leads to a file, where the document only stands before it."""
        file = self._tracker.file
        if file is None or asyncio.get_running_loop().time() - file.since < FILE_SECONDS:
            return
        challenged = self._judged is document and self.standing is not None
        if challenged or same_page(file.asked, document.asked):
            raise TaskError("not_a_page", NOT_A_PAGE)

    async def _ask_all(self) -> dict[Frame, Look]:
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
        # Where nobody waits for its end one look at each document tells what was met on the way.
        new = self._judges_always or self._judged is not self._tracker.document
        wants_html = new and frame == self._page.main_frame
        argument = {
            "texts": self._conditions.texts,
            "selectors": self._conditions.selectors,
            "html": CHALLENGE_CHARS if wants_html else 0,
            "limit": self._bounds.max_html_bytes,
        }
        try:
            look: Look = json.loads(await ask(frame, "probe", argument))
        except Error:
            if self._page.is_closed():
                raise
            return None  # the frame is navigating, or gone
        return look
