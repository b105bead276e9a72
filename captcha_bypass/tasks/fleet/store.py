"""The steps of `queue.lua`, as calls: one round trip each, tried again where Redis was away for a moment."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from captcha_bypass.concurrency import Background
from captcha_bypass.errors import QueueUnavailable
from captcha_bypass.tasks.base import Claim, JsonDict, Record, State
from captcha_bypass.tasks.fleet.seal import Seal

logger = logging.getLogger(__name__)

#: Of all keys; a fleet takes a database of its own where several share a Redis.
PREFIX = "captcha-bypass:"
#: Seconds without a word from a node, after which it counts as dead.
LEASE_SECONDS = 15.0
#: Seconds between two words of a node. One that dies is noticed after at most the lease and one of these.
BEAT_SECONDS = 4.0
#: Where nobody has looked for dead nodes for so long, it was Redis that was away, and none of them is dead.
PAUSE_SECONDS = 10.0
#: Seconds that the answer to `take` may be under way, before the task counts as never having arrived.
PATIENCE_SECONDS = 5.0
#: How often a task is given to a node that dies with it.
ATTEMPTS = 2
#: Seconds that a client's request is tried again while Redis cannot be reached, and between two tries.
RETRY_SECONDS, RETRY_EVERY = 1.0, 0.2
#: What a task is told that needs what a dead node had.
LOST_HOME: JsonDict = {
    "error": {
        "code": "session_lost",
        "message": "The node died that had the session; its cookies and logins are gone.",
    }
}
_LOST = (RedisConnectionError, RedisTimeoutError, OSError)


@dataclass(frozen=True, slots=True)
class Taken:
    """A task that was given to this node."""

    task_id: str
    payload: bytes
    owner: str
    timeout: float
    #: Seconds that it was pending.
    waited: float
    #: The node died that had what it needs.
    is_home_lost: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """What one node of the fleet told last."""

    node_id: str
    name: str
    slots: int
    running: int
    #: Of the running ones, those that hold no slot.
    aside: int


@dataclass(frozen=True, slots=True)
class FleetStats:
    """Numbers of now, of all nodes together."""

    queued: int
    #: Seconds.
    oldest: float
    nodes: tuple[Node, ...]


class Store:
    """What the nodes of a fleet share.

    Args:
        redis: With `decode_responses` off, and a `socket_timeout`. Closed by whoever opened it.
        prefix: Of all keys.
        home_ttl: Seconds that a home is kept without a task or claim.
    """

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        *,
        result_ttl: float,
        max_results_bytes: int,
        home_ttl: float,
        seal: Seal,
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._ttl = round(result_ttl * 1000)
        self._most = max_results_bytes
        self._home_seconds = home_ttl
        self._seal = seal
        source = files("captcha_bypass.tasks.fleet").joinpath("queue.lua").read_text("utf-8")
        self._script = redis.register_script(source)
        self._calls = Background()

    async def close(self) -> None:
        """End the calls that nobody waits for any more."""
        await self._calls.close()

    async def _step(self, step: str, *arguments: str | bytes | float) -> Any:  # noqa: ANN401 - by step
        """Run one step.

        Raises:
            QueueUnavailable: Redis cannot be reached, or does not do what it is asked for.
        """
        call = self._calls.start(self._run(step, arguments))
        try:
            # In a task of its own: redis-py may swallow a cancel that comes while it sends.
            return await asyncio.shield(call)
        except _LOST as error:
            raise QueueUnavailable(
                f"The queue cannot be reached: {type(error).__name__}."
            ) from error
        except RedisError as error:
            # Out of memory, read-only, still loading: its words may have what was sent in them.
            logger.error("redis refuses %s: %s", step, str(error).split(" ", 1)[0])
            raise QueueUnavailable("The queue takes nothing now; see the log.") from error

    async def _run(self, step: str, arguments: tuple[str | bytes | float, ...]) -> Any:  # noqa: ANN401 - by step
        return await self._script(args=[self._prefix, step, *arguments])

    async def _persistent(self, step: str, *arguments: str | bytes | float) -> Any:  # noqa: ANN401 - by step
        """Run a step that may be repeated; for a client, who waits for it."""
        clock = asyncio.get_running_loop().time
        until = clock() + RETRY_SECONDS
        while True:
            try:
                return await self._step(step, *arguments)
            except QueueUnavailable:
                if clock() >= until:
                    raise
                await asyncio.sleep(RETRY_EVERY)

    async def submit(
        self,
        task_id: str,
        payload: JsonDict,
        timeout: float,
        bounds: Mapping[str, int],
        owner: str,
        most: int,
        *,
        home: str = "",
        pin: str = "",
    ) -> bool:
        """Queue a task; False: `most` are pending already.

        Args:
            home: Which node has what goes by this name, or gets it, runs the task.
            pin: That node and no other runs it.
        """
        groups = {name: bound for name, bound in bounds.items() if bound > 0}
        sealed = await self._seal.write(payload)
        names, numbers = json.dumps(list(groups)), json.dumps(list(groups.values()))
        answer = await self._persistent(
            "submit", task_id, sealed, timeout, owner, names, numbers, most, home, pin
        )
        return bool(answer)

    async def take(self, node: str, token: str) -> Taken | None:
        """Take the next task that may run; None: there is none."""
        answer = await self._step("take", node, token, self._home_seconds)
        if not answer:
            return None
        task_id, payload, owner, timeout, waited, lost = answer
        return Taken(
            task_id.decode(),
            payload,
            owner.decode(),
            float(timeout),
            int(waited) / 1000,
            is_home_lost=bool(int(lost)),
        )

    async def payload(self, taken: Taken) -> JsonDict:
        """Return what a task asks for; see Seal.read."""
        return await self._seal.read(taken.payload)

    async def finish(
        self, node: str, task_id: str, token: str, outcome: JsonDict
    ) -> tuple[bool, list[str]]:
        """Keep an outcome; return whether it is, and the ids of results that had to go for it."""
        sealed = await self._seal.write(outcome)
        is_kept, ids = await self._step(
            "finish", node, task_id, token, _ended(outcome), sealed, self._ttl, self._most
        )
        return bool(is_kept), [found.decode() for found in ids]

    async def put(self, task_id: str, outcome: JsonDict, owner: str) -> list[str]:
        """Keep the outcome of a task that nobody ran; return the ids of results that had to go."""
        sealed = await self._seal.write(outcome)
        state = _ended(outcome)
        ids = await self._persistent("put", task_id, state, owner, sealed, self._ttl, self._most)
        return [found.decode() for found in ids]

    async def hand_over(self, node: str, task_id: str, token: str) -> None:
        """Give a task back, for another node to run."""
        await self._step("hand_over", node, task_id, token)

    async def set_aside(self, node: str, task_id: str, token: str, link: str) -> bool:
        """Note that a task holds no slot; False: it does not run here."""
        return bool(await self._persistent("set_aside", node, task_id, token, link))

    async def get(self, task_id: str) -> Record | None:
        """Return a task; None: it is unknown."""
        answer = await self._persistent("get", task_id, self._ttl)
        if not answer:
            return None
        state, owner, outcome, link = answer
        told = await self._seal.read(outcome) if outcome else {}
        return Record(
            task_id,
            State(state.decode()),
            told.get("data"),
            told.get("error"),
            owner.decode(),
            link.decode() or None,
        )

    async def remove(self, task_id: str) -> tuple[bool, bool]:
        """Forget a task; return whether there was one, and whether a node has still to let go of it."""
        answer = int(await self._persistent("remove", task_id, self._ttl))
        return answer > 0, answer == 2

    async def stats(self) -> FleetStats:
        """Count tasks and nodes."""
        queued, age, found = await self._persistent("stats")
        nodes = tuple(
            Node(node.decode(), name.decode(), int(slots), int(running), int(aside))
            for node, name, slots, running, aside in found
        )
        return FleetStats(int(queued), int(age) / 1000, nodes)

    async def beat(
        self, node: str, name: str, slots: int, url: str, secret: str, known: Mapping[str, str]
    ) -> list[str]:
        """Say that a node lives and what it runs; return the tokens that count no more.

        Args:
            url: By which others reach it; empty: by none.
            secret: What `secret` returned; empty: nothing.
            known: Ids of tasks by their tokens.
        """
        patience, lease = PATIENCE_SECONDS * 1000, LEASE_SECONDS * 1000
        runs = json.dumps(dict(known))
        tokens = await self._step("beat", node, name, slots, url, secret, runs, lease, patience)
        return [token.decode() for token in tokens]

    async def sweep(self) -> tuple[int, int]:
        """Have the tasks of dead nodes run again; return how many nodes and tasks these were."""
        poisoned, lost = await self._seal.write(_POISONED), await self._seal.write(LOST_HOME)
        dead, tasks = await self._step(
            "sweep",
            LEASE_SECONDS * 1000,
            PAUSE_SECONDS * 1000,
            ATTEMPTS,
            poisoned,
            self._ttl,
            self._most,
            lost,
            self._home_seconds,
        )
        return int(dead), int(tasks)

    async def depart(self, node: str) -> None:
        """Say that a node goes, and all with it that tasks had their homes in."""
        lost = await self._seal.write(LOST_HOME)
        await self._step("depart", node, lost, self._home_seconds, self._ttl, self._most)

    async def claim(self, home: str, node: str) -> Claim:
        """Find the node that has a home; the asking one, or one that has slots, gets it if none has."""
        answer = await self._persistent("claim", home, node, self._home_seconds)
        if not answer:
            return Claim("", "", is_lost=False)
        holder, url, lost = answer
        return Claim(holder.decode(), url.decode(), is_lost=bool(int(lost)))

    async def holder(self, home: str) -> str | None:
        """Return the node that has a home; None: none has."""
        found = await self._persistent("holder", home)
        return None if found is None else str(found.decode())

    async def homes(self, start: str) -> list[str]:
        """Return the names of all homes that begin so."""
        return [found.decode() for found in await self._persistent("homes", start)]

    async def end_home(self, home: str) -> bool:
        """Have whoever has a home end it; return whether its last node had died."""
        return bool(int(await self._persistent("end_home", home)))

    async def leave_home(self, home: str, node: str) -> None:
        """Say that a node has a home no more."""
        await self._persistent("leave_home", home, node)

    async def find_clearance(self, name: str, max_age: float) -> tuple[str, JsonDict, float] | None:
        """Return id, data and age in seconds of a clearance that is at most so old."""
        answer = await self._persistent("find_clearance", name, max_age * 1000)
        if not answer:
            return None
        found, data, age = answer
        return found.decode(), await self._seal.read(data), int(age) / 1000

    async def add_clearance(
        self, name: str, owner: str, clearance_id: str, data: JsonDict, seconds: float, most: int
    ) -> None:
        """Keep a clearance in place of that before."""
        sealed, life = await self._seal.write(data), max(1, round(seconds * 1000))
        await self._persistent("add_clearance", name, owner, clearance_id, sealed, life, most)

    async def refuse_clearance(self, owner: str, clearance_id: str) -> bool:
        """End a clearance; return whether this has."""
        return bool(await self._persistent("refuse_clearance", owner, clearance_id))

    async def end_flight(self, wish: str, outcome: JsonDict, seconds: float) -> None:
        """Note how a solve has ended, for those that have waited for it."""
        sealed = await self._seal.write(outcome)
        await self._persistent("end_flight", wish, sealed, round(seconds * 1000))

    async def flight(self, wish: str, task_id: str) -> JsonDict | None:
        """Return how a solve has ended that ended after a task came; None: none has."""
        found = await self._persistent("flight", wish, task_id)
        return None if found is None else await self._seal.read(found)

    async def secret(self) -> str:
        """Return what the nodes of this fleet know each other by; the first of them makes it."""
        name, fresh = f"{self._prefix}secret", secrets.token_urlsafe()
        try:
            await self._redis.set(name, fresh, nx=True)
            found = await self._redis.get(name)
        except _LOST as error:
            raise QueueUnavailable(
                f"The queue cannot be reached: {type(error).__name__}."
            ) from error
        return found.decode() if isinstance(found, bytes) else fresh

    async def events(self) -> AsyncIterator[tuple[str, str]]:
        """Yield what happens: `pending`; `ended` and `cancel` with a task's id; `end` and `left` with a home.

        The first is `pending`, once nothing will be missed any more.

        Raises:
            QueueUnavailable: Redis cannot be reached.
        """
        try:
            async with self._redis.pubsub() as subscriber:
                await subscriber.subscribe(f"{self._prefix}events")
                was_silent = False
                while True:
                    message = await subscriber.get_message(timeout=BEAT_SECONDS)
                    if message is None and was_silent:
                        raise QueueUnavailable("The queue cannot be reached: it does not answer.")
                    was_silent = message is None
                    if was_silent:
                        await subscriber.ping()
                    elif message["type"] == "subscribe":
                        yield "pending", ""
                    elif message["type"] == "message":
                        kind, _, task_id = message["data"].decode().partition(" ")
                        yield kind, task_id
        except _LOST as error:
            raise QueueUnavailable(
                f"The queue cannot be reached: {type(error).__name__}."
            ) from error


_POISONED: JsonDict = {
    "error": {
        "code": "browser_crashed",
        "message": f"{ATTEMPTS} nodes died while they ran this task; it is not tried again.",
    }
}


def _ended(outcome: JsonDict) -> str:
    return (State.ERROR if "error" in outcome else State.COMPLETED).value
