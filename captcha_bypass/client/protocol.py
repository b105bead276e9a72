"""How the service is asked, step by step; both clients do these steps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from captcha_bypass.client.answers import (
    BUSY,
    code_of,
    failure,
    json_of,
    not_the_service,
    refusal,
    retry_after,
    unreachable,
    unsolved,
)
from captcha_bypass.client.results import FetchResult, Health, SolveResult
from captcha_bypass.client.steps import Answer, Call, NoAnswer, Pause, Steps
from captcha_bypass.client.tasks import (
    ANSWER_SECONDS,
    GRACE_SECONDS,
    LONG_POLL,
    PATIENCE_SECONDS,
    Tasks,
    waits_for_human,
)

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that a request through the browser may last beyond its timeout where a person is waited for;
#: the service ends it earlier (--human-timeout).
HUMAN_SECONDS = 3600.0


def nobody(state: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Protocol:
    """Asks one service.

    Args:
        shown: Its address, for messages.
        long_poll: Seconds of one question for a result, at most LONG_POLL.
        on_state: Told where a task stands, with each answer: `busy` (no place in the queue), `pending`,
            `running`, `waiting_for_human`, or `away` (the service does not answer).
        on_human: Told, once for each task, the link to a page that waits for a person.
    """

    shown: str
    long_poll: float = LONG_POLL
    on_state: Callable[[str], None] = nobody
    on_human: Callable[[str], None] = nobody

    def check(self) -> Steps[None]:
        """See whether address and key are right; nothing else is done.

        Raises:
            ServiceError: they are not.
        """
        answer = yield from self._call("GET", "/sessions")
        if answer.status != 200:
            raise refusal(self.shown, answer)
        if not isinstance(json_of(answer).get("sessions"), list):
            raise not_the_service(self.shown, answer)

    def health(self) -> Steps[Health]:
        """Return whether tasks can run.

        Raises:
            ServiceError: the address is not the service's.
        """
        answer = yield from self._call("GET", "/health")
        found = json_of(answer)
        status = found.get("status")
        if status not in ("ok", "starting", "unavailable"):
            raise refusal(self.shown, answer)
        reason, version, browser = (found.get(name) for name in ("reason", "version", "browser"))
        return Health(status, reason, version, browser, found)

    def end_session(self, name: str) -> Steps[bool]:
        """End a session; returns whether there was one.

        Raises:
            ServiceError: the service cannot be used.
        """
        answer = yield from self._call("DELETE", f"/sessions/{quote(name, safe='')}")
        if answer.status not in (200, 404) or "success" not in json_of(answer):
            raise refusal(self.shown, answer)
        return answer.status == 200

    def refuse(self, clearance_id: str) -> Steps[bool]:
        """End a clearance that its site does not take any more; returns whether it was not over yet.

        Raises:
            ServiceError: the service cannot be used.
        """
        answer = yield from self._call("POST", "/clearances/refused", {"id": clearance_id})
        ended = json_of(answer).get("ended")
        if answer.status != 200 or not isinstance(ended, bool):
            raise refusal(self.shown, answer)
        return ended

    def solve(self, body: dict[str, Any], queue_timeout: float) -> Steps[SolveResult]:
        """Have a page opened, and return it once it is through.

        A task that nobody waits for any more, because the caller was interrupted, is cancelled.

        Args:
            body: Of POST /solve.
            queue_timeout: Seconds to wait for a browser.

        Raises:
            ClientError: see `errors`.
        """
        tasks = Tasks(self.shown, self.long_poll, self.on_state, self.on_human)
        view = yield from tasks.run(body, queue_timeout, patience=0)
        code = (view.get("error") or {}).get("code")
        if view["status"] == "not_found" or code == "shutting_down":
            # It was restarted, and its memory is gone. Once: it might be crashing.
            view = yield from tasks.run(body, queue_timeout, patience=PATIENCE_SECONDS)
        if view["status"] != "completed":
            raise failure(self.shown, view)
        result = SolveResult.read(view["data"])
        asked = body.get("success_text") or body.get("success_selector")
        if result.timeout_reached or result.challenge or (result.block and not asked):
            raise unsolved(result, body["timeout"])
        return result

    def fetch(self, body: dict[str, Any]) -> Steps[FetchResult]:
        """Have the browser send a request, and return the site's answer.

        Args:
            body: Of POST /fetch; its timeout holds for all of it, waiting for a place included.

        Raises:
            ClientError: see `errors`.
        """
        until = time.monotonic() + body["timeout"]
        grace = GRACE_SECONDS + (HUMAN_SECONDS if waits_for_human(body) else 0)
        while True:
            left = max(0.1, until - time.monotonic())
            try:
                answer = yield Call("POST", "/fetch", left + grace, {**body, "timeout": left})
            except NoAnswer as error:
                raise unreachable(self.shown, str(error)) from error
            if answer.status == 200:
                return self._fetched(answer)
            code, pause = code_of(answer), retry_after(answer)
            if code not in BUSY or time.monotonic() + pause > until:
                break
            self.on_state("busy")
            yield Pause(pause)
        if answer.status in (500, 502, 503, 504) and code and code not in BUSY:
            raise failure(self.shown, json_of(answer))
        raise refusal(self.shown, answer)

    def _fetched(self, answer: Answer) -> FetchResult:
        try:
            return FetchResult.read(json_of(answer))
        except (KeyError, TypeError, ValueError):
            raise not_the_service(self.shown, answer) from None

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Steps[Answer]:
        try:
            answer: Answer = yield Call(method, path, ANSWER_SECONDS, body)
        except NoAnswer as error:
            raise unreachable(self.shown, str(error)) from error
        return answer
