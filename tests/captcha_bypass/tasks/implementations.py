"""Every TaskQueue. A second implementation joins by one entry in IMPLEMENTATIONS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from redis.asyncio import Redis

from captcha_bypass.sharing.clearances import Clearances
from captcha_bypass.sharing.queue import SharedQueue
from captcha_bypass.tasks.base import Record, State, TaskQueue
from captcha_bypass.tasks.fleet.queue import FleetQueue
from captcha_bypass.tasks.fleet.seal import Seal
from captcha_bypass.tasks.fleet.store import Store
from captcha_bypass.tasks.memory import MemoryQueue


def fleet_queue(
    redis: Redis, max_pending: int = 1000, ttl: float = 60.0, prefix: str = "", name: str = "one"
) -> FleetQueue:
    """Return a node of a fleet; of one of its own, if no prefix is given."""
    store = Store(
        redis,
        prefix or f"test:{uuid4().hex}:",
        result_ttl=ttl,
        max_results_bytes=2**28,
        home_ttl=60.0,
        seal=Seal(),
    )
    return FleetQueue(store, name=name, max_pending=max_pending)


@dataclass(frozen=True)
class Implementation:
    make: Callable[[int, float, Redis], TaskQueue]
    #: Where the constant stands that is added to a task's timeout.
    backstop: str
    #: Whether tasks that have not ended when it stops are there for others to run.
    hands_over: bool

    def is_left(self, record: Record) -> bool:
        """Whether a task stands as it does that the queue's stop has kept from ending."""
        if self.hands_over:
            return record.state is State.PENDING
        return code(record) == "shutting_down"


IMPLEMENTATIONS = {
    "memory": Implementation(
        make=lambda max_pending, ttl, _: MemoryQueue(
            max_pending=max_pending, result_ttl=ttl, max_results_bytes=2**28
        ),
        backstop="captcha_bypass.tasks.running.BACKSTOP_SECONDS",
        hands_over=False,
    ),
    "fleet": Implementation(
        make=lambda max_pending, ttl, redis: fleet_queue(redis, max_pending, ttl),
        backstop="captcha_bypass.tasks.fleet.runs.BACKSTOP_SECONDS",
        hands_over=True,
    ),
    # Tasks that share nothing are to see no difference.
    "shared": Implementation(
        make=lambda max_pending, ttl, _: SharedQueue(
            MemoryQueue(max_pending=max_pending, result_ttl=ttl, max_results_bytes=2**28),
            Clearances(ttl),
            most_joined=max_pending,
        ),
        backstop="captcha_bypass.tasks.running.BACKSTOP_SECONDS",
        hands_over=False,
    ),
}


class MakeQueue(Protocol):
    def __call__(self, *, max_pending: int = 1000, result_ttl: float = 60.0) -> TaskQueue: ...


async def known(queue: TaskQueue, task_id: str) -> Record:
    record = await queue.get(task_id)
    assert record is not None
    return record


def code(record: Record) -> str | None:
    return None if record.error is None else record.error["code"]
