"""The handlers that run in this process: each ends by itself in time, or is ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from captcha_bypass.tasks.base import Handler, JsonDict

logger = logging.getLogger(__name__)

#: A handler ends by itself at timeout + 5 s at the latest; this is for one that is broken.
BACKSTOP_SECONDS = 15.0
#: How long `cancel` waits for a handler: a browser is dead within two seconds.
CANCEL_SECONDS = 2.0
#: A handler that has not ended so long after it was cancelled is cancelled again: what it waits
#: for may itself wait for somebody's word before it lets go.
INSIST_SECONDS = 1.0

#: How a task ends whose handler breaks its promise.
INTERNAL_ERROR: JsonDict = {
    "error": {"code": "internal_error", "message": "Unexpected error; see the log."}
}


class Run:
    """One handler under way."""

    def __init__(self) -> None:
        self.job: asyncio.Task[JsonDict]
        #: Its task waits for a person, and holds no slot.
        self.is_aside = False
        #: What ends a handler that does not end by itself; None before its first step.
        self.backstop: asyncio.Timeout | None = None

    async def cancel(self) -> None:
        """Cancel it; it has ended in nearly all cases when this returns."""
        self.job.cancel()
        await asyncio.wait({self.job}, timeout=INSIST_SECONDS)
        self.job.cancel()
        await asyncio.wait({self.job}, timeout=CANCEL_SECONDS - INSIST_SECONDS)


class Running:
    """All handlers that run, and how many of them hold a slot."""

    def __init__(self) -> None:
        #: Of those that hold no slot, too; how many these are is counted beside.
        self._jobs: set[asyncio.Task[JsonDict]] = set()
        self._aside = 0

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def busy(self) -> int:
        """Slots that are taken."""
        return len(self._jobs) - self._aside

    @property
    def aside(self) -> int:
        """Handlers whose tasks wait for a person, and hold no slot."""
        return self._aside

    def begin(
        self,
        handler: Handler,
        task_id: str,
        payload: JsonDict,
        timeout: float,
        then: Callable[[JsonDict | None], None],
    ) -> Run:
        """Run a task.

        Args:
            timeout: Seconds in which its handler promises to end, about.
            then: Called with the outcome once it has ended, when its slot is free; with None if it
                was cancelled, by whomever.
        """
        run = Run()
        job = run.job = asyncio.create_task(
            _run(handler, task_id, payload, timeout, run), name=task_id
        )
        self._jobs.add(job)
        # Not a `finally` in _run: a task cancelled before its first step never enters it.
        job.add_done_callback(lambda _: self._ended(run, then))
        return run

    def set_aside(self, run: Run, seconds: float) -> bool:
        """Let a task hold no slot, and end about `seconds` from now; False: it has not begun yet."""
        if run.backstop is None:
            return False
        run.is_aside = True
        self._aside += 1
        until = asyncio.get_running_loop().time() + seconds
        run.backstop.reschedule(until + BACKSTOP_SECONDS)
        return True

    async def stop(self, grace: float) -> None:
        """Give all `grace` seconds, and then end them."""
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=grace)
        while self._jobs:
            for job in self._jobs:
                job.cancel()
            await asyncio.wait(self._jobs, timeout=INSIST_SECONDS)

    def _ended(self, run: Run, then: Callable[[JsonDict | None], None]) -> None:
        self._jobs.discard(run.job)
        self._aside -= run.is_aside
        then(None if run.job.cancelled() else run.job.result())


async def _run(
    handler: Handler, task_id: str, payload: JsonDict, timeout: float, run: Run
) -> JsonDict:
    try:
        async with asyncio.timeout(timeout + BACKSTOP_SECONDS) as run.backstop:
            return await handler(task_id, payload)
    except Exception:
        logger.exception("task %s: the handler broke its promise not to raise", task_id)
        return INTERNAL_ERROR
