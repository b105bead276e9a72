"""A queue over another one, to which it passes everything on."""

from __future__ import annotations

from collections.abc import Mapping

from captcha_bypass.tasks.base import Handler, JsonDict, Record, Stats, TaskQueue


class QueueOver:
    """A TaskQueue that is another one; whoever makes more of it says what is different."""

    def __init__(self, queue: TaskQueue) -> None:
        self._queue = queue

    @property
    def stopping(self) -> bool:
        """See TaskQueue."""
        return self._queue.stopping

    @property
    def unfinished(self) -> tuple[int, int]:
        """See TaskQueue."""
        return self._queue.unfinished

    async def start(self, handler: Handler | None, slots: int) -> None:
        """See TaskQueue."""
        await self._queue.start(handler, slots)

    async def stop(self, grace: float) -> None:
        """See TaskQueue."""
        await self._queue.stop(grace)

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
        await self._queue.submit(
            task_id, payload, timeout, bounds, owner=owner, home=home, here=here
        )

    async def put(self, task_id: str, outcome: JsonDict, *, owner: str = "") -> None:
        """See TaskQueue."""
        await self._queue.put(task_id, outcome, owner=owner)

    async def leave_slot(self, task_id: str, seconds: float, link: str) -> bool:
        """See TaskQueue."""
        return await self._queue.leave_slot(task_id, seconds, link)

    async def get(self, task_id: str) -> Record | None:
        """See TaskQueue."""
        return await self._queue.get(task_id)

    async def wait(self, task_id: str, seconds: float) -> Record | None:
        """See TaskQueue."""
        return await self._queue.wait(task_id, seconds)

    async def remove(self, task_id: str) -> bool:
        """See TaskQueue."""
        return await self._queue.remove(task_id)

    async def stats(self) -> Stats:
        """See TaskQueue."""
        return await self._queue.stats()
