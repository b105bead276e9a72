"""One task of the service, from the moment it is handed in to its end, step by step."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from captcha_bypass.client.answers import BUSY, code_of, json_of, refusal, retry_after, unreachable
from captcha_bypass.client.errors import ClientError, TaskFailed
from captcha_bypass.client.steps import Call, NoAnswer, Pause, Steps

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds of one question for a result. The service holds none for longer, and proxies between cut
#: off answers after 60.
LONG_POLL = 30.0
#: Seconds the service gets for an answer that it need not think about.
ANSWER_SECONDS = 10.0
#: Seconds for which the answer to a new task is held. Whoever is interrupted hangs up, and a task whose
#: id nobody has got yet ends with that.
SUBMIT_WAIT = 1.0
#: Seconds a task gets beyond its timeout, to be stopped and to hand over its page.
GRACE_SECONDS = 15.0
#: Seconds of one question for the result of a task that may wait for a person, until it does: they are
#: to be told.
HUMAN_POLL = 5.0
#: Seconds in which a service that has a task may be away, for it may be restarting; and between two
#: questions meanwhile.
PATIENCE_SECONDS, ASK_SECONDS = 20.0, 0.5
#: Seconds to say that a task is not wanted any more.
FORGET_SECONDS = 2.0

_ENDED = frozenset({"completed", "error", "not_found"})


@dataclass(frozen=True)
class Tasks:
    """Has one service run tasks; for the fields see Protocol."""

    shown: str
    long_poll: float
    on_state: Callable[[str], None]
    on_human: Callable[[str], None]

    def run(
        self, body: dict[str, Any], queue_timeout: float, *, patience: float
    ) -> Steps[dict[str, Any]]:
        """Run one task; returns what the service says of it at its end.

        It is cancelled if the caller is interrupted.

        Args:
            body: Of POST /solve.
            queue_timeout: Seconds to wait for a browser.
            patience: Seconds in which the service may be away when the task is handed in.

        Raises:
            ClientError: see `errors`.
        """
        until = time.monotonic() + queue_timeout
        found = yield from self._submit(body, until, time.monotonic() + patience)
        if "task_id" not in found:
            return found
        task_id, ended = str(found["task_id"]), False
        try:
            view = yield from self._ended(task_id, until, body)
            ended = True
            return view
        finally:
            if not ended:
                yield from self._forget(task_id)

    def _submit(
        self, body: dict[str, Any], until: float, patient_until: float
    ) -> Steps[dict[str, Any]]:
        """Hand in a task; returns its id or, if it has ended already, what the service says of it."""
        path = f"/solve?wait={min(SUBMIT_WAIT, self.long_poll):.3f}"
        while True:
            try:
                answer = yield Call("POST", path, ANSWER_SECONDS, body)
            except NoAnswer as error:
                if time.monotonic() > patient_until:
                    raise unreachable(self.shown, str(error)) from error
                self.on_state("away")
                yield Pause(ASK_SECONDS)
                continue
            found = json_of(answer)
            if (answer.status == 202 and "task_id" in found) or found.get("status") in _ENDED:
                return found
            if code_of(answer) == "too_many_waiting":
                path = "/solve"
            pause = retry_after(answer)
            if code_of(answer) not in BUSY or time.monotonic() + pause > until:
                raise refusal(self.shown, answer)
            self.on_state("busy")
            yield Pause(pause)

    def _ended(self, task_id: str, until: float, body: dict[str, Any]) -> Steps[dict[str, Any]]:
        """Wait for a task's end; the service alone knows how long a person is waited for.

        Args:
            until: When it must have begun to run.
            body: Of POST /solve.
        """
        running = told = False
        seconds = body["timeout"] + GRACE_SECONDS
        longest = min(HUMAN_POLL, self.long_poll) if waits_for_human(body) else self.long_poll
        while True:
            left = until - time.monotonic()
            view = yield from self._view(task_id, max(0.1, min(longest, left)))
            status = view["status"]
            if status in _ENDED:
                return view
            self.on_state(status)
            if status == "waiting_for_human":
                running, until, longest = True, time.monotonic() + seconds, self.long_poll
                if not told and isinstance(view.get("link"), str):
                    told = True
                    self.on_human(view["link"])
            elif status == "running" and not running:
                running, until = True, time.monotonic() + seconds
            elif left <= 0:
                raise self._late(running=running)

    def _late(self, *, running: bool) -> ClientError:
        if running:
            return TaskFailed("timeout", f"The service at {self.shown} let the task run too long.")
        return TaskFailed(
            "timeout",
            f"The task got no browser in time: it still waits in the queue of {self.shown}. Give a "
            "longer queue_timeout, or the service more workers.",
        )

    def _view(self, task_id: str, wait: float) -> Steps[dict[str, Any]]:
        """Ask how a task stands, patiently; where the answer is cut off, for a shorter one each time.

        Args:
            wait: Seconds that the service may hold the answer.
        """
        until: float | None = None
        trouble: ClientError
        while True:
            path = f"/result/{task_id}?wait={wait:.3f}"
            try:
                answer = yield Call("GET", path, wait + ANSWER_SECONDS)
            except NoAnswer as error:
                trouble = unreachable(self.shown, str(error))
            else:
                view = json_of(answer)
                if isinstance(view.get("status"), str):
                    return view
                trouble = refusal(self.shown, answer)
                if answer.status < 500:
                    raise trouble
            now = time.monotonic()
            until = now + PATIENCE_SECONDS if until is None else until
            if now > until:
                raise trouble
            # It is away, or holds as many answers as it can, or a proxy between has cut it off.
            wait /= 2
            self.on_state("away")
            yield Pause(ASK_SECONDS)

    def _forget(self, task_id: str) -> Steps[None]:
        with suppress(NoAnswer):  # it ends by its own timeout then
            yield Call("DELETE", f"/task/{task_id}", FORGET_SECONDS)


def waits_for_human(body: dict[str, Any]) -> bool:
    """Whether a request says that a challenge may be left to a person."""
    return body.get("on_challenge") == "wait"
