"""Why a page has not met its conditions: what came close, asked once when the time is up."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from typing import TypedDict

from playwright.async_api import Error, Frame, Page

from captcha_bypass.challenges.widgets import is_widget
from captcha_bypass.solving.conditions import Conditions
from captcha_bypass.solving.documents import DocumentTracker
from captcha_bypass.solving.isolated import ask
from captcha_bypass.solving.sources import decode
from captcha_bypass.wire.conditions import Condition
from captcha_bypass.wire.results import Hint, HintCode
from captcha_bypass.wire.text import fold

#: Seconds for all of it; what does not answer by then is not readable. Less than what the rest of
#: the result may take, beside which it runs.
EXPLAIN_SECONDS = 1.5
#: Frames that are asked, nodes of each that are looked at, and characters of each kind of place.
MOST_FRAMES, MOST_NODES, MOST_CHARS = 30, 20_000, 500_000
#: Bytes of the document's source that are looked at, which takes 0.1 s where it is hostile.
SOURCE_BYTES = 512 * 1024
#: Smaller frames are there for scripts: Turnstile's smallest is 150 x 140, the checkboxes some 300 x 70.
WIDGET_WIDTH, WIDGET_HEIGHT = 100, 50

MESSAGES: Mapping[HintCode, str] = {
    "text_other_case": "The page shows the text in another case, or with other white space: "
    "write it as it is shown.",
    "text_hidden": "The text is in the page, but nobody can see it: "
    "choose one that is visible, or use a selector.",
    "text_in_attribute": "The text is in an attribute (alt, placeholder, content ...), "
    "which is not shown: use a selector such as [alt='...'].",
    "text_in_script": "The text is in a script, which has not shown it: the page may not be "
    "done, or what it loads has failed.",
    "text_in_source": "The text is in the page's source, but is not shown: "
    "it is in a comment or template, or a script has taken it away.",
    "selector_hidden": "The selector matches, but nothing that is visible: "
    "choose an element that a person sees.",
    "frame_unreadable": "A frame of the page could not be read: it has not loaded, or its "
    "scripts keep it busy; what you wait for may be in there.",
    "page_loading": "The page had not come whole when the time was up: give it more time.",
    "page_busy": "The page's scripts kept it too busy to be read: block what it need not load, "
    "or give it more time.",
    "captcha_widget": "The page has a captcha that waits for a person; "
    "this service clicks nothing.",
    "no_human_room": "A person should have been waited for, but as many pages wait for one as may: "
    "see to those, or raise --max-waiting-pages.",
    "human_left": "A person was waited for, and has given up.",
    "human_timeout": "A person was waited for, and none passed the challenge in time: "
    "see who is told (--human-webhook), or raise --human-timeout.",
}
#: As the codes of a frame stand: the closest first.
_ORDER = list(MESSAGES)
#: What `unescape` alone takes seconds for, or refuses, where a number has thousands of digits.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,31});")


class Told(TypedDict):
    """What `explain.js` returns for one frame."""

    texts: list[HintCode | None]
    selectors: list[bool]
    errorPage: bool
    loading: bool
    width: float
    height: float
    widget: bool


@dataclass(frozen=True)
class Explanation:
    """What can be told of a page that has not met its conditions."""

    hints: tuple[Hint, ...] = ()
    #: Whether it has a captcha that waits for a person.
    has_widget: bool = False


class Explainer:
    """Explains what a task's page shows in the end."""

    def __init__(self, page: Page, tracker: DocumentTracker, conditions: Conditions) -> None:
        self._page = page
        self._tracker = tracker
        self._conditions = conditions

    async def explain(self, unmet: tuple[Condition, ...]) -> Explanation:
        """Return why these conditions do not hold; bounded by EXPLAIN_SECONDS.

        Raises:
            playwright.async_api.Error: the page is gone.
        """
        if self._tracker.document is None or not unmet:
            return Explanation()
        texts = self._conditions.texts if "success_text" in unmet else ()
        selectors = self._conditions.selectors if "success_selector" in unmet else ()
        told, source = await asyncio.gather(
            self._ask_all(texts, selectors), self._source() if texts else _nothing()
        )
        answers = [answer for answer in told.values() if answer is not None]
        codes = await asyncio.to_thread(closest, texts, answers, source)
        hints = [hint_of(code, text) for text, code in codes.items()]
        hints += [
            hint_of("selector_hidden", selector)
            for number, selector in enumerate(selectors)
            if any(answer["selectors"][number] for answer in answers)
        ]
        widget = _has_widget(told)
        hints += [hint_of(code) for code in self._of_page(told, widget=widget)]
        hints.sort(key=lambda hint: _ORDER.index(hint.code))
        return Explanation(tuple(hints), widget)

    async def has_widget(self) -> bool:
        """Whether the page has a captcha that waits for a person; bounded by EXPLAIN_SECONDS.

        Raises:
            playwright.async_api.Error: the page is gone.
        """
        return _has_widget(await self._ask_all((), ()))

    def _of_page(self, told: Mapping[Frame, Told | None], *, widget: bool) -> Iterator[HintCode]:
        main = self._page.main_frame
        # A page that is too busy has no frame that can be asked.
        about = told.get(main)
        if about is None:
            yield "page_busy"
            return
        if about["loading"]:
            yield "page_loading"
        if any(answer is None or answer["errorPage"] for f, answer in told.items() if f != main):
            yield "frame_unreadable"
        if widget:
            yield "captcha_widget"

    async def _ask_all(
        self, texts: tuple[str, ...], selectors: tuple[str, ...]
    ) -> dict[Frame, Told | None]:
        """Return what the frames say; None of one that cannot be asked in time."""
        argument = {
            "texts": texts,
            "selectors": selectors,
            "nodes": MOST_NODES,
            "chars": MOST_CHARS,
        }

        async def told(frame: Frame) -> Told | None:
            try:
                async with asyncio.timeout(EXPLAIN_SECONDS):
                    answer: Told = json.loads(await ask(frame, "explain", argument))
            except TimeoutError:
                return None
            except Error:
                if self._page.is_closed():
                    raise
                return None
            return answer

        frames = self._page.frames[:MOST_FRAMES]
        answers = await asyncio.gather(*map(told, frames))
        return {
            frame: answer
            for frame, answer in zip(frames, answers, strict=True)
            if not frame.is_detached()
        }

    async def _source(self) -> str:
        """Return the text of the document's source, without its tags and with them."""
        document = self._tracker.document
        if document is None or document.response is None:
            return ""
        try:
            async with asyncio.timeout(EXPLAIN_SECONDS):
                source = await document.response.body()
        except (Error, TimeoutError):
            return ""
        declared = document.headers.get("content-type", "")
        return await asyncio.to_thread(decode, source[:SOURCE_BYTES], declared)


def closest(texts: tuple[str, ...], answers: list[Told], source: str) -> dict[str, HintCode]:
    """Return for each text that came close how close: in any frame, or else in the source.

    Args:
        texts: Folded.
        source: Of the main document; the time is in proportion to its length.
    """
    found: dict[str, HintCode] = {}
    for number, text in enumerate(texts):
        codes = [code for answer in answers if (code := answer["texts"][number]) is not None]
        if codes:
            found[text] = min(codes, key=_ORDER.index)
    left = [text for text in texts if text not in found]
    if left and source:
        raw, shown = _unescaped(source), _unescaped(_without_tags(source))
        found |= {text: "text_in_source" for text in left if text in raw or text in shown}
    return found


def _without_tags(source: str) -> str:
    first, *others = source.split("<")
    return first + "".join(other.partition(">")[2] for other in others)


def _unescaped(source: str) -> str:
    return fold(_ENTITY.sub(lambda entity: unescape(entity[0]), source))


def _has_widget(told: Mapping[Frame, Told | None]) -> bool:
    return any(answer is not None and _is_waiting(frame, answer) for frame, answer in told.items())


def _is_waiting(frame: Frame, told: Told) -> bool:
    """Whether a frame is, or has, a captcha that a person sees."""
    is_large = told["width"] >= WIDGET_WIDTH and told["height"] >= WIDGET_HEIGHT
    return told["widget"] or (is_large and is_widget(frame.url))


def hint_of(code: HintCode, value: str | None = None) -> Hint:
    """Return a hint with its message.

    Args:
        value: The text or selector that it is about.
    """
    return Hint(code=code, message=MESSAGES[code], value=value)


async def _nothing() -> str:
    return ""
