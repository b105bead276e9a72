"""How many tasks ended in each minute of the last hour, how, and how long they took."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TypedDict

#: Minutes that are kept.
MINUTES = 60
#: Durations that are kept of one minute and owner: the last ones.
MOST_SECONDS = 200


class Minute(TypedDict):
    """One minute of one owner."""

    #: Epoch seconds of its beginning.
    at: int
    outcomes: dict[str, int]
    #: Seconds from a worker's taking a task to its end, of the tasks that no client cancelled; None:
    #: there were none.
    p50: float | None
    p95: float | None


@dataclass(slots=True)
class _Tally:
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    #: Durations that were added.
    count: int = 0

    def add(self, outcome: str, seconds: float | None) -> None:
        self.outcomes[outcome] += 1
        if seconds is None or outcome == "cancelled":
            return
        if len(self.seconds) < MOST_SECONDS:
            self.seconds.append(seconds)
        else:
            self.seconds[self.count % MOST_SECONDS] = seconds
        self.count += 1


class Minutes:
    """Tallies by minute and owner; nothing is computed of them before it is asked for."""

    def __init__(self) -> None:
        #: By the minute's number since the epoch, and owner.
        self._tallies: dict[int, dict[str, _Tally]] = {}

    def add(self, now: float, owner: str, outcome: str, seconds: float | None) -> None:
        """Count a task that has ended.

        Args:
            now: Epoch seconds.
            seconds: How long it ran; None: it never did.
        """
        minute = int(now // 60)
        owners = self._tallies.get(minute)
        if owners is None:
            owners = self._tallies[minute] = {}
            for past in [number for number in self._tallies if number <= minute - MINUTES]:
                del self._tallies[past]
        tally = owners.get(owner)
        if tally is None:
            tally = owners[owner] = _Tally()
        tally.add(outcome, seconds)

    def last(self, now: float, owner: str) -> list[Minute]:
        """Return the last hour of an owner, also its minutes without tasks, the oldest first."""
        current = int(now // 60)
        return [self._minute(n, owner) for n in range(current - MINUTES + 1, current + 1)]

    def _minute(self, number: int, owner: str) -> Minute:
        tally = self._tallies.get(number, {}).get(owner, _Tally())
        ordered = sorted(tally.seconds)
        return {
            "at": number * 60,
            "outcomes": dict(tally.outcomes),
            "p50": _quantile(ordered, 0.5),
            "p95": _quantile(ordered, 0.95),
        }


def _quantile(ordered: list[float], share: float) -> float | None:
    """Return the smallest value that so large a share of all are not above; None: there are none."""
    if not ordered:
        return None
    place = -int(-share * len(ordered) // 1) - 1  # rounded up
    return round(ordered[place], 3)
