"""What a soak measures: samples of a service's memory and belongings, and what they come to."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import psutil

from tests.support.fire import drivers
from tests.support.service import Service


@dataclass(frozen=True)
class Sample:
    """The state of a service after so many tasks; memory in kB."""

    tasks: int
    rss: int
    uss: int
    driver_pss: int | None
    #: Of the service's own process.
    descriptors: int
    threads: int
    #: Of the driver and the browsers.
    processes: int
    #: Below the service's TMPDIR.
    files: int


#: Belongings that must not become more, and what a browser more at the moment of a sample makes
#: of them. One that is left behind by each killed browser would soon be far more than that.
BELONGINGS = {"descriptors": 8, "threads": 4, "processes": 12, "files": 120}
MEMORY = {"rss": "service RSS", "uss": "service USS", "driver_pss": "driver PSS"}


class Meter:
    """Samples a service, and compares the beginning with the end."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._process = psutil.Process(service.process.pid)
        self.samples: list[Sample] = []
        self._started = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._started

    def sample(self, tasks: int) -> None:
        """Take one sample."""
        memory = self._process.memory_full_info()
        self.samples.append(
            Sample(
                tasks=tasks,
                rss=memory.rss // 1024,
                uss=memory.uss // 1024,
                driver_pss=self._driver_pss(),
                descriptors=self._process.num_fds(),
                threads=self._process.num_threads(),
                processes=len(self._service.family()),
                files=sum(len(names) for _, _, names in os.walk(self._service.tmp)),
            )
        )

    def _driver_pss(self) -> int | None:
        try:
            return sum(driver.memory_full_info().pss for driver in drivers(self._service)) // 1024
        except psutil.Error:
            return None  # it is being replaced

    def slope(self, name: str) -> float:
        """How many kB a memory grows in 100 tasks, after the first quarter.

        The median over all pairs of samples (Theil-Sen): one jump up or down does not make it.
        """
        kept = self.samples[len(self.samples) // 4 :]
        points: list[tuple[int, int]] = [
            (s.tasks, kb) for s in kept if (kb := getattr(s, name)) is not None
        ]
        pairs = combinations(points, 2)
        return median([(y2 - y1) / (x2 - x1) * 100 for (x1, y1), (x2, y2) in pairs])

    def quarters(self, name: str) -> tuple[int, int]:
        """Return the most of a belonging in the first quarter, and in the last."""
        counts: list[int] = [getattr(sample, name) for sample in self.samples]
        size = max(1, len(counts) // 4)
        return max(counts[:size]), max(counts[-size:])

    def rows(self) -> list[tuple[str, str]]:
        """Return the figures as name and value."""
        rows = []
        for name, title in MEMORY.items():
            values = [kb for s in self.samples if (kb := getattr(s, name)) is not None]
            shown = (
                f"{values[0]:,} kB at first, {values[-1]:,} kB at last, {max(values):,} kB at most"
            )
            rows.append((title, f"{shown}; {self.slope(name):+.0f} kB per 100 tasks"))
        for name in BELONGINGS:
            first, last = self.quarters(name)
            rows.append((name, f"at most {first} in the first quarter, {last} in the last"))
        return rows
