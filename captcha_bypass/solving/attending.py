"""Beside a task: where a challenge stands that needs a person, the page waits for one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import TracebackType
from typing import Self

from playwright.async_api import Error

from captcha_bypass.browsers.pool import KILL_GRACE
from captcha_bypass.browsers.tab import Tab
from captcha_bypass.challenges import Challenge
from captcha_bypass.human.waits import NoRoom, Wait, Waits
from captcha_bypass.solving.bounds import Bounds
from captcha_bypass.solving.explaining import Explainer, hint_of
from captcha_bypass.solving.outcome import Outcome
from captcha_bypass.solving.watcher import Watcher
from captcha_bypass.status import Ending
from captcha_bypass.wire.results import HintCode
from captcha_bypass.wire.task import Task

#: Seconds that such a challenge stands before a person is called: many pass by themselves.
STANDING_SECONDS = 5.0
#: Seconds between two looks whether one stands.
LOOK_EVERY = 0.5
#: Seconds that a page gets to tell what it shows once nobody is waited for any more; with the kill of
#: a browser that hangs, slot and page are gone within two.
END_SECONDS = 1.5

_HINTS: dict[Ending, HintCode] = {
    "no_room": "no_human_room",
    "left": "human_left",
    "timeout": "human_timeout",
}


class Attendant:
    """Calls a person for one task, used as `async with` around its work on the page.

    Args:
        waits: None: nobody is called, whatever stands.
    """

    def __init__(
        self,
        waits: Waits | None,
        task_id: str,
        task: Task,
        tab: Tab,
        watcher: Watcher,
        explainer: Explainer,
        bounds: Bounds,
    ) -> None:
        self._waits = waits
        self._task_id = task_id
        self._task = task
        self._tab = tab
        self._watcher = watcher
        self._explainer = explainer
        self._bounds = bounds
        self._wait: Wait | None = None
        self._had_no_room = False
        self._work: asyncio.Task[None] | None = None

    def end(self, ending: Ending) -> None:
        """Say how the task has ended, if a person was waited for."""
        if self._wait is not None:
            self._wait.end(ending)

    def explained(self, outcome: Outcome) -> Outcome:
        """Return an outcome that says, too, why no person has helped, if one was to."""
        ending: Ending | None = "no_room" if self._had_no_room else None
        if self._wait is not None:
            ending = self._wait.ending
        code = None if ending is None else _HINTS.get(ending)
        if code is None:
            return outcome
        reasons = outcome.reasons
        hints = (hint_of(code), *reasons.hints)
        return replace(outcome, reasons=replace(reasons, hints=hints))

    async def __aenter__(self) -> Self:
        if self._waits is not None and self._task.waits_for_human:
            self._work = asyncio.create_task(self._attend(self._waits))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._work is None:
            return
        if self._wait is not None and error is not None:
            loan = self._tab.loan
            was_cancelled = isinstance(error, asyncio.CancelledError)
            is_lost = loan is not None and loan.was_ended
            self.end("cancelled" if was_cancelled and not is_lost else "failed")
        self._work.cancel()
        await asyncio.wait({self._work})
        if not self._work.cancelled():
            self._work.result()

    async def _attend(self, waits: Waits) -> None:
        try:
            challenge = await self._needed()
            while not await self._waited(waits, challenge):
                if not self._had_no_room:
                    waits.refused()
                self._had_no_room = True
                challenge = await self._needed()
        except Error:
            return  # the page is gone, which the task is told of

    async def _needed(self) -> Challenge:
        """Return once a challenge has stood that needs a person."""
        clock = asyncio.get_running_loop().time
        since = None
        while True:
            await asyncio.sleep(LOOK_EVERY)
            standing = self._watcher.standing
            if standing is None or not await self._is_for_human(standing):
                since = None
            elif since is None:
                since = clock()
            elif clock() - since >= STANDING_SECONDS or self._had_no_room:
                return standing

    async def _is_for_human(self, challenge: Challenge) -> bool:
        return challenge.kind == "human" or await self._explainer.has_widget()

    async def _waited(self, waits: Waits, challenge: Challenge) -> bool:
        """Wait for a person until the time is up, or they leave; False: there was no room."""
        task = self._task
        try:
            async with waits.open(
                self._task_id, task.owner, task.host, challenge.vendor, self._tab.page
            ) as wait:
                self._wait = wait
                self._move(wait.deadline, KILL_GRACE)
                try:
                    async with asyncio.timeout_at(wait.deadline):
                        await wait.ended.wait()
                except TimeoutError:
                    wait.end("timeout")
                if wait.ending != "solved":
                    self._move(asyncio.get_running_loop().time(), END_SECONDS)
        except NoRoom:
            return False
        return True

    def _move(self, deadline: float, grace: float) -> None:
        """Let the task last until a deadline, and its page so much longer."""
        self._bounds.move(deadline)
        if self._tab.loan is not None:
            self._tab.loan.extend(deadline + grace)
