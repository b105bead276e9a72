"""From turns of fetches to figures and tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.report import Timed, percentile, shown, table

#: Who the others are compared with.
FETCH, PAGE, BARE = "/fetch", "html", "aiohttp"
#: The parts of the service whose CPU is told apart.
PARTS = ("python", "driver", "browser")


@dataclass(frozen=True)
class Turn:
    """One contestant's turn in one round; what could not be read is None.

    Attributes:
        wall: Seconds from the first request to the last answer.
        cpu: CPU seconds of each part of its tree; of a contestant with other parts, `all`.
        peak_pss: Bytes.
        others: CPUs kept busy meanwhile by all else, site and harness included.
        own: Seconds of each fetch that the service had it and the page did not.
    """

    contestant: str
    at_once: int
    round: int
    wall: float
    fetches: list[Timed]
    cpu: dict[str, float] | None
    peak_pss: int | None
    others: float | None
    own: list[float] = field(default_factory=list)

    @property
    def passed(self) -> list[Timed]:
        """The fetches that did not fail."""
        return [fetch for fetch in self.fetches if fetch.error is None]

    @property
    def per_second(self) -> float:
        """Fetches per second; failed ones take time and count for nothing."""
        return len(self.passed) / self.wall

    def cpu_ms(self, part: str) -> float | None:
        """CPU milliseconds of a part for each fetch that did not fail."""
        if self.cpu is None or part not in self.cpu or not self.passed:
            return None
        return 1000 * self.cpu[part] / len(self.passed)


@dataclass(frozen=True)
class FetchRow:
    """The figures of one contestant at one number of fetches at once; times in milliseconds."""

    contestant: str
    at_once: int
    fetches: int
    failed: int
    p50: float | None
    p95: float | None
    per_second: float
    cpu: dict[str, float | None]
    peak_pss: int | None
    own_p50: float | None
    ratio_page: float | None


def fetch_rows(turns: Sequence[Turn]) -> list[FetchRow]:
    """Return a row for each contestant and number at once, in the order they first came."""
    groups: dict[tuple[int, str], list[Turn]] = {}
    for turn in sorted(turns, key=lambda turn: (turn.at_once, turn.round)):
        groups.setdefault((turn.at_once, turn.contestant), []).append(turn)
    return [
        _row(name, at_once, group, groups.get((at_once, PAGE), []))
        for (at_once, name), group in groups.items()
    ]


def _row(name: str, at_once: int, own: list[Turn], pages: list[Turn]) -> FetchRow:
    fetches = [fetch for turn in own for fetch in turn.fetches]
    ms = [1000 * fetch.seconds for turn in own for fetch in turn.passed]
    theirs = {turn.round: turn.per_second for turn in pages}
    ratios = [turn.per_second / theirs[turn.round] for turn in own if theirs.get(turn.round)]
    cpu = {part: _median(turn.cpu_ms(part) for turn in own) for part in (*PARTS, "all")}
    return FetchRow(
        contestant=name,
        at_once=at_once,
        fetches=len(fetches),
        failed=len(fetches) - len(ms),
        p50=percentile(ms, 50),
        p95=percentile(ms, 95),
        per_second=median(turn.per_second for turn in own),
        cpu=cpu,
        peak_pss=max((turn.peak_pss for turn in own if turn.peak_pss is not None), default=None),
        own_p50=percentile([1000 * seconds for turn in own for seconds in turn.own], 50),
        ratio_page=median(ratios) if ratios else None,
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def fetch_table(rows: Sequence[FetchRow]) -> str:
    """Return the contestants' table."""
    head = (
        *("contestant", "at once", "failed", "per second", "p50 ms", "p95 ms", "own p50 ms"),
        *("CPU ms: Python", "driver", "browser", "all", "peak MB", "per second : html"),
    )
    body = (
        (
            row.contestant,
            str(row.at_once),
            f"{row.failed} of {row.fetches}",
            shown(row.per_second, 1),
            shown(row.p50, 1),
            shown(row.p95, 1),
            shown(row.own_p50, 1),
            *(shown(row.cpu[part], 1) for part in (*PARTS, "all")),
            shown(None if row.peak_pss is None else row.peak_pss / 1e6, 0),
            shown(row.ratio_page, 1),
        )
        for row in rows
    )
    return table(head, body)


def own_seconds(log: str) -> list[float]:
    """Return what the service has added to each fetch that was answered, by its JSON log."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    ended = [line for line in lines if line.get("message") == "fetch ended"]
    return [line["seconds"] - line["page_seconds"] for line in ended if "page_seconds" in line]
