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


@dataclass(frozen=True)
class Overhead:
    """What the service adds to the browser's work, in seconds per solve.

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
