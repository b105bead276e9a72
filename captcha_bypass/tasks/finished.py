"""Which finished tasks a queue still keeps: bounded by time, and by what their results hold."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from captcha_bypass.tasks.base import JsonDict, weigh

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Kept:
    task_id: str
    #: On the event loop's clock.
    ended_at: float
    weight: int


class Finished:
    """The finished tasks of one queue, which holds the results itself.

    Args:
        ttl: Seconds each is kept.
        max_bytes: What their results may hold together; the oldest go first, the newest is always
            kept.
        forget: Called with the id of each task that is kept no longer; to discard it here.
    """

    def __init__(self, ttl: float, max_bytes: int, forget: Callable[[str], None]) -> None:
        self._ttl = ttl
        self._max_bytes = max_bytes
        self._forget = forget
        # In the order they ended, so that the first is always the next to go.
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0
        self._expiry: asyncio.TimerHandle | None = None

    def add(self, task_id: str, outcome: JsonDict) -> None:
        """Keep a task that ends now, which may be the end of older ones."""
        now = asyncio.get_running_loop().time()
        kept = self._kept[task_id] = _Kept(task_id, now, weigh(outcome))
        self._bytes += kept.weight
        while self._bytes > self._max_bytes and len(self._kept) > 1:
            oldest = next(iter(self._kept.values()))
            logger.warning(
                "task %s: result dropped before its time, results hold more than %d bytes; "
                "raise --max-results-bytes or fetch and delete them sooner",
                oldest.task_id,
                self._max_bytes,
            )
            self._forget(oldest.task_id)
        self.clear_past()

    def discard(self, task_id: str) -> None:
        """Keep a task no longer; nothing happens if it is not kept."""
        kept = self._kept.pop(task_id, None)
        if kept is not None:
            self._bytes -= kept.weight

    def is_past(self, task_id: str) -> bool:
        """Whether it has ended so long ago that it is kept no longer."""
        kept = self._kept.get(task_id)
        return kept is not None and self._due(kept) <= asyncio.get_running_loop().time()

    def clear_past(self) -> None:
        """Drop tasks past their time, and come back when the next one is due."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if not self.is_past(oldest.task_id):
                loop = asyncio.get_running_loop()
                self._expiry = loop.call_at(self._due(oldest), self.clear_past)
                return
            self._forget(oldest.task_id)

    def _due(self, kept: _Kept) -> float:
        return kept.ended_at + self._ttl
