"""The tasks that a node has: from the moment it takes one until Redis knows how it has ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from captcha_bypass.concurrency import Background
from captcha_bypass.errors import QueueUnavailable
from captcha_bypass.tasks.base import Handler, JsonDict, Observer
from captcha_bypass.tasks.fleet.outage import RETRY_SECONDS, Outage
from captcha_bypass.tasks.fleet.seal import Unreadable
from captcha_bypass.tasks.fleet.store import LOST_HOME, Store, Taken

logger = logging.getLogger(__name__)

#: A handler ends by itself at timeout + 5 s at the latest; this is for one that is broken.
BACKSTOP_SECONDS = 15.0
#: A handler that has not ended so long after it was cancelled is cancelled again: what it waits
#: for may itself wait for somebody's word before it lets go.
INSIST_SECONDS = 1.0
#: Seconds that a node that goes takes to say how its last tasks have ended.
SETTLE_SECONDS = 5.0

_INTERNAL_ERROR: JsonDict = {
    "error": {"code": "internal_error", "message": "Unexpected error; see the log."}
}
_UNREADABLE: JsonDict = {
    "error": {
        "code": "internal_error",
        "message": "The node that took this task has another --queue-secret.",
    }
}


@dataclass(eq=False)
class Run:
    """A task that this node has, until Redis knows how it has ended."""

    taken: Taken
    #: This attempt's: what is said of an earlier one does not count.
    token: str
    job: asyncio.Task[JsonDict] = field(init=False)
    #: It is another node's, or nobody's: how it ends does not matter.
    is_lost: bool = False
    #: It is cancelled for another node to run it.
    is_handed_over: bool = False
    #: It waits for a person, and holds no slot.
    is_aside: bool = False
    #: What ends a handler that does not end by itself.
    backstop: asyncio.Timeout | None = None
    #: How it has ended; None: not at all, or for nobody.
    outcome: JsonDict | None = None
    #: What tells Redis how it has ended; once it has.
    settling: asyncio.Task[None] | None = None


class Runs:
    """See the module; `close` ends what is left.

    Args:
        node: Whose they are.
        outage: Told where Redis cannot be reached.
        on_start: Called with the seconds that a task was pending, when it is taken.
        on_free: Called when a slot may be free again.
        observer: Told of all of them.
    """

    def __init__(
        self,
        store: Store,
        node: str,
        outage: Outage,
        *,
        on_start: Callable[[float], None],
        on_free: Callable[[], None],
        observer: Observer | None,
    ) -> None:
        self._store = store
        self._node = node
        self._outage = outage
        self._on_start = on_start
        self._on_free = on_free
        self._observer = observer
        #: By token.
        self._runs: dict[str, Run] = {}
        self._background = Background()

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def busy(self) -> int:
        """Slots that are taken."""
        return sum(not run.is_aside for run in self._runs.values())

    @property
    def tokens(self) -> dict[str, str]:
        """The ids of all tasks by their tokens."""
        return {token: run.taken.task_id for token, run in self._runs.items()}

    @property
    def _jobs(self) -> list[asyncio.Task[JsonDict]]:
        """What runs now."""
        return [run.job for run in self._runs.values() if not run.job.done()]

    async def stop(self, grace: float) -> None:
        """Give handlers `grace` seconds; what is left then is for other nodes."""
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=grace)
        while jobs := self._jobs:
            for run in self._runs.values():
                run.is_handed_over = not run.job.done() or run.is_handed_over
            for job in jobs:
                job.cancel()
            await asyncio.wait(jobs, timeout=INSIST_SECONDS)
        if settling := [run.settling for run in self._runs.values() if run.settling is not None]:
            await asyncio.wait(settling, timeout=SETTLE_SECONDS)

    async def close(self) -> bool:
        """End all; return whether Redis knows how each has ended."""
        is_settled = not self._runs
        await self._background.close()
        return is_settled

    def begin(
        self, handler: Handler, taken: Taken, token: str, *, cancelled: bool, handed_over: bool
    ) -> None:
        """Run a task.

        Args:
            cancelled: It was, while it was being taken.
            handed_over: This node takes no more: another one is to run it.
        """
        self._on_start(taken.waited)
        run = self._runs[token] = Run(taken, token, is_handed_over=handed_over)
        run.job = asyncio.create_task(self._run(handler, run), name=taken.task_id)
        run.job.add_done_callback(lambda _: self._ended(run))
        if handed_over or cancelled:
            run.job.cancel()

    def cancel(self, task_id: str) -> None:
        """Cancel a task, if it runs here."""
        for run in self._runs.values():
            if run.taken.task_id == task_id:
                self._background.run(_insist(run.job))

    def drop(self, tokens: list[str]) -> None:
        """Stop what this node must run no more: it was cancelled, or counted as dead."""
        for token in tokens:
            run = self._runs.get(token)
            if run is not None and not run.job.done():
                logger.info("task %s: it is not this node's any more", run.taken.task_id)
                run.is_lost = True
                self._background.run(_insist(run.job))

    async def leave_slot(self, task_id: str, seconds: float, link: str) -> bool:
        """See TaskQueue.leave_slot."""
        run = next((r for r in self._runs.values() if r.taken.task_id == task_id), None)
        if run is None or run.backstop is None or run.is_aside:
            return False
        if not await self._store.set_aside(self._node, task_id, run.token, link):
            return False
        run.is_aside = True
        until = asyncio.get_running_loop().time() + seconds
        run.backstop.reschedule(until + BACKSTOP_SECONDS)
        if self._observer is not None:
            self._observer.waiting(task_id)
        self._on_free()
        return True

    async def _run(self, handler: Handler, run: Run) -> JsonDict:
        taken = run.taken
        try:
            async with asyncio.timeout(taken.timeout + BACKSTOP_SECONDS) as run.backstop:
                payload = await self._store.payload(taken)
                if self._observer is not None:
                    self._observer.submitted(taken.task_id, payload, taken.owner)
                    self._observer.started(taken.task_id, payload, taken.owner, taken.waited)
                if taken.is_home_lost:
                    return LOST_HOME
                return await handler(taken.task_id, payload)
        except Unreadable:
            return _UNREADABLE
        except Exception:
            logger.exception("task %s: the handler broke its promise not to raise", taken.task_id)
            return _INTERNAL_ERROR

    def _ended(self, run: Run) -> None:
        # Its slot is free once Redis knows: until then its groups are full, and others would go first.
        run.settling = self._background.start(self._settle(run))
        run.settling.add_done_callback(lambda _: self._forget(run))

    def _forget(self, run: Run) -> None:
        del self._runs[run.token]
        if self._observer is not None:
            if run.outcome is None:
                self._observer.removed(run.taken.task_id)
            else:
                self._observer.ended(run.taken.task_id, run.outcome)
        self._on_free()

    async def _settle(self, run: Run) -> None:
        """Tell how a task has ended, however long Redis is away."""
        task_id = run.taken.task_id
        # Not lost and not handed over: the handler cancelled itself, which breaks its promise, or it
        # was cancelled by whoever removed the task, which Redis knows.
        outcome = _INTERNAL_ERROR if run.job.cancelled() else run.job.result()
        while not run.is_lost:
            try:
                if run.is_handed_over and run.job.cancelled():
                    await self._store.hand_over(self._node, task_id, run.token)
                elif await self._finish(task_id, run.token, outcome):
                    run.outcome = outcome
            except QueueUnavailable as error:
                self._outage.began(error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _finish(self, task_id: str, token: str, outcome: JsonDict) -> bool:
        is_kept, too_heavy = await self._store.finish(self._node, task_id, token, outcome)
        tell_dropped(too_heavy)
        return is_kept


def tell_dropped(task_ids: list[str]) -> None:
    """Say in the log which results had to go before their time."""
    for task_id in task_ids:
        logger.warning(
            "task %s: result dropped before its time, results hold too many bytes; "
            "raise --max-results-bytes or fetch and delete them sooner",
            task_id,
        )


async def _insist(job: asyncio.Task[JsonDict]) -> None:
    """Cancel a handler until it has ended."""
    while not job.done():
        job.cancel()
        await asyncio.wait({job}, timeout=INSIST_SECONDS)
