"""One solve for all nodes: clearances in Redis, and tasks of one wish behind each other in one line."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from hashlib import blake2b
from uuid import uuid4

from captcha_bypass.errors import QueueUnavailable
from captcha_bypass.sharing.clearances import MAX_CLEARANCE_BYTES, MAX_CLEARANCES, Event
from captcha_bypass.sharing.over import QueueOver
from captcha_bypass.sharing.terms import ClearanceKey, Terms, for_others, seconds_left
from captcha_bypass.tasks.base import Handler, JsonDict, TaskQueue, weigh
from captcha_bypass.tasks.fleet.store import Store

logger = logging.getLogger(__name__)

#: Seconds that those which have waited for a solve may take to be told how it has ended.
FLIGHT_SECONDS = 60.0


class FleetClearances:
    """The newest clearance of each owner, site and proxy, for all nodes.

    Args:
        ttl: Seconds that one is kept at most, whatever its cookies say.
        report: Told of each that is kept or refused.
    """

    def __init__(
        self, store: Store, ttl: float, report: Callable[[Event], None] = lambda event: None
    ) -> None:
        self._store = store
        self._ttl = ttl
        self._report = report

    async def answer(self, key: ClearanceKey, max_age: float) -> JsonDict | None:
        """Return the result of a task that is answered from a clearance which is at most so old."""
        found = await self._store.find_clearance(_name(key), max_age)
        if found is None:
            return None
        clearance_id, data, age = found
        told = {"id": clearance_id, "age": age, "reused": True}
        return {**data, "screenshot": None, "clearance": told}

    async def add(self, key: ClearanceKey, data: JsonDict) -> JsonDict | None:
        """Take a new clearance in place of the one before, and return what its result says of it.

        None: it is over already, or too large.
        """
        left = seconds_left(data)
        seconds = self._ttl if left is None else min(left, self._ttl)
        if seconds <= 0 or weigh(data) > MAX_CLEARANCE_BYTES:
            return None
        clearance_id = str(uuid4())
        await self._store.add_clearance(
            _name(key), key.owner, clearance_id, data, seconds, MAX_CLEARANCES
        )
        self._report("kept")
        return {"id": clearance_id, "age": 0.0, "reused": False}

    async def refuse(self, owner: str, clearance_id: str) -> bool:
        """See sharing.clearances.Clearances.refuse."""
        ended = await self._store.refuse_clearance(owner, clearance_id)
        if ended:
            self._report("refused")
            logger.info("clearance refused")
        return ended


class FleetSharing(QueueOver):
    """A TaskQueue over that of a fleet; tasks with `reuse` are answered from clearances, or wait in a line.

    Of such tasks that wish the same, one runs at a time in the whole fleet: the next ones find its
    clearance, or how it has ended, and are done. Where the one that runs is removed, the next begins.

    Args:
        report: Told what becomes of tasks that share.
    """

    def __init__(
        self,
        queue: TaskQueue,
        store: Store,
        clearances: FleetClearances,
        report: Callable[[Event], None] = lambda event: None,
    ) -> None:
        super().__init__(queue)
        self._store = store
        self._clearances = clearances
        self._report = report

    async def start(self, handler: Handler | None, slots: int) -> None:
        """See TaskQueue."""
        await super().start(None if handler is None else self._sharing(handler), slots)

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
        """See TaskQueue."""
        terms = Terms.of(payload) if payload.get("reuse") is not None else None
        if terms is not None and terms.reuse is not None:
            answer = await self._clearances.answer(terms.key, terms.reuse)
            if answer is not None:
                await self.put(task_id, {"data": answer}, owner=owner)
                self._report("hit")
                return
            bounds = {**(bounds or {}), f"wish:{terms.wish}": 1}
        await super().submit(task_id, payload, timeout, bounds, owner=owner, home=home, here=here)

    def _sharing(self, handler: Handler) -> Handler:
        """Return a handler that looks for what others have got, and keeps what it gets."""

        async def run(task_id: str, payload: JsonDict) -> JsonDict:
            terms = Terms.of(payload)
            if terms is None:
                return await handler(task_id, payload)
            if terms.reuse is not None:
                found = await self._found(task_id, terms, terms.reuse)
                self._report("solved" if found is None else "joined")
                if found is not None:
                    return found
            outcome = await handler(task_id, payload)
            try:
                return await self._kept(outcome, terms)
            except QueueUnavailable:  # nobody else has it then
                return outcome

        return run

    async def _found(self, task_id: str, terms: Terms, max_age: float) -> JsonDict | None:
        try:
            answer = await self._clearances.answer(terms.key, max_age)
            if answer is not None:
                return {"data": answer}
            return await self._store.flight(terms.wish, task_id)
        except QueueUnavailable:  # then it is one solve more
            return None

    async def _kept(self, outcome: JsonDict, terms: Terms) -> JsonDict:
        data = outcome.get("data")
        if data is not None and terms.is_clearance(data):
            told = await self._clearances.add(terms.key, terms.shared(data))
            if told is not None:
                return {**outcome, "data": {**data, "clearance": told}}
        if terms.reuse is not None:
            shared = for_others(outcome.get("data"), outcome.get("error"), terms)
            await self._store.end_flight(terms.wish, shared, FLIGHT_SECONDS)
        return outcome


def _name(key: ClearanceKey) -> str:
    return blake2b(json.dumps(key).encode(), digest_size=16).hexdigest()
