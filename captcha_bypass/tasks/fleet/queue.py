"""The queue of many nodes: each takes tasks for others, and runs as many as it has slots."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from uuid import uuid4

from captcha_bypass.concurrency import Background
from captcha_bypass.errors import QueueFull, QueueUnavailable, ShuttingDown
from captcha_bypass.tasks.base import Handler, JsonDict, NodeStats, Observer, Record, Stats
from captcha_bypass.tasks.fleet.homes import FleetHomes
from captcha_bypass.tasks.fleet.news import POLL_SECONDS, News, happens
from captcha_bypass.tasks.fleet.outage import RETRY_SECONDS, Outage
from captcha_bypass.tasks.fleet.runs import Runs, tell_dropped
from captcha_bypass.tasks.fleet.seal import Unreadable
from captcha_bypass.tasks.fleet.store import BEAT_SECONDS, FleetStats, Store
from captcha_bypass.tasks.fleet.taking import Taking

logger = logging.getLogger(__name__)

#: How long `remove` waits for a cancelled handler: a browser is dead within two seconds.
CANCEL_SECONDS = 2.0


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
        self._store = store
        self._name = name
        self._max_pending = max_pending
        #: What it goes by. Another after a restart: what an earlier process ran is not this one's.
        self.node = uuid4().hex
        self.homes = FleetHomes(store, self.node)
        self._slots = 0
        self._stopping = False
        self._news = News()
        self._outage = Outage()
        self._runs = Runs(
            store,
            self.node,
            self._outage,
            on_start=on_start,
            on_free=lambda: self._taking.on_free(),
            observer=observer,
        )
        self._taking = Taking(store, self.node, self._outage, self._runs)
        self._loops = Background()

    @property
    def stopping(self) -> bool:
        """See TaskQueue."""
        return self._stopping

    @property
    def unfinished(self) -> tuple[int, int]:
        """See TaskQueue."""
        return len(self._runs), 0

    async def start(self, handler: Handler | None, slots: int) -> None:
        """See TaskQueue."""
        self._slots = slots
        self._loops.run(self._listen())
        self._loops.run(self._keep_alive())
        self._taking.start(handler, slots, self._loops)

    async def stop(self, grace: float) -> None:
        """Take nothing new, and give running tasks `grace` seconds; what is left is for other nodes."""
        self._stopping = True
        await self._taking.stop()
        await self._runs.stop(grace)

    async def close(self) -> None:
        """End all that is left of it here; the tasks and results stay where they are."""
        await self.stop(0)
        await self._loops.close()
        await self.homes.close()
        is_settled = await self._runs.close()
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
        tell_dropped(await self._store.put(task_id, outcome, owner))

    async def leave_slot(self, task_id: str, seconds: float, link: str) -> bool:
        """See TaskQueue."""
        return await self._runs.leave_slot(task_id, seconds, link)

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
        with self._news.of(task_id) as news:
            while True:
                news.clear()
                record = await self.get(task_id)
                if record is None or record.finished or clock() >= until:
                    return record
                await happens(news, min(until - clock(), POLL_SECONDS))

    async def remove(self, task_id: str) -> bool:
        """See TaskQueue."""
        with self._news.of(task_id) as news:
            existed, is_running = await self._store.remove(task_id)
            if is_running:
                self._cancel(task_id)  # here, perhaps
                await happens(news, CANCEL_SECONDS)
        return existed

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

    # What happens

    async def _listen(self) -> None:
        while True:
            try:
                async for kind, task_id in self._store.events():
                    self._hear(kind, task_id)
            except QueueUnavailable as error:
                self._outage.began(error)
            await asyncio.sleep(RETRY_SECONDS)

    def _hear(self, kind: str, task_id: str) -> None:
        if kind == "pending":
            self._taking.look()
        elif kind == "ended":
            self._news.tell(task_id)
        elif kind == "cancel":
            self._cancel(task_id)
        else:
            self.homes.hear(kind, task_id)

    def _cancel(self, task_id: str) -> None:
        self._taking.cancel(task_id)
        self._runs.cancel(task_id)

    async def _keep_alive(self) -> None:
        """Say that this node lives, and look for those that do not."""
        while True:
            try:
                lost = await self._store.beat(
                    self.node,
                    self._name,
                    self._slots,
                    self.homes.url,
                    self.homes.kept_secret,
                    self._runs.tokens,
                )
                self._runs.drop(lost)
                self._taking.look()  # nothing is given to a node before it has said that it lives
                dead, tasks = await self._store.sweep()
                if dead:
                    text = "%d nodes of the fleet are dead: %d tasks of theirs run again"
                    logger.warning(text, dead, tasks)
                self._outage.over()
            except QueueUnavailable as error:
                self._outage.began(error)
            await asyncio.sleep(BEAT_SECONDS)
