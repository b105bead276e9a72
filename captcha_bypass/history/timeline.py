"""The documents that a task's page has shown, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypedDict

from captcha_bypass.challenges import Challenge

#: Documents of one task that are remembered: of a page that reloads for ever, the first.
MOST_DOCUMENTS = 50
#: Characters of a URL that are: as many as a request's may have.
URL_CHARS = 2048


class DocumentEntry(TypedDict):
    """A document of the main frame."""

    #: Seconds since a worker took the task.
    at: float
    #: None: a script made it, or the browser could not open the URL.
    status: int | None
    url: str
    #: Of the challenge that it was seen to be.
    vendor: str | None
    kind: str | None


class Timeline:
    """The documents of one task.

    Args:
        changed: Called whenever one was added, or judged anew.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._changed = changed
        self._began = time.monotonic()
        self.documents: list[DocumentEntry] = []
        #: That which was added last; None: it was one too many.
        self._last: DocumentEntry | None = None
        #: What the document is in place of the site's page that was added last.
        self.challenge: Challenge | None = None

    def add(self, status: int | None, url: str) -> None:
        """Note that the main frame shows another document."""
        self.challenge = self._last = None
        if len(self.documents) < MOST_DOCUMENTS:
            at = round(time.monotonic() - self._began, 3)
            self._last = {"at": at, "status": status, "url": cut(url), "vendor": None, "kind": None}
            self.documents.append(self._last)
            self._changed()

    def judge(self, found: Challenge | None) -> None:
        """Note what the document that was added last is in place of the site's page."""
        if found == self.challenge:
            return
        self.challenge = found
        if self._last is not None:
            _name(self._last, found)
        self._changed()

    def judge_first(self, found: Challenge | None) -> None:
        """Note what the first document was, which was gone before it could be judged."""
        if self.documents and found is not None:
            _name(self.documents[0], found)
            self._changed()


def _name(document: DocumentEntry, found: Challenge | None) -> None:
    document["vendor"] = found.vendor if found else None
    document["kind"] = found.kind if found else None


def cut(text: str, chars: int = URL_CHARS) -> str:
    """Return at most so many characters of a text."""
    return text if len(text) <= chars else text[: chars - 1] + "…"
