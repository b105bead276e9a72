"""What the service counts itself. No label has values without bound, or that tell of users."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from captcha_bypass import __version__
from captcha_bypass.challenges import KINDS, VENDORS, Kind
from captcha_bypass.errors import (
    ConnectionErrorCode,
    FetchErrorCode,
    RequestErrorCode,
    TaskErrorCode,
)
from captcha_bypass.metrics.collector import PREFIX, StatusCollector
from captcha_bypass.status import Ending, Status

#: Seconds, from a page without a challenge to the longest timeout that is usual.
SOLVE_BUCKETS = (0.2, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300)
#: Seconds, from an answer of a site nearby to a challenge that takes long.
FETCH_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
#: Seconds, from a free worker to the bottom of a full queue.
QUEUE_BUCKETS = (0.01, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
#: FlareSolverr's own, so that its dashboards keep working.
V1_BUCKETS = (0, 10, 25, 50)
V1_RESULTS = frozenset({"solved", "not_detected", "error", "unknown"})
#: Hosts that have a label of their own; all others share one.
MAX_DOMAINS = 100

_GOOD = frozenset({"completed", "timeout", "cancelled"})
#: Outcomes of tasks whose result may name a vendor.
_OF_VENDORS = ("completed", "timeout", "not_a_page")


class Metrics:
    """The numbers of one service.

    Args:
        domains: Whether the hosts that `/v1` is asked for become labels.
    """

    def __init__(self, *, domains: bool = False) -> None:
        # A second sample beside each counter, with the time of its birth; for the whole process.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        self._status = StatusCollector()
        registry.register(self._status)
        ProcessCollector(registry=registry)
        labels = ["version", "python"]
        text = "1; its labels tell the version of the service, and of Python"
        build = Gauge(f"{PREFIX}build_info", text, labels, registry=registry)
        build.labels(__version__, platform.python_version()).set(1)
        self._queue_seconds = Histogram(
            f"{PREFIX}queue_seconds",
            "Time that tasks were pending, until a worker took them",
            buckets=QUEUE_BUCKETS,
            registry=registry,
        )
        self._solves = Counter(
            f"{PREFIX}solves",
            "Tasks that ended, by outcome and by vendor and kind of the challenge they met",
            ["outcome", "challenge", "kind"],
            registry=registry,
        )
        self._seconds = Histogram(
            f"{PREFIX}solve_seconds",
            "Time from the moment a worker took a task until it ended",
            ["outcome"],
            buckets=SOLVE_BUCKETS,
            registry=registry,
        )
        self._v1 = Counter(
            "flaresolverr_request",
            "Requests of /v1 by result",
            ["domain", "result"],
            registry=registry,
        )
        self._v1_seconds = Histogram(
            "flaresolverr_request_duration",
            "Seconds that requests of /v1 took",
            ["domain"],
            buckets=V1_BUCKETS,
            registry=registry,
        )
        self._fetches = Counter(
            f"{PREFIX}fetches",
            "Requests of POST /fetch that were taken, by outcome",
            ["outcome"],
            registry=registry,
        )
        self._fetch_seconds = Histogram(
            f"{PREFIX}fetch_seconds",
            "Seconds that requests of POST /fetch took, solves included",
            ["outcome"],
            buckets=FETCH_BUCKETS,
            registry=registry,
        )
        self._fetch_bytes = Counter(
            f"{PREFIX}fetch_bytes",
            "Bytes of bodies that POST /fetch has sent to sites, and got from them, decoded",
            ["direction"],
            registry=registry,
        )
        self._waits = Counter(
            f"{PREFIX}human_waits",
            "Pages that have waited for a person, by how that ended, and those that found no room",
            ["outcome"],
            registry=registry,
        )
        self._clearances = Counter(
            f"{PREFIX}clearances",
            "What became of clearances and of tasks that may reuse them, by event",
            ["event"],
            registry=registry,
        )
        self._refused = Counter(
            f"{PREFIX}refused",
            "Requests that were refused and connections that were closed, by the reason's code",
            ["code"],
            registry=registry,
        )
        self._domains: set[str] | None = set() if domains else None
        self._begin()

    def _begin(self) -> None:
        """Have all series there from the start: `rate` does not see the event a series begins with.

        Only hosts cannot be known before they come.
        """
        pairs = [(vendor, kind) for vendor in sorted(VENDORS) for kind in sorted(KINDS[vendor])]
        for vendor, kind in [("none", "none"), *pairs]:
            for outcome in _OF_VENDORS:
                self._solves.labels(outcome, vendor, kind)
        for outcome in ("cancelled", *get_args(TaskErrorCode)):
            self._solves.labels(outcome, "none", "none")
        for outcome in (*_GOOD, "error"):
            self._seconds.labels(outcome)
        for outcome in ("answered", "cancelled", "error"):
            self._fetch_seconds.labels(outcome)
        failures = (*get_args(TaskErrorCode), *get_args(FetchErrorCode), "queue_full")
        for outcome in ("answered", "cancelled", *failures):
            self._fetches.labels(outcome)
        for direction in ("sent", "received"):
            self._fetch_bytes.labels(direction)
        for ending in get_args(Ending):
            self._waits.labels(ending)
        for event in ("kept", "refused", "hit", "joined", "solved"):
            self._clearances.labels(event)
        for code in (*get_args(RequestErrorCode), *get_args(ConnectionErrorCode)):
            self._refused.labels(code)
        if self._domains is None:
            for result in V1_RESULTS:
                self._v1.labels("", result)
            self._v1_seconds.labels("")

    def task_started(self, seconds: float) -> None:
        """Count a task that a worker takes, after so many seconds."""
        self._queue_seconds.observe(seconds)

    def task_ended(self, outcome: str, seconds: float, data: Mapping[str, Any]) -> None:
        """Count a task that a worker had.

        Args:
            outcome: `completed`, `timeout`, `cancelled` or the code of a task error.
            data: Its result (wire.results.Solution); empty if it has none.
        """
        vendor = data.get("block") or data.get("challenge") or data.get("solved") or "none"
        known = vendor == "none" or vendor in VENDORS
        kind = data.get("challenge_kind")
        kind = kind if kind in get_args(Kind) else "none"
        self._solves.labels(outcome, vendor if known else "other", kind).inc()
        self._seconds.labels(outcome if outcome in _GOOD else "error").observe(seconds)

    def fetch_ended(self, outcome: str, seconds: float, sent: int, received: int) -> None:
        """Count a request that was to be sent through the browser.

        Args:
            outcome: `answered`, `cancelled`, or the code of an error.
            sent: Bytes of its body.
            received: Bytes of its answer's body.
        """
        self._fetches.labels(outcome).inc()
        kind = outcome if outcome in ("answered", "cancelled") else "error"
        self._fetch_seconds.labels(kind).observe(seconds)
        self._fetch_bytes.labels("sent").inc(sent)
        self._fetch_bytes.labels("received").inc(received)

    def wait_ended(self, ending: Ending) -> None:
        """Count a page that waits for a person no more, or found no room to."""
        self._waits.labels(ending).inc()

    def clearance(self, event: str) -> None:
        """Count what became of a clearance, or of a task that may reuse one.

        Args:
            event: See sharing.clearances.Event.
        """
        self._clearances.labels(event).inc()

    def refused(self, code: str) -> None:
        """Count a request that was refused, or a connection that was closed.

        Args:
            code: A RequestErrorCode or ConnectionErrorCode.
        """
        self._refused.labels(code).inc()

    def v1_request(self, domain: str, result: str, seconds: float) -> None:
        """Count a request of `/v1`, by FlareSolverr's names.

        Args:
            domain: The host it was for.
            result: One of V1_RESULTS.
        """
        label = self._domain(domain)
        self._v1.labels(label, result if result in V1_RESULTS else "unknown").inc()
        self._v1_seconds.labels(label).observe(seconds)

    def exposition(self, status: Status) -> bytes:
        """Return all numbers as text, in the format whose version is 0.0.4."""
        self._status.status = status
        return generate_latest(self._registry)

    def _domain(self, host: str) -> str:
        if self._domains is None:
            return ""
        if host not in self._domains and len(self._domains) >= MAX_DOMAINS:
            return "other"
        self._domains.add(host)
        return host
