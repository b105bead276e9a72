"""What a document's tags, scripts and text say, told apart in one pass.

A mark counts only where a browser would act on it: an article that quotes a challenge has the same
words in other places. Sites choose this text, so every step is a search for a fixed string that
never looks at the same characters twice; no regular expression runs on it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A browser shows what stands between these tags as it is, or not at all.
_INERT = ("textarea", "style", "title", "xmp", "template")
#: White space between the parts of a mark, and the length of an attribute's name with it; vendors
#: write none or one blank.
NEAR = 64
#: Characters of a URL in front of the part that is looked for.
_URL = 512


class Tag(NamedTuple):
    """One start tag.

    Attributes:
        name: Its name.
        text: All between `<` and `>`.
    """

    name: str
    text: str

    def attribute(self, name: str) -> str:
        """Return an attribute's value, empty where there is none."""
        for place in places(self.text, name):
            if place == 0 or self.text[place - 1 : place] not in " \t\n\r\f\"'/":
                continue  # the end of another name, as in data-src
            after = self.text[place + len(name) : place + len(name) + NEAR].lstrip()
            if after.startswith("="):
                start = self.text.index("=", place + len(name)) + 1
                return _value(self.text, start)
        return ""


def _value(text: str, start: int) -> str:
    start += len(text[start : start + NEAR]) - len(text[start : start + NEAR].lstrip())
    quote = text[start : start + 1]
    if quote and quote in "\"'":
        end = text.find(quote, start + 1)
        return text[start + 1 :] if end < 0 else text[start + 1 : end]
    return text[start:].split(maxsplit=1)[0] if text[start:].strip() else ""


class Document:
    """The top of a document, taken apart when a mark is first asked for.

    Args:
        text: In lower case. Entities stay as they are.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def tags(self) -> list[Tag]:
        """All start tags that a browser sees, those of scripts too."""
        return self._parts[0]

    @property
    def scripts(self) -> list[tuple[Tag, str]]:
        """All scripts: their tag and what is in them."""
        return self._parts[1]

    @property
    def code(self) -> list[str]:
        """What is run: scripts that are not data."""
        return [source for tag, source in self.scripts if "json" not in tag.attribute("type")]

    @property
    def markup(self) -> str:
        """The text with its tags, without comments and what scripts, styles and fields hold."""
        return self._parts[2]

    @cached_property
    def _parts(self) -> tuple[list[Tag], list[tuple[Tag, str]], str]:
        tags: list[Tag] = []
        scripts: list[tuple[Tag, str]] = []
        markup: list[str] = []
        text, position = self.text, 0
        while (start := text.find("<", position)) >= 0:
            markup.append(text[position:start])
            if text.startswith("<!--", start):
                position = _after(text, "-->", start)
                continue
            is_tag = text[start + 1 : start + 2].isalpha()
            position = _after(text, ">", start) if is_tag else start + 1
            markup.append(text[start:position])
            if not is_tag:
                continue
            inside = text[start + 1 : position].removesuffix(">")
            name = inside.split(maxsplit=1)[0].rstrip("/")
            tags.append(Tag(name, inside))
            if name == "script" or name in _INERT:
                end = text.find("</" + name, position)
                end = len(text) if end < 0 else end
                if name == "script":
                    scripts.append((tags[-1], text[position:end]))
                elif name == "title":
                    markup.append(text[position:end])
                position = end
        markup.append(text[position:])
        return tags, scripts, "".join(markup)


def _after(text: str, end: str, start: int) -> int:
    found = text.find(end, start)
    return len(text) if found < 0 else found + len(end)


def places(text: str, word: str) -> Iterator[int]:
    """Yield where a word stands, from the start; the places do not overlap."""
    place = text.find(word)
    while place >= 0:
        yield place
        place = text.find(word, place + len(word))


def follows(text: str, place: int, *parts: str | tuple[str, ...]) -> bool:
    """Whether these parts come next, with white space between; a tuple is a choice."""
    for part in parts:
        near = text[place : place + NEAR]
        blank = len(near) - len(near.lstrip())
        found = next(
            (
                one
                for one in ((part,) if isinstance(part, str) else part)
                if text.startswith(one, place + blank)
            ),
            None,
        )
        if found is None:
            return False
        place += blank + len(found)
    return True


def before_quote(text: str, place: int) -> str:
    """Return what stands before the quote that is open at a place; empty where none is near."""
    near = text[max(0, place - _URL) : place]
    return near[: max(near.rfind('"'), near.rfind("'"), 0)]
