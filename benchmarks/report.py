"""From batches to figures: percentiles, ratios round by round, a Markdown table, JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

#: Whom the others are compared with.
BASELINE = "warm"


@dataclass(frozen=True)
class Timed:
    """One solve: the seconds its client waited, and why it failed if it did."""

    seconds: float
    error: str | None
    task_id: str | None = None
    elapsed: float | None = None


@dataclass(frozen=True)
class Batch:
    """One contestant's turn in one round; what could not be read is None.

    Attributes:
        wall: Seconds from the first request to the last answer.
        cpu: CPU seconds of the contestant's tree in that time and while it settled afterwards.
        peak_pss: Bytes.
        others: CPUs kept busy meanwhile by all else on the machine, site and harness included.
    """

    contestant: str
    at_once: int
    round: int
    wall: float
    solves: list[Timed]
    cpu: float | None
    peak_pss: int | None
    peak_processes: int | None
    others: float | None

    @property
    def passed(self) -> list[Timed]:
        """The solves that did not fail."""
        return [solve for solve in self.solves if solve.error is None]

    @property
    def per_minute(self) -> float:
        """Solves per minute; failed ones take time and count for nothing."""
        return 60 * len(self.passed) / self.wall

    @property
    def cpu_per_solve(self) -> float | None:
        """CPU seconds for each solve that did not fail."""
        return self.cpu / len(self.passed) if self.passed and self.cpu is not None else None


@dataclass(frozen=True)
class Row:
    """The figures of one contestant at one number of solves at once."""

    contestant: str
    at_once: int
    solves: int
    failed: int
    p50: float | None
    p95: float | None
    per_minute: float
    cpu_per_solve: float | None
    peak_pss: int | None
    peak_processes: int | None
    ratio_per_minute: float | None
    ratio_cpu: float | None
    ratio_pss: float | None


def percentile(values: Iterable[float], percent: float) -> float | None:
    """Return the value below which `percent` of the values lie, interpolated; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def ratio(
    own: Sequence[Batch], baseline: Sequence[Batch], of: Callable[[Batch], float | None]
) -> float | None:
    """Return the median over the rounds of own / baseline; None if no round has both."""
    theirs = {batch.round: of(batch) for batch in baseline}
    pairs = ((of(batch), theirs.get(batch.round)) for batch in own)
    quotients = [mine / other for mine, other in pairs if mine is not None and other]
    return median(quotients) if quotients else None


def rows(batches: Sequence[Batch]) -> list[Row]:
    """Return a row for each contestant and number at once, in the order they first came."""
    groups: dict[tuple[int, str], list[Batch]] = {}
    for batch in sorted(batches, key=lambda batch: (batch.at_once, batch.round)):
        groups.setdefault((batch.at_once, batch.contestant), []).append(batch)
    return [
        _row(name, at_once, group, groups.get((at_once, BASELINE), []))
        for (at_once, name), group in groups.items()
    ]


def guard_cost(batches: Sequence[Batch]) -> list[tuple[int, float, float]]:
    """Return, for each number at once, speed and CPU per solve of `service` : `unguarded`."""
    found = []
    for at_once in sorted({batch.at_once for batch in batches}):
        own, bare = (
            [batch for batch in batches if (batch.contestant, batch.at_once) == (name, at_once)]
            for name in ("service", "unguarded")
        )
        speed = ratio(own, bare, lambda batch: batch.per_minute)
        cpu = ratio(own, bare, lambda batch: batch.cpu_per_solve)
        if speed is not None and cpu is not None:
            found.append((at_once, speed, cpu))
    return found


def _row(name: str, at_once: int, own: list[Batch], baseline: list[Batch]) -> Row:
    solves = [solve for batch in own for solve in batch.solves]
    seconds = [solve.seconds for batch in own for solve in batch.passed]
    cpu = [value for batch in own if (value := batch.cpu_per_solve) is not None]
    return Row(
        contestant=name,
        at_once=at_once,
        solves=len(solves),
        failed=len(solves) - len(seconds),
        p50=percentile(seconds, 50),
        p95=percentile(seconds, 95),
        per_minute=median(batch.per_minute for batch in own),
        cpu_per_solve=median(cpu) if cpu else None,
        peak_pss=max((b.peak_pss for b in own if b.peak_pss is not None), default=None),
        peak_processes=max((b.peak_processes for b in own if b.peak_processes), default=None),
        ratio_per_minute=ratio(own, baseline, lambda batch: batch.per_minute),
        ratio_cpu=ratio(own, baseline, lambda batch: batch.cpu_per_solve),
        ratio_pss=ratio(own, baseline, lambda batch: batch.peak_pss),
    )


def others(batches: Sequence[Batch]) -> str:
    """Return a line that says how much else was going on while the batches ran."""
    found = sorted(batch.others for batch in batches if batch.others is not None)
    if not found:
        return ""
    return (
        f"All else on the machine (site, harness, strangers) kept {median(found):.2f} CPUs busy, "
        f"median of the turns; from {found[0]:.2f} to {found[-1]:.2f}."
    )


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is text, the others are numbers."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in body)])


def shown(value: float | None, digits: int, unit: str = "") -> str:
    """Return a figure as the tables show it; `-` for one that could not be read."""
    return "-" if value is None else f"{value:.{digits}f}{unit}"


def contest_table(found: Sequence[Row]) -> str:
    """Return the contestants' table."""
    head = (
        *("contestant", "at once", "failed", "p50 s", "p95 s", "solves/min", "CPU s/solve"),
        *("peak MB", "processes", "solves/min : warm", "CPU : warm", "MB : warm"),
    )
    body = (
        (
            row.contestant,
            str(row.at_once),
            f"{row.failed} of {row.solves}",
            shown(row.p50, 2),
            shown(row.p95, 2),
            shown(row.per_minute, 1),
            shown(row.cpu_per_solve, 2),
            shown(None if row.peak_pss is None else row.peak_pss / 1e6, 0),
            shown(row.peak_processes, 0),
            shown(row.ratio_per_minute, 2),
            shown(row.ratio_cpu, 2),
            shown(row.ratio_pss, 2),
        )
        for row in found
    )
    return table(head, body)
