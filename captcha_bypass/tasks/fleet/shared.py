"""What nodes share beside tasks: where sessions have their homes, and clearances."""

from __future__ import annotations

from captcha_bypass.tasks.base import Claim, JsonDict
from captcha_bypass.tasks.fleet.seal import Unreadable
from captcha_bypass.tasks.fleet.steps import Steps


class Shared(Steps):
    """The steps about it; see FleetHomes and nodes.sharing."""

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
        """Return id, data and age in seconds of a clearance that is at most so old.

        None, too, for one that was kept with a secret which this node does not know: its solve is then
        one solve more.
        """
        answer = await self._persistent("find_clearance", name, max_age * 1000)
        if not answer:
            return None
        found, sealed, age = answer
        data = await self._readable(sealed)
        return None if data is None else (found.decode(), data, int(age) / 1000)

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
        """Return how a solve has ended that ended after a task came; None: none that can be read."""
        found = await self._persistent("flight", wish, task_id)
        return None if found is None else await self._readable(found)

    async def _readable(self, sealed: bytes) -> JsonDict | None:
        try:
            return await self._seal.read(sealed)
        except Unreadable:
            return None
