"""What a scrape of the service shows."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from captcha_bypass.metrics import Metrics
from captcha_bypass.status import Status
from tests.support.status import NOTHING

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parse(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, "a sample stands only once"
            found[key] = sample.value
    return found


def of(metrics: Metrics, status: Status = NOTHING) -> Samples:
    return parse(metrics.exposition(status).decode())


def key(metric: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return metric, tuple(sorted(labels.items()))


def solves(samples: Samples) -> dict[tuple[str, str], float]:
    """Return the counts by outcome and challenge that are not 0."""
    found = {}
    for (name, labels), value in samples.items():
        if name == "captcha_bypass_solves_total" and value:
            found[dict(labels)["outcome"], dict(labels)["challenge"]] = value
    return found
