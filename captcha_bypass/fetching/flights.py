"""One solve of a site for all requests that need it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from captcha_bypass.concurrency import Background, uninterrupted
from captcha_bypass.errors import (
    CaptchaBypassError,
    RequestError,
    ShuttingDown,
    TaskError,
    TooManySessions,
)
from captcha_bypass.fetching.deadline import Deadline
from captcha_bypass.fetching.messages import ChallengeNotPassed, TimeIsUp
from captcha_bypass.tasks.base import JsonDict, Record, State, TaskQueue
from captcha_bypass.wire.fetch import Obstacle
from captcha_bypass.wire.task import Task

logger = logging.getLogger(__name__)

#: Seconds between two looks at a task; it is only looked at again where it has not ended by then.
LOOK_SECONDS = 30.0
#: Likewise of one that may wait for a person, until it does: the requests' own time goes on meanwhile.
HUMAN_LOOK_SECONDS = 0.25
#: Solves that are begun for one flight: a session may turn out to be lost once one has begun.
ATTEMPTS = 2
#: Codes of solves that failed for what the page, or what it was led to, is.
OF_PAGE = frozenset(
    {
        *("blocked_address", "dns_error", "connection_refused", "connection_reset", "tls_error"),
        *("redirect_loop", "page_too_large", "page_unreadable", "navigation_error"),
    }
)


@dataclass(frozen=True)
class Outcome:
    """How a solve ended."""

    #: Vendor of the challenge that was passed; None: there was none.
    solved: str | None = None
    #: Why the way is not clear; None: it is.
    failure: CaptchaBypassError | None = None
    #: It had not the time: with more it may end otherwise.
    is_late: bool = False
    #: The page did not come, which need not be so for the request: pages follow redirects to other
    #: hosts, say.
    is_of_page: bool = False

    def raise_if_failed(self) -> None:
        """Raise why it failed, to one of several who wait for it."""
        if self.failure is not None:
            raise self.failure.with_traceback(None)


class Flight:
    """A solve under way; it ends early when nobody waits for it any more.

    Args:
        until: When whoever began it gives up, on the event loop's clock; a person is waited for beyond.
        waits_for_human: Whether one is, where the challenge needs it.
    """

    def __init__(self, until: float, *, waits_for_human: bool) -> None:
        self._work: asyncio.Task[Outcome]
        self._waiters = 0
        self._held: list[Deadline] = []
        #: Whether a person is, or was.
        self.has_waited = False
        self.until = until
        self.waits_for_human = waits_for_human

    def begin(self, work: asyncio.Task[Outcome]) -> None:
        """Be the flight of that work."""
        self._work = work

    def on_waiting(self) -> None:
        """Let a person take their time."""
        self.has_waited = True
        for deadline in self._held:
            deadline.hold()

    async def outcome(self, deadline: Deadline | None = None) -> Outcome:
        """Wait for its end.

        Args:
            deadline: Held while a person is waited for; None: nothing is.

        Raises:
            ShuttingDown: the service stops before.
        """
        self._waiters += 1
        try:
            with self._holding(deadline):
                await asyncio.wait({self._work})
        finally:
            self._waiters -= 1
            if not self._waiters and not self._work.done():
                await uninterrupted(self._abandon())
        if self._work.cancelled():
            raise ShuttingDown
        return self._work.result()

    @contextmanager
    def _holding(self, deadline: Deadline | None) -> Iterator[None]:
        if deadline is None:
            yield
            return
        self._held.append(deadline)
        if self.has_waited:
            deadline.hold()
        try:
            yield
        finally:
            self._held.remove(deadline)
            deadline.release()

    async def _abandon(self) -> None:
        self._work.cancel()
        await asyncio.wait({self._work})

    @property
    def is_over(self) -> bool:
        """Whether nobody should wait for it any more."""
        return self._work.done() or self._work.cancelling() > 0


class Flights:
    """Has sites solved by the queue's workers.

    Args:
        background: What the flights end with.
        max_per_host: See Config.
    """

    def __init__(self, queue: TaskQueue, background: Background, max_per_host: int) -> None:
        self._queue = queue
        self._background = background
        self._max_per_host = max_per_host

    def start(self, task: Task, until: float, then: Callable[[Outcome], Outcome]) -> Flight:
        """Begin a solve.

        Args:
            until: See Flight.
            then: Called with how it has ended, before anybody else knows; says how it counts.
        """
        flight = Flight(until, waits_for_human=task.waits_for_human)
        flight.begin(self._background.start(self._run(task, flight, then)))
        return flight

    async def _run(self, task: Task, flight: Flight, then: Callable[[Outcome], Outcome]) -> Outcome:
        return then(await self._solve(task, flight))

    async def _solve(self, task: Task, flight: Flight) -> Outcome:
        for _ in range(ATTEMPTS):
            outcome = await self._attempt(task, flight)
            failure = outcome.failure
            lost = isinstance(failure, TaskError) and failure.code == "session_lost"
            if not (lost and task.of_site):  # whose session is only kept for such solves
                break
        return outcome

    async def _attempt(self, task: Task, flight: Flight) -> Outcome:
        task_id = str(uuid4())
        bounds = task.groups(self._max_per_host)
        try:
            await self._queue.submit(
                task_id,
                task.to_payload(),
                task.timeout,
                bounds,
                owner=task.owner,
                home=task.home,
                here=task.of_site,
            )
        except RequestError as error:
            return Outcome(failure=error)
        try:
            record = await self._ended(task_id, flight)
        finally:
            # Nobody else knows the id.
            await uninterrupted(self._queue.remove(task_id))
        return _outcome(record)

    async def _ended(self, task_id: str, flight: Flight) -> Record | None:
        seconds = HUMAN_LOOK_SECONDS if flight.waits_for_human else LOOK_SECONDS
        while True:
            record = await self._queue.wait(task_id, seconds)
            if record is None or record.finished:
                return record
            if record.state is State.WAITING_FOR_HUMAN:
                flight.on_waiting()
                seconds = LOOK_SECONDS


def _outcome(record: Record | None) -> Outcome:
    if record is None:
        message = "The solve's result was dropped; raise --max-results-bytes."
        return Outcome(failure=TaskError("internal_error", message))
    if record.error is not None:
        return _failed(record)
    data: JsonDict = record.data or {}
    if data["timeout_reached"]:
        return Outcome(failure=_late(data), is_late=True)
    return Outcome(solved=data["solved"])


def _late(data: JsonDict) -> CaptchaBypassError:
    """Return the error of a solve whose time was up."""
    if data["challenge"] is not None:
        message = (
            f"The challenge of {data['challenge']} was not passed; the site's answer was not to be "
            "had."
        )
        if data["challenge_kind"] == "human":
            message += " It waits for a person; this service clicks nothing."
        return ChallengeNotPassed(message, Obstacle.model_validate(data))
    if data["status_code"] is None and not data["hints"]:
        return TimeIsUp("The page that clears the way did not come in time.")
    # What the kind says here is of a challenge that is gone.
    why = Obstacle.model_validate({**data, "challenge_kind": None})
    return TimeIsUp("The conditions did not hold in time on the page that clears the way.", why)


def _failed(record: Record) -> Outcome:
    error: JsonDict = record.error or {}
    code, message = error["code"], error["message"]
    if code == "not_a_page":  # but a file, which is what is asked for
        return Outcome(solved=(record.data or {}).get("solved"))
    if code == "too_many_sessions":
        return Outcome(failure=TooManySessions(message))
    if code == "shutting_down":
        return Outcome(failure=ShuttingDown())
    return Outcome(failure=TaskError(code, message), is_of_page=code in OF_PAGE)
