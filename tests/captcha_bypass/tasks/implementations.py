"""Every TaskQueue. A second implementation joins by one entry in IMPLEMENTATIONS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from captcha_bypass.sharing.clearances import Clearances
from captcha_bypass.sharing.queue import SharedQueue
from captcha_bypass.tasks.base import Record, TaskQueue
from captcha_bypass.tasks.memory import MemoryQueue


@dataclass(frozen=True)
class Implementation:
    make: Callable[[int, float], TaskQueue]
    #: Where the constant stands that is added to a task's timeout.
    backstop: str


IMPLEMENTATIONS = {
    "memory": Implementation(
        make=lambda max_pending, ttl: MemoryQueue(
            max_pending=max_pending, result_ttl=ttl, max_results_bytes=2**28
        ),
        backstop="captcha_bypass.tasks.memory.BACKSTOP_SECONDS",
    ),
    # Tasks that share nothing are to see no difference.
    "shared": Implementation(
        make=lambda max_pending, ttl: SharedQueue(
            MemoryQueue(max_pending=max_pending, result_ttl=ttl, max_results_bytes=2**28),
            Clearances(ttl),
            most_joined=max_pending,
        ),
        backstop="captcha_bypass.tasks.memory.BACKSTOP_SECONDS",
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
