"""Right counts, all series from the start, and bounded labels."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import replace
from typing import Any, get_args

import pytest

from captcha_bypass import __version__
from captcha_bypass.errors import (
    ConnectionErrorCode,
    FetchErrorCode,
    RequestErrorCode,
    TaskErrorCode,
)
from captcha_bypass.metrics import Metrics
from captcha_bypass.metrics.counters import MAX_DOMAINS, SOLVE_BUCKETS
from captcha_bypass.status import (
    Browsers,
    Egress,
    EgressFailure,
    RestartCause,
)
from tests.support.samples import key, of, solves
from tests.support.status import NOTHING

FETCH_ENDS = (*get_args(TaskErrorCode), *get_args(FetchErrorCode), "queue_full")
REFUSALS = get_args(RequestErrorCode) + get_args(ConnectionErrorCode)


def test_all_series_are_there_from_the_start_and_nothing_is_counted_yet() -> None:
    start, used = of(Metrics()), Metrics()
    for outcome in ("completed", "timeout", "not_a_page"):
        used.task_ended(outcome, 1, {"solved": "cloudflare", "challenge_kind": "automatic"})
    for code in (*get_args(TaskErrorCode), "cancelled"):
        used.task_ended(code, 1, {})
    for outcome in (*FETCH_ENDS, "answered", "cancelled"):
        used.fetch_ended(outcome, 1, 1, 1)
    for code in REFUSALS:
        used.refused(code)
    used.v1_request("site.test", "solved", 1)
    used.task_started(1)
    busy = replace(
        NOTHING,
        browsers=Browsers([], 0, dict.fromkeys(get_args(RestartCause), 1)),
        egress=Egress(failures=dict.fromkeys(get_args(EgressFailure), 1)),
    )
    assert of(used, busy).keys() == start.keys()
    ours = {k: v for k, v in start.items() if k[0].startswith(("captcha_bypass_", "flaresolverr_"))}
    assert {name for (name, _), value in ours.items() if value} == {"captcha_bypass_build_info"}


def test_build_is_told_by_its_versions() -> None:
    labels = {"version": __version__, "python": platform.python_version()}
    assert of(Metrics())[key("captcha_bypass_build_info", **labels)] == 1


def test_process_is_measured_and_no_other_metric_is_there() -> None:
    found = {name for name, _ in of(Metrics())}
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total"} <= found
    assert {"process_open_fds", "process_start_time_seconds"} <= found
    assert not [n for n in found if n.startswith("python_") or n.endswith("_created")]


def test_two_services_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.task_ended("completed", 1, {})
    assert solves(of(second)) == {}


# Labels


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"challenge": "datadome", "challenge_kind": "human"}, "human"),
        ({"solved": "cloudflare", "challenge_kind": "automatic"}, "automatic"),
        ({"block": "akamai", "challenge_kind": "block"}, "block"),
        ({"challenge_kind": None}, "none"),
        ({"challenge_kind": "never heard of"}, "none"),
    ],
)
def test_label_of_the_kind_is_one_of_three_or_none(data: dict[str, Any], kind: str) -> None:
    metrics = Metrics()
    metrics.task_ended("timeout", 1, data)
    counted = [
        dict(labels) for (name, labels), value in of(metrics).items() if value and "solves_" in name
    ]
    assert [labels["kind"] for labels in counted] == [kind]


@pytest.mark.parametrize(
    ("data", "label"),
    [
        ({}, "none"),
        ({"block": "akamai", "solved": "cloudflare"}, "akamai"),
        ({"challenge": None}, "none"),
        ({"solved": None, "challenge": "datadome"}, "datadome"),
        ({"solved": "cloudflare", "challenge": None}, "cloudflare"),
        ({"solved": True}, "other"),
        ({"challenge": "never heard of"}, "other"),
    ],
)
def test_label_of_the_challenge_is_a_known_vendor(data: dict[str, Any], label: str) -> None:
    metrics = Metrics()
    metrics.task_ended("completed", 1, data)
    assert solves(of(metrics)) == {("completed", label): 1}


def test_times_fall_into_their_buckets() -> None:
    metrics = Metrics()
    for seconds in (0.1, 4.0, 299.0, 400.0):
        metrics.task_ended("completed", seconds, {})
    found = of(metrics)
    bucket = "captcha_bypass_solve_seconds_bucket"
    counts = {le: found[key(bucket, outcome="completed", le=le)] for le in ("0.2", "3.0", "5.0")}
    assert counts == {"0.2": 1, "3.0": 1, "5.0": 2}
    assert found[key(bucket, outcome="completed", le="300.0")] == 3
    assert found[key(bucket, outcome="completed", le="+Inf")] == 4
    assert SOLVE_BUCKETS[0] == 0.2
    assert SOLVE_BUCKETS[-1] == 300


def test_requests_of_v1_go_by_the_names_of_flaresolverr() -> None:
    metrics = Metrics()
    for result in ("solved", "solved", "not_detected", "error", "unknown", "nonsense"):
        metrics.v1_request("site.test", result, 12)
    found = of(metrics)
    total = "flaresolverr_request_total"
    counts = {
        result: found[key(total, domain="", result=result)]
        for result in ("solved", "not_detected", "error", "unknown")
    }
    assert counts == {"solved": 2, "not_detected": 1, "error": 1, "unknown": 2}
    bucket = "flaresolverr_request_duration_bucket"
    buckets = {dict(labels)["le"]: n for (name, labels), n in found.items() if name == bucket}
    assert buckets == {"0.0": 0, "10.0": 0, "25.0": 6, "50.0": 6, "+Inf": 6}


def test_domains_are_labels_only_if_asked_for_and_so_many_at_most() -> None:
    metrics = Metrics(domains=True)
    for _ in range(2):
        for n in range(MAX_DOMAINS + 50):
            metrics.v1_request(f"site{n}.test", "solved", 1)
    counts = Counter(
        {
            dict(labels)["domain"]: value
            for (name, labels), value in of(metrics).items()
            if name == "flaresolverr_request_total"
        }
    )
    assert len(counts) == MAX_DOMAINS + 1
    assert counts["site0.test"] == counts["site99.test"] == 2
    assert counts["other"] == 100


@pytest.mark.parametrize("domain", ['a"b', "a\nb", "a\\b", "b\u00fccher.test", ""])
def test_any_domain_can_be_a_label(domain: str) -> None:
    metrics = Metrics(domains=True)
    metrics.v1_request(domain, "solved", 1)
    assert of(metrics)[key("flaresolverr_request_total", domain=domain, result="solved")] == 1
