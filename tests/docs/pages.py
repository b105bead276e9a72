"""The pages that people read, and the code blocks in them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.support.repository import ROOT

PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
#: Before a block that no test runs, with the reason.
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->", re.DOTALL)
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Block:
    """A fenced code block.

    Attributes:
        where: `page:line`, for people.
        language: What stands behind the fence.
        why_not: Why no test runs it; None: one does.
    """

    where: str
    language: str
    text: str
    why_not: str | None = None

    @property
    def file(self) -> str | None:
        """The name it is to be saved by, if its first line says one: `# spider.py`."""
        found = re.match(r"# ([\w.-]+\.py)\n", self.text)
        return found[1] if found else None


def read(page: str) -> str:
    """Return a page's source."""
    return (ROOT / page).read_text()


def tokens_of(source: str) -> list[Token]:
    """Return a page's source as Markdown sees it."""
    return _MARKDOWN.parse(source)


def blocks_of(page: str, source: str | None = None) -> list[Block]:
    """Return a page's code blocks in order.

    Args:
        source: Of the page; None: as it is in the repository.
    """
    found: list[Block] = []
    before: Token | None = None
    for token in tokens_of(read(page) if source is None else source):
        if token.type in ("fence", "code_block"):
            comment = before.content if before is not None and before.type == "html_block" else ""
            mark = _NOT_RUN.fullmatch(comment.strip())
            line = (token.map or [0])[0] + 1
            why_not = mark[1] if mark else None
            found.append(Block(f"{page}:{line}", token.info.strip(), token.content, why_not))
        before = token
    return found


def section(page: str, heading: str) -> str:
    """Return a page's text from a heading to the next one of its rank or above."""
    source = read(page)
    start = re.search(rf"^(#+) {re.escape(heading)}$", source, re.MULTILINE)
    assert start, f"{page} has no heading {heading!r}"
    rest = source[start.end() :]
    end = re.search(
        rf"^#{{1,{len(start[1])}}} ", re.sub(r"(?ms)^```.*?^```", _blank, rest), re.MULTILINE
    )
    return rest[: end.start()] if end else rest


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])
