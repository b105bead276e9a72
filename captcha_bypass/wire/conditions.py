"""The conditions that say when a page is through: one text or selector, or a list of several."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from captcha_bypass.wire.fields import VisibleText

#: Texts, or selectors, any one of which is enough: each is looked for in every look at a page.
MAX_ALTERNATIVES = 16
#: The names of the conditions, as requests give them.
Condition = Literal["success_text", "success_selector", "no_challenge"]
#: Tags stand in the path of an error; the API leaves these out of it.
ONE, ANY = "[one]", "[any]"


def _tag(value: object) -> str | None:
    if isinstance(value, list):
        return ANY
    return ONE if isinstance(value, str) else None


_BY_TYPE = Discriminator(
    _tag, custom_error_type="string_or_list", custom_error_message="must be a string, or a list"
)


Selector = Annotated[str, Field(min_length=1, max_length=1024)]
SuccessText = Annotated[
    Annotated[VisibleText, Tag(ONE)]
    | Annotated[list[VisibleText], Field(min_length=1, max_length=MAX_ALTERNATIVES), Tag(ANY)],
    _BY_TYPE,
]
SuccessSelector = Annotated[
    Annotated[Selector, Tag(ONE)]
    | Annotated[list[Selector], Field(min_length=1, max_length=MAX_ALTERNATIVES), Tag(ANY)],
    _BY_TYPE,
]


def alternatives(condition: str | list[str] | None) -> tuple[str, ...]:
    """Return the texts or selectors of a condition, any one of which is enough; none: not given."""
    if condition is None:
        return ()
    return (condition,) if isinstance(condition, str) else tuple(condition)
