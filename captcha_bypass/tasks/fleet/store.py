"""Tasks and nodes, as Redis has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from captcha_bypass.tasks.base import JsonDict, Record, State
from captcha_bypass.tasks.fleet.shared import Shared

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
#: What a task is told that needs what a dead node had.
LOST_HOME: JsonDict = {
    "error": {
        "code": "session_lost",
        "message": "The node died that had the session; its cookies and logins are gone.",
    }
}


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
    #: There may be more to take.
    has_more: bool = True


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


class Store(Shared):
    """All that the nodes of a fleet share."""

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
        task_id, payload, owner, timeout, waited, lost, more = answer
        return Taken(
            task_id.decode(),
            payload,
            owner.decode(),
            float(timeout),
            int(waited) / 1000,
            is_home_lost=bool(int(lost)),
            has_more=more > 0,
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


_POISONED: JsonDict = {
    "error": {
        "code": "browser_crashed",
        "message": f"{ATTEMPTS} nodes died while they ran this task; it is not tried again.",
    }
}


def _ended(outcome: JsonDict) -> str:
    return (State.ERROR if "error" in outcome else State.COMPLETED).value
