"""The clearances of a service, kept until their time is up or somebody says that one is refused."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol
from uuid import uuid4

from captcha_bypass.sharing.terms import ClearanceKey, seconds_left
from captcha_bypass.tasks.base import JsonDict, weigh

logger = logging.getLogger(__name__)

#: What is counted: a clearance was kept, or ended by whom its site refused it; a task was answered from
#: one, waited for another one's solve, or was solved itself.
Event = Literal["kept", "refused", "hit", "joined", "solved"]
#: Bounds of what is kept; past them what was used longest ago goes first. A clearance takes about 5 KB.
MAX_CLEARANCES = 10_000
MAX_BYTES = 64 * 1024**2
#: A larger one is not kept: 3000 cookies of a site that fills them would push out all others.
MAX_CLEARANCE_BYTES = 1024**2


@dataclass(slots=True, eq=False)
class Clearance:
    """What a browser got through with.

    Attributes:
        data: What may be shared of the result (wire.results.Solution).
        got_at: When, on the event loop's clock.
        ends_at: When it is good no longer, likewise.
        weight: Bytes that it holds, about.
    """

    id: str
    key: ClearanceKey
    data: JsonDict = field(repr=False)
    got_at: float
    ends_at: float
    weight: int
    expiry: asyncio.TimerHandle | None = field(default=None, repr=False)

    @property
    def age(self) -> float:
        """Seconds since the browser got it."""
        return round(asyncio.get_running_loop().time() - self.got_at, 3)

    def answer(self) -> JsonDict:
        """Return the result of a task that is answered from it now."""
        told = {"id": self.id, "age": self.age, "reused": True}
        return {**self.data, "screenshot": None, "clearance": told}


class Refusable(Protocol):
    """Clearances that may be found to be good no longer."""

    async def refuse(self, owner: str, clearance_id: str) -> bool:
        """See Clearances.refuse."""


class Clearances:
    """The newest clearance of each owner, site and proxy, in this process.

    Args:
        ttl: Seconds that one is kept at most, whatever its cookies say.
        report: Told of each that is kept or refused.
    """

    def __init__(self, ttl: float, report: Callable[[Event], None] = lambda event: None) -> None:
        self._ttl = ttl
        self._report = report
        #: Used longest ago first.
        self._by_key: OrderedDict[ClearanceKey, Clearance] = OrderedDict()
        self._by_id: dict[str, Clearance] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._by_key)

    @property
    def held_bytes(self) -> int:
        """What all of them hold, about."""
        return self._bytes

    async def find(self, key: ClearanceKey, max_age: float) -> Clearance | None:
        """Return what is good for that, and at most so many seconds old."""
        found, now = self._by_key.get(key), asyncio.get_running_loop().time()
        if found is None or now >= found.ends_at or now - found.got_at > max_age:
            return None
        self._by_key.move_to_end(key)
        return found

    async def add(self, key: ClearanceKey, data: JsonDict) -> Clearance | None:
        """Take a new clearance in place of the one before; None: it is over already, or too large."""
        loop = asyncio.get_running_loop()
        left, now = seconds_left(data), loop.time()
        seconds = self._ttl if left is None else min(left, self._ttl)
        weight = weigh(data)
        if seconds <= 0 or weight > MAX_CLEARANCE_BYTES:
            return None
        clearance = Clearance(str(uuid4()), key, data, now, now + seconds, weight)
        if (before := self._by_key.get(key)) is not None:
            self._drop(before)
        self._by_key[key] = self._by_id[clearance.id] = clearance
        self._bytes += weight
        clearance.expiry = loop.call_at(clearance.ends_at, self._drop, clearance)
        while len(self._by_key) > MAX_CLEARANCES or self._bytes > MAX_BYTES:
            self._drop(next(iter(self._by_key.values())))
        self._report("kept")
        return clearance

    async def refuse(self, owner: str, clearance_id: str) -> bool:
        """End a clearance that its site does not take any more.

        Returns:
            Whether this has ended it. It has not where that clearance is somebody else's, or is over
            already, as when others have said so before.
        """
        found = self._by_id.get(clearance_id)
        if found is None or found.key.owner != owner:
            return False
        self._drop(found)
        self._report("refused")
        logger.info("clearance refused", extra={"host": found.key.host, "age": found.age})
        return True

    def _drop(self, clearance: Clearance) -> None:
        del self._by_key[clearance.key], self._by_id[clearance.id]
        self._bytes -= clearance.weight
        if clearance.expiry is not None:
            clearance.expiry.cancel()
