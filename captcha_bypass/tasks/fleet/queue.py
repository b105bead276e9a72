"""The queue of many nodes: each takes tasks for others, and runs as many as it has slots."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from captcha_bypass.concurrency import Background
from captcha_bypass.errors import QueueFull, QueueUnavailable, ShuttingDown
from captcha_bypass.tasks.base import Claim, Handler, JsonDict, NodeStats, Observer, Record, Stats
from captcha_bypass.tasks.fleet.seal import Unreadable
from captcha_bypass.tasks.fleet.store import (
    BEAT_SECONDS,
    LEASE_SECONDS,
    LOST_HOME,
    FleetStats,
    Store,
    Taken,
)

logger = logging.getLogger(__name__)

#: A handler ends by itself at timeout + 5 s at the latest; this is for one that is broken.
BACKSTOP_SECONDS = 15.0
#: How long `remove` waits for a cancelled handler: a browser is dead within two seconds.
CANCEL_SECONDS = 2.0
#: A handler that has not ended so long after it was cancelled is cancelled again: what it waits
#: for may itself wait for somebody's word before it lets go.
INSIST_SECONDS = 1.0
#: Seconds between two looks at what is usually told: words of Redis may be lost.
POLL_SECONDS = 5.0
#: Seconds between two tries to reach Redis.
RETRY_SECONDS = 0.5
#: Seconds that a node gets to end what another one asks it to end.
END_SECONDS = 5.0
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
class _Run:
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


class FleetQueue:
    """A TaskQueue that several processes share; `close` ends it.

    A task is run at least once: by another node again where the one that had it dies, or is not heard of
    for LEASE_SECONDS. Pending tasks and results outlive every node.

    Args:
        store: What they share; closed with this.
        name: Of this node, for people.
        max_pending: Tasks that may wait for a slot in the whole fleet; one more raises QueueFull.
        on_start: Called with the seconds that a task was pending, when a slot of this node takes it.
        observer: Told of the tasks that this node runs.
    """

    def __init__(
        self,
        store: Store,
        *,
        name: str,
        max_pending: int,
        on_start: Callable[[float], None] = lambda seconds: None,
        observer: Observer | None = None,
    ) -> None:
        self._observer = observer
        self._store = store
        self._name = name
        self._max_pending = max_pending
        self._on_start = on_start
        #: The address of this machine as Redis sees it; None: it is not known.
        self.seen_at: str | None = None
        #: See Homes; set by `know_each_other`.
        self.secrets: tuple[str, ...] = ()
        self._kept_secret = ""
        #: Ends a home of this node's that somebody else asks to end.
        self.on_end_home: Callable[[str], Awaitable[None]] = _nothing
        #: By which other nodes reach this one; empty: by none.
        self.url = ""
        #: What it goes by. Another after a restart: what an earlier process ran is not this one's.
        self.node = uuid4().hex
        self._handler: Handler | None = None
        self._slots = 0
        self._stopping = False
        #: By token.
        self._runs: dict[str, _Run] = {}
        self._news: dict[str, set[asyncio.Event]] = {}
        self._pending = asyncio.Event()
        #: What was cancelled while this node takes a task, which may be that one.
        self._cancelled: set[str] | None = None
        self._is_away = False
        self._background = Background()
        self._loops = Background()
        self._dispatching: asyncio.Task[None] | None = None

    @property
    def stopping(self) -> bool:
        """See TaskQueue."""
        return self._stopping

    @property
    def unfinished(self) -> tuple[int, int]:
        """See TaskQueue."""
        return len(self._runs), 0

    async def know_each_other(self, secrets: tuple[str, ...]) -> None:
        """Agree with the other nodes on what they know each other by; none: on what is kept in Redis."""
        self._kept_secret = "" if secrets else await self._store.secret()
        self.secrets = secrets or (self._kept_secret,)

    async def start(self, handler: Handler | None, slots: int) -> None:
        """See TaskQueue."""
        self._handler, self._slots = handler, slots
        self._loops.run(self._listen())
        self._loops.run(self._keep_alive())
        self._dispatching = self._loops.start(self._dispatch())

    async def stop(self, grace: float) -> None:
        """Take nothing new, and give running tasks `grace` seconds; what is left is for other nodes."""
        self._stopping = True
        self._pending.set()
        if self._dispatching is not None:
            await asyncio.wait({self._dispatching}, timeout=SETTLE_SECONDS)
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

    async def close(self) -> None:
        """End all that is left of it here; the tasks and results stay where they are."""
        await self.stop(0)
        await self._loops.close()
        is_settled = not self._runs
        await self._background.close()
        try:
            if is_settled:
                await self._store.depart(self.node)
        except QueueUnavailable:
            is_settled = False
        await self._store.close()
        if not is_settled:
            logger.warning("the queue was not told that this node has gone: it counts as dead")

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
        if self._stopping:
            raise ShuttingDown
        most, pin = self._max_pending, self.node if here else ""
        if not await self._store.submit(
            task_id, payload, timeout, bounds or {}, owner, most, home=home, pin=pin
        ):
            raise QueueFull(f"{most} tasks are pending; try again later or raise --max-queue.")

    async def put(self, task_id: str, outcome: JsonDict, *, owner: str = "") -> None:
        """See TaskQueue."""
        _tell_dropped(await self._store.put(task_id, outcome, owner))

    async def leave_slot(self, task_id: str, seconds: float, link: str) -> bool:
        """See TaskQueue."""
        run = next((r for r in self._runs.values() if r.taken.task_id == task_id), None)
        if run is None or run.backstop is None or run.is_aside:
            return False
        if not await self._store.set_aside(self.node, task_id, run.token, link):
            return False
        run.is_aside = True
        until = asyncio.get_running_loop().time() + seconds
        run.backstop.reschedule(until + BACKSTOP_SECONDS)
        if self._observer is not None:
            self._observer.waiting(task_id)
        self._pending.set()
        return True

    async def get(self, task_id: str) -> Record | None:
        """See TaskQueue."""
        try:
            return await self._store.get(task_id)
        except Unreadable:
            message = "The result was written with another --queue-secret."
            raise QueueUnavailable(message) from None

    async def wait(self, task_id: str, seconds: float) -> Record | None:
        """See TaskQueue."""
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        with self._listening(task_id) as news:
            while True:
                news.clear()
                record = await self.get(task_id)
                if record is None or record.finished or clock() >= until:
                    return record
                await _happens(news, min(until - clock(), POLL_SECONDS))

    async def remove(self, task_id: str) -> bool:
        """See TaskQueue."""
        with self._listening(task_id) as news:
            existed, is_running = await self._store.remove(task_id)
            if is_running:
                self._cancel(task_id)  # here, perhaps
                await _happens(news, CANCEL_SECONDS)
        return existed

    async def claim(self, home: str) -> Claim:
        """Find the node that has a home; this one, or one that has slots, gets it if none has."""
        return await self._store.claim(home, self.node)

    async def homes(self, start: str) -> list[str]:
        """Return the names of the homes of all nodes that begin so."""
        return await self._store.homes(start)

    async def leave_home(self, home: str, node: str = "") -> None:
        """Say that a node, or this one, has a home no more."""
        await self._store.leave_home(home, node or self.node)

    async def end_home(self, home: str) -> bool:
        """Have the node that has a home end it; return whether there was one, or its node had died."""
        with self._listening(f"home {home}") as news:
            was_held = await self._store.holder(home) is not None
            was_lost = await self._store.end_home(home)
            if was_held:
                await _happens(news, END_SECONDS)
        return was_held or was_lost

    async def fleet(self) -> FleetStats:
        """Count tasks of the fleet, and of each node in it."""
        return await self._store.stats()

    async def stats(self) -> Stats:
        """Count tasks and slots of the whole fleet."""
        found = await self.fleet()
        aside = sum(node.aside for node in found.nodes)
        return Stats(
            queued=found.queued,
            running=sum(node.running for node in found.nodes) - aside,
            slots=sum(node.slots for node in found.nodes),
            oldest=found.oldest,
            waiting_for_human=aside,
            nodes=tuple(
                NodeStats(node.name, node.slots, node.running - node.aside, node.aside)
                for node in sorted(found.nodes, key=lambda node: node.name)
            ),
        )

    @property
    def _busy(self) -> int:
        """Slots that are taken."""
        return sum(not run.is_aside for run in self._runs.values())

    @property
    def _jobs(self) -> list[asyncio.Task[JsonDict]]:
        """What runs here now."""
        return [run.job for run in self._runs.values() if not run.job.done()]

    # What happens

    @contextmanager
    def _listening(self, task_id: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set when something happens to a task."""
        event = asyncio.Event()
        self._news.setdefault(task_id, set()).add(event)
        try:
            yield event
        finally:
            self._news[task_id].discard(event)
            if not self._news[task_id]:
                del self._news[task_id]

    async def _listen(self) -> None:
        while True:
            try:
                async for kind, task_id in self._store.events():
                    self._hear(kind, task_id)
            except QueueUnavailable as error:
                self._tell_away(error)
            await asyncio.sleep(RETRY_SECONDS)

    def _hear(self, kind: str, task_id: str) -> None:
        if kind == "pending":
            self._pending.set()
        elif kind == "ended":
            for event in self._news.get(task_id, ()):
                event.set()
        elif kind == "cancel":
            self._cancel(task_id)
        elif kind == "left":
            for event in self._news.get(f"home {task_id}", ()):
                event.set()
        elif kind == "end":
            self._background.run(self._end_home(task_id))

    async def _end_home(self, home: str) -> None:
        if await self._store.holder(home) == self.node:
            await self.on_end_home(home)
            await self.leave_home(home)

    def _cancel(self, task_id: str) -> None:
        if self._cancelled is not None:
            self._cancelled.add(task_id)
        for run in self._runs.values():
            if run.taken.task_id == task_id:
                self._background.run(_insist(run.job))

    async def _keep_alive(self) -> None:
        """Say that this node lives, and look for those that do not."""
        while True:
            try:
                known = {token: run.taken.task_id for token, run in self._runs.items()}
                lost = await self._store.beat(
                    self.node, self._name, self._slots, self.url, self._kept_secret, known
                )
                self._drop(lost)
                self._pending.set()  # nothing is given to a node before it has said that it lives
                dead, tasks = await self._store.sweep()
                if dead:
                    text = "%d nodes of the fleet are dead: %d tasks of theirs run again"
                    logger.warning(text, dead, tasks)
                self._tell_back()
            except QueueUnavailable as error:
                self._tell_away(error)
            await asyncio.sleep(BEAT_SECONDS)

    def _drop(self, tokens: list[str]) -> None:
        """Stop what this node must run no more: it was cancelled, or counted as dead."""
        for token in tokens:
            run = self._runs.get(token)
            if run is not None and not run.job.done():
                logger.info("task %s: it is not this node's any more", run.taken.task_id)
                run.is_lost = True
                self._background.run(_insist(run.job))

    def _tell_away(self, error: QueueUnavailable) -> None:
        if not self._is_away:
            self._is_away = True
            logger.error("%s Nothing is lost; tasks go on once it is back.", error)

    def _tell_back(self) -> None:
        if self._is_away:
            self._is_away = False
            logger.warning("the queue is back")

    # What runs here

    async def _dispatch(self) -> None:
        """Take tasks while there are slots."""
        handler = self._handler
        while handler is not None and not self._stopping:
            self._pending.clear()
            try:
                while self._busy < self._slots and not self.stopping:
                    token = uuid4().hex
                    self._cancelled = set()
                    taken = await self._store.take(self.node, token)
                    if taken is None:
                        break
                    self._begin(handler, _Run(taken, token), self._cancelled)
            except QueueUnavailable as error:
                self._tell_away(error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            finally:
                self._cancelled = None
            await _happens(self._pending, POLL_SECONDS)

    def _begin(self, handler: Handler, run: _Run, cancelled: set[str]) -> None:
        self._on_start(run.taken.waited)
        self._runs[run.token] = run
        run.job = asyncio.create_task(self._run(handler, run), name=run.taken.task_id)
        run.job.add_done_callback(lambda _: self._ended(run))
        if self._stopping or run.taken.task_id in cancelled:
            run.is_handed_over = self._stopping
            run.job.cancel()

    async def _run(self, handler: Handler, run: _Run) -> JsonDict:
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

    def _ended(self, run: _Run) -> None:
        # Its slot is free once Redis knows: until then its groups are full, and others would go first.
        run.settling = self._background.start(self._settle(run))
        run.settling.add_done_callback(lambda _: self._forget(run))

    def _forget(self, run: _Run) -> None:
        del self._runs[run.token]
        if self._observer is not None:
            if run.outcome is None:
                self._observer.removed(run.taken.task_id)
            else:
                self._observer.ended(run.taken.task_id, run.outcome)
        self._pending.set()

    async def _settle(self, run: _Run) -> None:
        """Tell how a task has ended, however long Redis is away."""
        task_id = run.taken.task_id
        # Not lost and not handed over: the handler cancelled itself, which breaks its promise, or it
        # was cancelled by whoever removed the task, which Redis knows.
        outcome = _INTERNAL_ERROR if run.job.cancelled() else run.job.result()
        while not run.is_lost:
            try:
                if run.is_handed_over and run.job.cancelled():
                    await self._store.hand_over(self.node, task_id, run.token)
                elif await self._finish(task_id, run.token, outcome):
                    run.outcome = outcome
            except QueueUnavailable as error:
                self._tell_away(error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _finish(self, task_id: str, token: str, outcome: JsonDict) -> bool:
        is_kept, too_heavy = await self._store.finish(self.node, task_id, token, outcome)
        _tell_dropped(too_heavy)
        return is_kept


async def _nothing(home: str) -> None:
    return


def _tell_dropped(task_ids: list[str]) -> None:
    for task_id in task_ids:
        logger.warning(
            "task %s: result dropped before its time, results hold too many bytes; "
            "raise --max-results-bytes or fetch and delete them sooner",
            task_id,
        )


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; False: the time is up."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def _insist(job: asyncio.Task[JsonDict]) -> None:
    """Cancel a handler until it has ended."""
    while not job.done():
        job.cancel()
        await asyncio.wait({job}, timeout=INSIST_SECONDS)


#: Seconds after which a dead node is noticed, at the latest.
DEAD_SECONDS = LEASE_SECONDS + BEAT_SECONDS
