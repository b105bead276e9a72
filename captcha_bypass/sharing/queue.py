"""A queue whose tasks may be answered from a clearance, or wait for a solve that is under way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from captcha_bypass.concurrency import Background
from captcha_bypass.errors import QueueFull, ShuttingDown
from captcha_bypass.sharing.clearances import Clearances, Event
from captcha_bypass.sharing.over import QueueOver
from captcha_bypass.sharing.terms import Terms, for_others
from captcha_bypass.tasks.base import Handler, JsonDict, Record, State, TaskQueue

logger = logging.getLogger(__name__)

#: Seconds between two looks at a task; it is only looked at again where it has not ended by then.
LOOK_SECONDS = 30.0

_DROPPED: JsonDict = {
    "error": {
        "code": "internal_error",
        "message": "The solve's result was dropped; raise --max-results-bytes.",
    }
}


@dataclass(slots=True, eq=False)
class _Flight:
    """A solve under way, and the tasks that end with it.

    Attributes:
        task_id: Of the task that runs: that of whoever began it.
        seats: The tasks that nobody has cancelled, that one among them; set once they have ended or
            were removed.
    """

    task_id: str
    terms: Terms
    owner: str
    seats: dict[str, asyncio.Event] = field(default_factory=dict)


class SharedQueue(QueueOver):
    """A TaskQueue over another, which runs the tasks; only those with `reuse` in them are shared.

    Whoever began a solve may cancel: it goes on as long as anybody waits for it. `stats` counts no tasks
    that wait for another one's solve.

    Args:
        most_joined: Tasks that may wait for solves of others; one more raises QueueFull.
        report: Told what becomes of tasks that share.
    """

    def __init__(
        self,
        queue: TaskQueue,
        clearances: Clearances,
        *,
        most_joined: int,
        report: Callable[[Event], None] = lambda event: None,
    ) -> None:
        super().__init__(queue)
        self._clearances = clearances
        self._most_joined = most_joined
        self._report = report
        self._flights: dict[str, _Flight] = {}
        self._seated: dict[str, _Flight] = {}
        #: Tasks that run on for others, and that their own clients have cancelled.
        self._left: set[str] = set()
        self._background = Background()

    async def start(self, handler: Handler | None, slots: int) -> None:
        """See TaskQueue."""
        await self._queue.start(None if handler is None else self._keeping(handler), slots)

    async def stop(self, grace: float) -> None:
        """See TaskQueue."""
        await self._queue.stop(grace)
        for flight in list(self._flights.values()):
            await self._land(flight, await self._queue.get(flight.task_id))
        await self._background.close()

    async def submit(
        self,
        task_id: str,
        payload: JsonDict,
        timeout: float,
        bounds: Mapping[str, int] | None = None,
        *,
        owner: str = "",
        home: str = "",
        here: bool = False,
    ) -> None:
        """See TaskQueue; one with `reuse` is answered from a clearance, or joins a solve, if it can."""
        terms = Terms.of(payload) if payload.get("reuse") is not None else None
        if terms is None:
            await super().submit(
                task_id, payload, timeout, bounds, owner=owner, home=home, here=here
            )
            return
        if await self._is_answered(task_id, terms, owner):
            return
        flight = await self._joinable(terms.wish)
        if flight is not None:
            self._join(flight, task_id)
            return
        await self._queue.submit(task_id, payload, timeout, bounds, owner=owner)
        self._report("solved")
        flight = self._flights[terms.wish] = _Flight(task_id, terms, owner)
        self._sit(flight, task_id)
        self._background.run(self._follow(flight))

    async def get(self, task_id: str) -> Record | None:
        """See TaskQueue."""
        if task_id in self._left:
            return None
        flight = self._seated.get(task_id)
        if flight is None or flight.task_id == task_id:
            return await self._queue.get(task_id)
        record = await self._queue.get(flight.task_id)
        # The one that runs may have ended this moment.
        if record is None or record.finished:
            return Record(task_id, State.RUNNING, owner=flight.owner)
        return Record(task_id, record.state, owner=flight.owner, link=record.link)

    async def wait(self, task_id: str, seconds: float) -> Record | None:
        """See TaskQueue."""
        flight = self._seated.get(task_id)
        if flight is None:
            return None if task_id in self._left else await self._queue.wait(task_id, seconds)
        try:
            async with asyncio.timeout(seconds):
                await flight.seats[task_id].wait()
        except TimeoutError:
            pass
        return await self.get(task_id)

    async def remove(self, task_id: str) -> bool:
        """See TaskQueue; a solve that others wait for goes on."""
        flight = self._seated.pop(task_id, None)
        if flight is None:
            return task_id not in self._left and await self._queue.remove(task_id)
        flight.seats.pop(task_id).set()
        if flight.seats:
            if task_id == flight.task_id:
                self._left.add(task_id)
            return True
        self._close(flight)  # before it ends, so that nobody joins it meanwhile
        return await self._queue.remove(flight.task_id)

    async def _is_answered(self, task_id: str, terms: Terms, owner: str) -> bool:
        assert terms.reuse is not None  # noqa: S101 - whoever asks has looked
        if self.stopping:
            raise ShuttingDown
        found = await self._clearances.find(terms.key, terms.reuse)
        if found is None:
            return False
        await self._queue.put(task_id, {"data": found.answer()}, owner=owner)
        self._report("hit")
        event = {"task_id": task_id, "host": terms.key.host, "age": found.age}
        logger.info("task answered from a clearance", extra=event)
        return True

    async def _joinable(self, wish: str) -> _Flight | None:
        flight = self._flights.get(wish)
        if flight is None:
            return None
        record = await self._queue.get(flight.task_id)
        return None if record is None or record.finished else flight

    def _join(self, flight: _Flight, task_id: str) -> None:
        if len(self._seated) - len(self._flights) >= self._most_joined:
            raise QueueFull(
                f"{self._most_joined} tasks wait for solves of others; try again later or raise "
                "--max-queue."
            )
        self._sit(flight, task_id)
        self._report("joined")
        event = {"task_id": task_id, "host": flight.terms.key.host, "joined": flight.task_id}
        logger.info("task waits for a solve under way", extra=event)

    def _sit(self, flight: _Flight, task_id: str) -> None:
        flight.seats[task_id] = asyncio.Event()
        self._seated[task_id] = flight

    def _close(self, flight: _Flight) -> None:
        if self._flights.get(flight.terms.wish) is flight:
            del self._flights[flight.terms.wish]
        self._left.discard(flight.task_id)

    async def _follow(self, flight: _Flight) -> None:
        record = await self._queue.wait(flight.task_id, LOOK_SECONDS)
        while record is not None and not record.finished:
            record = await self._queue.wait(flight.task_id, LOOK_SECONDS)
        await self._land(flight, record)

    async def _land(self, flight: _Flight, record: Record | None) -> None:
        """End all tasks of a flight as the one that ran has ended."""
        self._close(flight)
        outcome = _DROPPED
        if record is not None:
            outcome = for_others(record.data, record.error, flight.terms)
        seats, flight.seats = flight.seats, {}
        for task_id in seats:
            del self._seated[task_id]
        for task_id, told in seats.items():
            if task_id != flight.task_id:
                await self._queue.put(task_id, outcome, owner=flight.owner)
            told.set()
        if seats and flight.task_id not in seats:
            await self._queue.remove(flight.task_id)

    def _keeping(self, handler: Handler) -> Handler:
        """Return a handler that keeps the clearances which tasks get."""

        async def run(task_id: str, payload: JsonDict) -> JsonDict:
            outcome = await handler(task_id, payload)
            terms, data = Terms.of(payload), outcome.get("data")
            if terms is None or data is None or not terms.is_clearance(data):
                return outcome
            clearance = await self._clearances.add(terms.key, terms.shared(data))
            if clearance is None:
                return outcome
            told = {"id": clearance.id, "age": 0.0, "reused": False}
            return {**outcome, "data": {**data, "clearance": told}}

        return run
