"""What the pages of failed tasks looked like in the end."""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Evidence:
    """A page that did not come to what its task waited for; all in it is of the site's making."""

    #: Whose the task is.
    owner: str
    url: str
    #: UTF-8. None: it could not be had in time.
    html: bytes | None
    #: What a window of the browser showed of it; None likewise.
    jpeg: bytes | None
    #: Epoch seconds.
    at: float

    @property
    def bytes(self) -> int:
        """Bytes of memory that it holds."""
        return len(self.html or b"") + len(self.jpeg or b"") + sys.getsizeof(self.url)


class EvidenceStore:
    """The evidence of the last tasks that left some.

    Args:
        most: Of so many tasks; 0: none is kept.
        max_bytes: What all may hold together; the oldest goes first.
        seconds: How long each is kept.
    """

    def __init__(self, *, most: int = 0, max_bytes: int = 0, seconds: float = 0.0) -> None:
        self._most = most
        self._max_bytes = max_bytes
        self._seconds = seconds
        #: By task, the oldest first.
        self._kept: OrderedDict[str, Evidence] = OrderedDict()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._bytes = 0
        #: Called with each task whose evidence is gone.
        self.on_gone: Callable[[str], None] = lambda task_id: None

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._kept

    @property
    def is_open(self) -> bool:
        """Whether any is kept."""
        return self._most > 0

    @property
    def bytes(self) -> int:
        """Bytes of memory that all hold."""
        return self._bytes

    def get(self, task_id: str, owner: str) -> Evidence | None:
        """Return what an owner's task has left; None: nothing, or it is somebody else's."""
        found = self._kept.get(task_id)
        return found if found is not None and found.owner == owner else None

    def keep(self, task_id: str, evidence: Evidence) -> None:
        """Keep what a task has left, in the place of older evidence.

        What is too large by itself is kept without its HTML.
        """
        if evidence.bytes > self._max_bytes:
            evidence = replace(evidence, html=None)
        if not self.is_open or evidence.bytes > self._max_bytes:
            return
        self.drop(task_id)
        self._kept[task_id] = evidence
        self._bytes += evidence.bytes
        loop = asyncio.get_running_loop()
        self._timers[task_id] = loop.call_later(self._seconds, self.drop, task_id)
        while len(self._kept) > self._most or self._bytes > self._max_bytes:
            self.drop(next(iter(self._kept)))

    def drop(self, task_id: str) -> bool:
        """Forget what a task has left; False: it has left nothing."""
        evidence = self._kept.pop(task_id, None)
        if evidence is None:
            return False
        self._bytes -= evidence.bytes
        self._timers.pop(task_id).cancel()
        self.on_gone(task_id)
        return True
