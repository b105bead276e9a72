"""What a person's page may say about a page that waits: strict, bounded, and told in codes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from captcha_bypass.wire.models import Wire

#: Characters of a text that are pasted at once.
MAX_PASTE_CHARS = 10_000
#: Keys that are no characters; those that no page needs, and a browser may take for itself, are not here.
NAMED_KEYS = frozenset(
    {
        *(" ", "Enter", "Tab", "Backspace", "Delete", "Escape", "Insert", "Shift", "Control"),
        *("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"),
    }
)
#: What goes with Control: to move, select and undo. Not the clipboard, which is all tasks' of a browser.
WITH_CONTROL = frozenset(
    {
        *("a", "A", "y", "Y", "z", "Z", "Backspace", "Delete", "Shift", "Control"),
        *("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"),
    }
)
#: CSS pixels; more than any screen has.
_Place = Annotated[float, Field(ge=-100_000, le=100_000)]
_Turn = Annotated[float, Field(ge=-10_000, le=10_000)]


class Simple(Wire):
    """`ack`: the last picture is drawn. The others are about who has control, and giving up."""

    type: Literal["ack", "control", "release", "yield", "keep", "leave"]


class Mouse(Wire):
    """The mouse was moved, or its button; places are CSS pixels from the left upper corner."""

    type: Literal["mouse"]
    action: Literal["move", "down", "up"]
    x: _Place
    y: _Place
    button: Literal["left"] = "left"
    clicks: Annotated[int, Field(ge=1, le=3)] = 1


class Wheel(Wire):
    """The wheel was turned, by CSS pixels."""

    type: Literal["wheel"]
    x: _Place
    y: _Place
    dx: _Turn
    dy: _Turn


class Key(Wire):
    """A key was pressed or let go; it goes by the names of KeyboardEvent.key."""

    type: Literal["key"]
    action: Literal["down", "up"]
    key: Annotated[str, Field(min_length=1, max_length=32, repr=False)]


class Paste(Wire):
    """A text was pasted."""

    type: Literal["paste"]
    text: Annotated[str, Field(max_length=MAX_PASTE_CHARS, repr=False)]


Input = Mouse | Wheel | Key | Paste
Message = Simple | Input

_MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def parse(text: str) -> Message:
    """Return what a text says.

    Raises:
        pydantic.ValidationError: it is none of the messages; quotes nothing of it.
    """
    return _MESSAGE.validate_json(text)
