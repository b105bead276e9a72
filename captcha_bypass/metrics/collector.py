"""The numbers that others keep, and that a scrape is told with those counted here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from captcha_bypass.status import EgressFailure, RestartCause, Status

#: All metrics of the service begin with it, but those that have FlareSolverr's names.
PREFIX = "captcha_bypass_"


class StatusCollector(Collector):
    """Passes on what was counted elsewhere, so that nothing is counted twice."""

    def __init__(self) -> None:
        self.status: Status | None = None

    def describe(self) -> list[Metric]:
        """Not to be collected for its names while it is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return the numbers of the status that was set last."""
        if self.status is None:
            return
        tasks, browsers, egress = self.status.tasks, self.status.browsers, self.status.egress
        yield _gauge("queue_depth", "Tasks that wait for a worker", tasks.queued)
        yield _gauge("queue_oldest_seconds", "Age of the task that waits for longest", tasks.oldest)
        yield _gauge("tasks_running", "Tasks that a worker has", tasks.running)
        text = "Tasks whose pages wait for a person"
        yield _gauge("waiting_for_human", text, tasks.waiting_for_human)
        fetches = self.status.fetches
        yield _gauge(
            "fetches_running", "Requests of POST /fetch without an answer", fetches.running
        )
        yield _gauge("fetch_sites", "Sessions that are kept for sites", fetches.sites)
        if tasks.nodes:
            yield _gauge("nodes", "Services that share the queue and live", len(tasks.nodes))
        yield _gauge("workers", "Tasks that can run at once", tasks.slots)
        yield _gauge("browsers_alive", "Browsers that run", len(browsers.tasks))
        yield _gauge("browsers_starting", "Browsers being started", browsers.starting)
        text = "Memory that the browsers held when they were looked at last"
        yield _gauge("browsers_bytes", text, sum(browsers.bytes))
        text = "Browsers that are no more"
        restarts = dict.fromkeys(get_args(RestartCause), 0) | browsers.restarts
        yield _counter("browser_restarts", text, "cause", restarts)
        yield _total("egress_sent_bytes", "Bytes that pages sent to sites", egress.bytes_sent)
        text = "Bytes that pages received from sites"
        yield _total("egress_received_bytes", text, egress.bytes_received)
        yield _total("egress_connections", "Connections made for pages", egress.connections)
        text = "Hosts that a task's page could not reach"
        failures = dict.fromkeys(get_args(EgressFailure), 0) | egress.failures
        yield _counter("egress_failures", text, "code", failures)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _total(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value=value)


def _counter(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
