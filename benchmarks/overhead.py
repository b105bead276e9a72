"""What the service adds to the browser's work: from batches to figures and a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report import Batch, percentile, shown, table


@dataclass(frozen=True)
class Overhead:
    """The figures at one number of solves at once, in seconds per solve.

    Attributes:
        hand_overs: For how many of the solves the log said how long lending the page took; where
            it did not, that time is missing from the solve's overhead.
        p50, p95: With that time. Where no page was ready it holds the opening of one, which is
            the browser's work.
        api_p50, api_p95: Without it: queue, API and long-poll.
    """

    at_once: int
    solves: int
    hand_overs: int
    p50: float | None
    p95: float | None
    api_p50: float | None
    api_p95: float | None


def overheads(
    batches: Sequence[Batch], contestant: str, hand_over: dict[str, float]
) -> list[Overhead]:
    """Return the overhead of a contestant that says `elapsed`, per number at once."""
    found = []
    for at_once in sorted({batch.at_once for batch in batches if batch.contestant == contestant}):
        solves = [
            (solve.seconds - solve.elapsed, hand_over.get(solve.task_id or ""))
            for batch in batches
            if (batch.contestant, batch.at_once) == (contestant, at_once)
            for solve in batch.passed
            if solve.elapsed is not None
        ]
        outside = [seconds for seconds, _ in solves]
        seconds = [seconds + (lent or 0.0) for seconds, lent in solves]
        known = sum(lent is not None for _, lent in solves)
        figures = [percentile(part, p) for part in (seconds, outside) for p in (50, 95)]
        found.append(Overhead(at_once, len(solves), known, *figures))
    return found


def overhead_table(found: Sequence[Overhead]) -> str:
    """Return the table of the service's own overhead, and a note if it is incomplete."""
    body = (
        (
            *(str(o.at_once), str(o.solves)),
            *(shown(_ms(v), 1) for v in (o.p50, o.p95, o.api_p50, o.api_p95)),
        )
        for o in found
    )
    head = (
        "at once",
        "solves",
        "own overhead p50 ms",
        "p95 ms",
        "without the page p50 ms",
        "p95 ms",
    )
    text = table(head, body)
    missing = sum(o.solves - o.hand_overs for o in found)
    if missing:
        text += (
            f"\n\nFor {missing} of {sum(o.solves for o in found)} solves the log has no line "
            '"page lent": their overhead lacks the hand-over of the page.'
        )
    return text


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
