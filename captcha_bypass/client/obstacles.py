"""Why a page is not through: whose challenge is in the way, what does not hold, what came close."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Hint:
    """One reason why a condition does not hold, see docs/api.md.

    Attributes:
        value: The text or selector that it is about.
    """

    code: str
    message: str
    value: str | None = None

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Self:
        """Read one of the service's.

        Raises:
            KeyError: it is none.
        """
        return cls(str(fields["code"]), str(fields["message"]), fields.get("value"))


@dataclass(frozen=True)
class Obstacle:
    """What was in the way; the fields are those of the API (docs/api.md)."""

    challenge: str | None = None
    challenge_kind: str | None = None
    unmet: tuple[str, ...] = ()
    hints: tuple[Hint, ...] = ()

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Self:
        """Read what is told of it in a result, or in an error of POST /fetch.

        Raises:
            KeyError, TypeError: a hint is none.
        """
        return cls(
            fields.get("challenge"),
            fields.get("challenge_kind"),
            tuple(map(str, fields.get("unmet", ()))),
            tuple(map(Hint.read, fields.get("hints", ()))),
        )
