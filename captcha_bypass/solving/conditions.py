"""What a task waits for."""

from __future__ import annotations

from dataclasses import dataclass

from captcha_bypass.wire.conditions import Condition, alternatives
from captcha_bypass.wire.task import Task
from captcha_bypass.wire.text import fold


@dataclass(frozen=True)
class Conditions:
    """What must hold before a page counts as through: of texts and of selectors any one."""

    #: Folded; empty: none is waited for.
    texts: tuple[str, ...]
    selectors: tuple[str, ...]
    no_challenge: bool

    @classmethod
    def of(cls, task: Task) -> Conditions:
        """Take the conditions out of a task."""
        texts = tuple(map(fold, alternatives(task.success_text)))
        return cls(texts, alternatives(task.success_selector), bool(task.no_challenge))

    def unmet(
        self, *, text: bool = False, selector: bool = False, unchallenged: bool = False
    ) -> tuple[Condition, ...]:
        """Return the names of those that do not hold, given what a page shows of each."""
        found: list[Condition] = []
        if self.texts and not text:
            found.append("success_text")
        if self.selectors and not selector:
            found.append("success_selector")
        if self.no_challenge and not unchallenged:
            found.append("no_challenge")
        return tuple(found)
