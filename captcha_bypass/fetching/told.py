"""What the page tells of an answer, beside the browser's own word of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from captcha_bypass.fetching.messages import Headers


@dataclass(frozen=True)
class Told:
    """The head of what `send` of `fetch.js` returns."""

    #: Why there is no answer: aborted, encoding (compressed, and broken off or unreadable), large,
    #: network, taken (by a worker of the site).
    error: str | None = None
    #: 0 for a redirect.
    status: int = 0
    is_redirect: bool = False
    #: Bytes of the body, decoded.
    size: int = 0
    seconds: float = 0.0
    #: By name in lower case; those alone that the browser's own word has not exactly.
    headers: dict[str, str] = field(default_factory=dict)
    #: The codings that the browser undoes.
    decodes: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, head: str) -> Self:
        """Read the head."""
        told = json.loads(head)
        if error := told.get("error"):
            return cls(error=error)
        return cls(
            status=told["status"],
            is_redirect=told["isRedirect"],
            size=told["size"],
            seconds=told["milliseconds"] / 1000,
            headers=dict(told["headers"]),
            decodes=frozenset(told["decodes"]),
        )

    def fits(self, status: int) -> bool:
        """Whether an answer of that status can be this one."""
        return 300 <= status < 400 if self.is_redirect else status == self.status

    @property
    def decoded(self) -> str | None:
        """The `Content-Encoding` that the browser has undone, if there is a body."""
        encoding = self.headers.get("content-encoding")
        if encoding is None:
            return None
        codings = {coding.strip(" \t").lower().removeprefix("x-") for coding in encoding.split(",")}
        return encoding if codings <= self.decodes else None

    def exact(self, headers: Iterable[tuple[str, str]]) -> Headers:
        """Return the answer's headers as they were sent, from the browser's word of them."""
        exact = []
        for name, value in headers:
            told = self.headers.get(name.lower())
            # What commas would make ambiguous comes in lines, and not from the page.
            for line in value.split("\n"):
                if line.isascii():
                    exact.append((name, line))
                else:
                    exact.append((name, told if told and line == value else _bytes(line)))
        return tuple(exact)


def _bytes(value: str) -> str:
    """Return a value as Latin-1, which the browser tells as UTF-8 where it can be that."""
    try:
        sent = value.encode("latin-1")
        sent.decode()
    except UnicodeError:
        return value.encode().decode("latin-1")
    return value
