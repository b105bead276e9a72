"""Every metric of the service, as a scrape shows it."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from captcha_bypass.metrics import Metrics
from captcha_bypass.status import Browsers, Egress
from tests.support.status import NOTHING


def metrics() -> dict[str, set[str]]:
    """Return the names of all samples, each with its labels."""
    counted = Metrics(domains=True)
    counted.task_ended("completed", 1.0, {"solved": "cloudflare"})
    counted.fetch_ended("answered", 1.0, 1, 1)
    counted.refused("queue_full")
    counted.v1_request("site.test", "solved", 1.0)
    status = replace(
        NOTHING, browsers=Browsers([1], 0, {"tasks": 1}), egress=Egress(failures={"dns_error": 1})
    )
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(counted.exposition(status).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def families() -> set[str]:
    """Return the names of all metrics that are ours, as `# TYPE` has them."""
    return {name for name in _types() if name.startswith(("captcha_bypass_", "flaresolverr_"))}


def _types() -> list[str]:
    text = Metrics().exposition(NOTHING).decode()
    return [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")]
