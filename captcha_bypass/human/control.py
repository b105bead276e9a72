"""Who of those that watch a page has its mouse and keyboard: one at a time, and whoever wants it asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from captcha_bypass.human.inputs import NotTaken

logger = logging.getLogger(__name__)

#: Seconds in which whoever has control may keep it from one who asks; no answer yields it.
ANSWER_SECONDS = 10.0
#: Seconds for which it is kept for one whose connection is lost.
AWAY_SECONDS = 5.0


class Person(Protocol):
    """One who watches."""

    @property
    def who(self) -> str:
        """Whose API key it is; `local` where there are none."""

    @property
    def client(self) -> str:
        """The address."""

    def asked(self, seconds: float) -> None:
        """Note that somebody else wants control, and gets it without an answer in so many seconds."""

    def refused(self) -> None:
        """Note that whoever has control keeps it."""


class Control:
    """The control of one task's page.

    Args:
        task_id: For the log.
        let_go: Called when nobody has it any more, or somebody else.
        changed: Called once somebody else has it, or nobody.
    """

    def __init__(
        self, task_id: str, let_go: Callable[[], None], changed: Callable[[], None]
    ) -> None:
        self._task_id = task_id
        self._let_go = let_go
        self._changed = changed
        self.holder: Person | None = None
        self._is_away = False
        self._asker: Person | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0

    def ask(self, person: Person) -> None:
        """Give control to one who wants it, now or once its holder does not keep it.

        Raises:
            NotTaken: somebody else has asked already.
        """
        holder = self.holder
        if holder is person:
            return
        if holder is None or (self._is_away and _same(holder, person)):
            self._give(person)
        elif self._asker is None:
            self._asker = person
            if not self._is_away:
                holder.asked(ANSWER_SECONDS)
                self._after(ANSWER_SECONDS)
        elif self._asker is not person:
            raise NotTaken("already_asked", "Somebody else has asked for control already.")

    def keep(self, person: Person) -> None:
        """Let its holder keep control from one who has asked."""
        if person is self.holder and self._asker is not None:
            asker, self._asker = self._asker, None
            self._stop_timer()
            asker.refused()

    def release(self, person: Person) -> None:
        """Let its holder give control away: to one who has asked, or to nobody."""
        if person is self.holder:
            self._give(self._asker)

    def lost(self, person: Person) -> None:
        """Note that somebody has gone, who may come back."""
        if person is self._asker:
            self._asker = None
            if not self._is_away:
                self._stop_timer()
        if person is self.holder:
            self._is_away = True
            self._let_go()
            self._after(AWAY_SECONDS)

    def end(self) -> None:
        """Take it from whoever has it, for good."""
        self._give(None)

    def _give(self, person: Person | None) -> None:
        self._stop_timer()
        if self.holder is not None:
            self._let_go()
            seconds = round(asyncio.get_running_loop().time() - self._since, 1)
            self._tell("control of a page was given back", self.holder, seconds=seconds)
        if person is not None:
            self._tell("control of a page was taken", person)
        self.holder, self._asker, self._is_away = person, None, False
        self._since = asyncio.get_running_loop().time()
        self._changed()

    def _after(self, seconds: float) -> None:
        self._stop_timer()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, lambda: self._give(self._asker))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self, text: str, person: Person, **more: float) -> None:
        fields = {"task_id": self._task_id, "who": person.who, "client": person.client}
        logger.info("%s", text, extra={**fields, **more})


def _same(one: Person, other: Person) -> bool:
    return (one.who, one.client) == (other.who, other.client)
