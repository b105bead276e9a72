"""How a mark shows in a document: where it stands, and in what form.

Each test makes a function of a document that takes time in proportion to its length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from captcha_bypass.challenges.document import NEAR, Document, before_quote, follows, places
from captcha_bypass.challenges.headers import Kind

Test = Callable[[Document], bool]
_HEX = frozenset("0123456789abcdef")
_WORD = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")


def _after(text: str, place: int, word: str) -> str:
    start = place + len(word)
    return text[start : start + NEAR]


def attribute_has(part: str, *attributes: str, tag: str = "") -> Test:
    """A tag has an attribute with this in its value."""
    return lambda document: any(
        part in found.attribute(name)
        for found in document.tags
        if part in found.text and found.name.startswith(tag)
        for name in attributes
    )


def attribute_is(attribute: str, *values: str, tag: str = "") -> Test:
    """A tag has an attribute with one of these values."""
    return lambda document: any(
        found.attribute(attribute) in values
        for found in document.tags
        if found.name.startswith(tag) and any(value in found.text for value in values)
    )


def in_markup(mark: str) -> Test:
    """The mark is on the page, and not only in a script, a comment or a field."""
    return lambda document: mark in document.markup


def code_sets(name: str, *value: str | tuple[str, ...]) -> Test:
    """A script assigns to this name, and the value begins with these parts."""

    def test(document: Document) -> bool:
        return any(
            _begins_statement(code, place) and follows(code, place + len(name), "=", *value)
            for code in document.code
            for place in places(code, name)
        )

    return test


def _begins_statement(code: str, place: int) -> bool:
    """Tell an assignment from a text in code that speaks of one."""
    near = code[max(0, place - NEAR) : place]
    before = near.rstrip()
    return not before or "\n" in near[len(before) :] or before[-1:] in ";,{}()>&|!?:"


def text_has(name: str, *parts: str | tuple[str, ...]) -> Test:
    """The name is followed by these parts, anywhere."""
    return lambda document: any(
        follows(document.text, place + len(name), *parts) for place in places(document.text, name)
    )


def first_words(sentence: str) -> Test:
    """The page begins with this sentence, so that it is no text of others that it quotes."""

    def test(document: Document) -> bool:
        place = document.markup.find(sentence)
        before = document.markup[: max(0, place)]
        body = max(before.find("<body"), before.find("</head"), before.find("</title"))
        pieces = before[max(0, body) :].split("<")
        outside = [pieces[0], *(piece.partition(">")[2] for piece in pieces[1:])]
        return place >= 0 and not "".join(outside).strip()

    return test


def cloudflare_script(document: Document) -> bool:
    """The script of a challenge page; that of normal pages has another path."""
    mark = "/cdn-cgi/challenge-platform/h/"

    def loaded(text: str, place: int) -> bool:
        assigned = before_quote(text, place).rstrip()
        kind, _, rest = _after(text, place, mark).partition("/")
        return (
            assigned.endswith("=")
            and assigned[:-1].rstrip().endswith("src")
            and kind != ""
            and _WORD.issuperset(kind)
            and rest.startswith("orchestrate/")
        )

    texts = [*(tag.text for tag in document.tags), *document.code]
    return any(loaded(text, place) for text in texts for place in places(text, mark))


def cloudflare_error(document: Document) -> bool:
    """The codes of a refusal, alone in their line or element."""
    refusals = {"1005", "1006", "1007", "1008", "1009", "1010", "1011", "1012", "1015"}
    mark = "error code: "
    for place in places(document.text, mark):
        end = place + len(mark) + 4
        before = document.text[max(0, place - NEAR) : place].rstrip()
        after = document.text[end : end + NEAR].lstrip()
        code = document.text[end - 4 : end]
        alone = before[-1:] in {"", ">"} and after[:1] in {"", "<"}
        if alone and (code in refusals or code == "1020"):
            return True
    return False


def datadome_ban(document: Document) -> bool:
    """`t=bv` in a URL, or 't': 'bv' in an object."""
    text, mark = document.text, "t=bv"
    in_url = any(
        not _WORD.difference("0123456789").issuperset(text[place - 1 : place] or "-")
        and not _WORD.issuperset(_after(text, place, mark)[:1] or "-")
        for place in places(text, mark)
    )
    return in_url or _pair(text, "t", "bv")


def _pair(text: str, name: str, value: str) -> bool:
    values = ('"' + value + '"', "'" + value + "'")
    return any(
        follows(text, place + len(key), ":", values)
        for key in ('"' + name + '"', "'" + name + "'")
        for place in places(text, key)
    )


def datadome_frame(path: str, *kind: str | tuple[str, ...]) -> Test:
    """A frame of captcha-delivery.com with this path, or the object `dd` of this kind."""
    host = "captcha-delivery.com"
    described = text_has("var dd", "=", "{", ('"rt"', "'rt'"), *kind)

    def test(document: Document) -> bool:
        # JSON may escape the slashes.
        paths = (_after(document.text, place, host) for place in places(document.text, host))
        return any(
            found[:1] in "\\/" and found.lstrip("\\/").startswith(path) for found in paths
        ) or described(document)

    return test


def akamai_reference(document: Document) -> bool:
    """Reference 18 of Akamai's error page is "access denied"; raw it is written in entities."""
    text = document.text
    for entity, sign in (("&#46;", "."), ("&#47;", "/"), ("&#32;", " "), ("&#35;", "#")):
        text = text.replace(entity, sign)
    return "errors.edgesuite.net/18." in text or (
        "access denied" in text
        and any(follows(text, place + 9, "#18.") for place in places(text, "reference"))
    )


def aliyun_argument(document: Document) -> bool:
    """A script sets `arg1` to 40 hexadecimal digits."""
    name = "var arg1"
    for code in document.code:
        for place in places(code, name):
            near = _after(code, place, name).lstrip()
            value = near[1:].lstrip()
            digits = value[1:41]
            if (
                near.startswith("=")
                and value[:1] in {'"', "'"}
                and len(digits) == 40
                and _HEX.issuperset(digits)
                and value[41:42] == value[:1]
                and _begins_statement(code, place)
            ):
                return True
    return False


def anubis_task(document: Document) -> bool:
    """The task of an Anubis challenge is there; on its error page it is null."""
    return any(
        tag.attribute("id") == "anubis_challenge" and source.lstrip().startswith("{")
        for tag, source in document.scripts
        if "anubis_challenge" in tag.text
    )


def go_away_asset(document: Document) -> bool:
    """Something of go-away's own is loaded; its path can be configured in part."""
    mark, asset = "/.well-known/.", "go-away/assets/static/"
    for tag in document.tags:
        if asset not in tag.text:
            continue
        for name in ("href", "src"):
            path = tag.attribute(name).partition("?")[0]
            if mark in path and asset in path[path.find(mark) + len(mark) :]:
                return True
    return False


@dataclass(frozen=True, slots=True)
class BodyRule:
    """A mark in the document."""

    vendor: str
    kind: Kind
    marks: tuple[str, ...]  # lower case; all must occur, a cheap test before the next
    test: Test | None = None  # where and how they occur
    statuses: frozenset[int] | None = None  # None: any

    def matches(self, status: int, document: Document) -> bool:
        """Whether the document has the mark."""
        if self.statuses is not None and status not in self.statuses:
            return False
        if not all(mark in document.text for mark in self.marks):
            return False
        return self.test is None or self.test(document)
