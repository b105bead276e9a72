"""GET /metrics: right counts after every kind of end, bounded labels, and nothing about users."""

from __future__ import annotations

import asyncio
import platform
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self, get_args
from unittest.mock import AsyncMock, Mock, patch

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from captcha_bypass import __version__
from captcha_bypass.api.application import application
from captcha_bypass.app import STARTUP, create_app
from captcha_bypass.browsers.sessions import Sessions
from captcha_bypass.challenges import VENDORS, Challenge
from captcha_bypass.config import Config
from captcha_bypass.errors import (
    ConnectionErrorCode,
    FetchErrorCode,
    RequestErrorCode,
    TaskError,
    TaskErrorCode,
)
from captcha_bypass.metrics import MAX_DOMAINS, SOLVE_BUCKETS, Metrics
from captcha_bypass.nodes.sessions import NodeSessions
from captcha_bypass.solving.outcome import Findings, Outcome
from captcha_bypass.solving.worker import Worker
from captcha_bypass.status import (
    Browsers,
    Egress,
    EgressFailure,
    Fetches,
    RestartCause,
    Status,
    StatusBoard,
)
from captcha_bypass.tasks.base import Stats
from captcha_bypass.tasks.memory import MemoryQueue
from captcha_bypass.wire.models import Task
from tests.support.fetching import NoFetches
from tests.support.scripted_queue import until
from tests.support.status import NOTHING, ToldBrowsers

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

BROWSERS = Browsers(tasks=[3, 1], starting=1, restarts={"tasks": 2, "hang": 1}, bytes=[100, 200])
EGRESS = Egress(
    bytes_sent=5,
    bytes_received=7,
    connections=3,
    failures={"dns_error": 2, "blocked_address": 1},
)
FETCH_ENDS = (*get_args(TaskErrorCode), *get_args(FetchErrorCode), "queue_full")
REFUSALS = get_args(RequestErrorCode) + get_args(ConnectionErrorCode)


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


# Through the API


@dataclass
class Pages:
    """Stands in for browsers: what a page shows is what its URL's path says."""

    permits: list[Any] = field(default_factory=list)
    sessions: Sessions = field(default_factory=lambda: Sessions(most=1, ttl=1.0))
    ends: asyncio.Event = field(default_factory=asyncio.Event)

    is_ready, unavailable = True, None

    async def __aenter__(self) -> Self:
        return self

    async def ready(self) -> None:
        """At once."""

    async def broken(self) -> None:
        await asyncio.Future()

    async def __aexit__(self, *_: object) -> None:
        """Nothing is to be stopped."""

    def counts(self) -> Browsers:
        return BROWSERS

    @asynccontextmanager
    async def page(self, *, permit: object, **_: object) -> AsyncIterator[None]:
        self.permits.append(permit)
        yield None

    async def solve(self, _tab: object, task: Task, *_: object) -> Outcome:
        kind = task.url.rpartition("/")[2].partition("?")[0]
        found = Findings(task.url)
        if kind == "hang":
            await self.ends.wait()
        elif kind == "bug":
            raise ValueError(task.url)
        elif kind == "dns":
            raise TaskError("dns_error", "no such host")
        elif kind == "late":
            return Outcome(found, timeout_reached=True)
        elif kind in VENDORS:
            challenged = replace(found, obstacle=Challenge(kind, "automatic"))
            return Outcome(challenged, timeout_reached=True)
        return Outcome(found)


@dataclass
class Service:
    client: TestClient[web.Request, web.Application]
    pages: Pages
    metrics: Metrics

    async def submit(self, kind: str, **fields: object) -> str:
        url = f"http://canary-host.test/{kind}?canary-query"
        body = {"url": url, "no_challenge": True, "timeout": 10, **fields}
        async with self.client.post("/solve", json=body) as response:
            task_id: str = (await response.json())["task_id"]
        return task_id

    async def solved(self, kind: str, **fields: object) -> None:
        task_id = await self.submit(kind, **fields)
        async with self.client.get(f"/result/{task_id}?wait=10") as response:
            assert (await response.json())["status"] in ("completed", "error")

    async def text(self, **headers: str) -> str:
        async with self.client.get("/metrics", headers=headers) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            return await response.text()

    async def samples(self) -> Samples:
        return parse(await self.text())


MakeService = Callable[..., Awaitable[Service]]


@pytest.fixture
async def make_service() -> AsyncIterator[MakeService]:
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> Service:  # noqa: ANN401
            config = Config(**{"workers": 2, **settings})
            limits = (config.max_queue, config.result_ttl, config.max_results_bytes)
            queue = MemoryQueue(
                max_pending=limits[0], result_ttl=limits[1], max_results_bytes=limits[2]
            )
            metrics, pages = Metrics(domains=config.metrics_domains), Pages()
            pool: Any = pages
            board = StatusBoard(queue, ToldBrowsers(numbers=BROWSERS), EGRESS)
            app = application(
                config, queue, NodeSessions(Sessions(most=1, ttl=1.0)), board, metrics, NoFetches()
            )
            stack.enter_context(patch("captcha_bypass.solving.worker.solve", pages.solve))
            await queue.start(Worker(pool, 10_000, report=metrics.task_ended), config.workers)
            stack.push_async_callback(queue.stop, 0)
            client = await stack.enter_async_context(TestClient(TestServer(app)))
            return Service(client, pages, metrics)

        yield make


async def test_every_end_of_a_task_is_counted_once_under_its_outcome(
    make_service: MakeService,
) -> None:
    service = await make_service()
    kinds = ["ok", "ok", "late", "dns", "bug", "cloudflare"]
    for kind in kinds:
        await service.solved(kind)
    hanging = await service.submit("hang")
    await until(lambda: len(service.pages.permits) == len(kinds) + 1)
    async with service.client.delete(f"/task/{hanging}") as response:
        assert response.status == 200
    samples = await service.samples()
    assert solves(samples) == {
        ("completed", "none"): 2,
        ("timeout", "none"): 1,
        ("timeout", "cloudflare"): 1,
        ("dns_error", "none"): 1,
        ("internal_error", "none"): 1,
        ("cancelled", "none"): 1,
    }
    times = {
        outcome: samples[key("captcha_bypass_solve_seconds_count", outcome=outcome)]
        for outcome in ("completed", "timeout", "error", "cancelled")
    }
    assert times == {"completed": 2, "timeout": 2, "error": 2, "cancelled": 1}


async def test_queue_is_counted_as_it_stands(make_service: MakeService) -> None:
    service = await make_service(max_per_host=0)
    tasks = [await service.submit("hang") for _ in range(5)]
    await until(lambda: len(service.pages.permits) == 2)
    names = ["queue_depth", "tasks_running", "workers"]
    found = await service.samples()
    assert [found[key(f"captcha_bypass_{name}")] for name in names] == [3, 2, 2]
    assert found[key("captcha_bypass_queue_oldest_seconds")] > 0
    for task_id in reversed(tasks):  # pending ones first: no worker ever had them
        async with service.client.delete(f"/task/{task_id}"):
            pass
    found = await service.samples()
    assert [found[key(f"captcha_bypass_{name}")] for name in names] == [0, 0, 2]
    assert solves(found) == {("cancelled", "none"): 2}


async def test_no_secret_and_no_host_shows_by_default(make_service: MakeService) -> None:
    service = await make_service(api_key=("canary-key-1",))
    service.client.session.headers["Authorization"] = "Bearer canary-key-1"
    secret = {
        "proxy": {
            "server": "http://canary-proxy.test:1",
            "username": "canary",
            "password": "canary",
        },
        "cookies": [{"name": "canary", "value": "canary"}],
        "headers": {"X-Canary": "canary"},
    }
    for kind in ("ok", "dns", "bug", "cloudflare"):
        await service.solved(kind, **secret)
    service.metrics.v1_request("canary-host.test", "solved", 1)
    text = await service.text()
    sample = 'captcha_bypass_solves_total{challenge="none",kind="none",outcome="completed"} 1.0'
    assert sample in text
    assert "canary" not in text.lower()
    assert ".test" not in text
    assert "http" not in text


async def test_key_is_asked_for_where_there_is_one(make_service: MakeService) -> None:
    service = await make_service(api_key=("good-key-1",))
    async with service.client.get("/metrics") as response:
        assert response.status == 401
    assert await service.text(Authorization="Bearer good-key-1")


async def test_scrapes_do_not_disturb_each_other(make_service: MakeService) -> None:
    service = await make_service()
    await service.solved("ok")
    texts = await asyncio.gather(*(service.samples() for _ in range(10)))
    assert [solves(samples) for samples in texts] == [{("completed", "none"): 1}] * 10


async def test_application_counts_tasks_and_gives_them_its_proxy() -> None:
    pages, engine = Pages(), Mock(warning=None, version="153.0")
    config = Config(workers=1, proxy_url="http://10.0.0.1:3128")
    with (
        patch("captcha_bypass.app.BrowserPool", lambda *_, **__: pages),
        patch("captcha_bypass.solving.worker.solve", pages.solve),
    ):
        app = create_app(config, AsyncMock(return_value=engine))
        async with TestClient(TestServer(app)) as client:
            running = app[STARTUP].begin()
            service = Service(client, pages, Metrics())
            await service.solved("late")
            found = await service.samples()
            assert not running.done()
    assert solves(found) == {("timeout", "none"): 1}
    assert found[key("captcha_bypass_browsers_alive")] == 2
    assert found[key("captcha_bypass_egress_connections_total")] == 0
    (permit,) = pages.permits
    assert str(permit.upstream.destination) == "10.0.0.1:3128"
    assert permit.upstream.trusted


# Numbers of others


def test_numbers_of_browsers_and_egress_are_passed_on() -> None:
    metrics = Metrics()
    nothing = of(metrics)
    for _ in range(2):  # a scrape adds nothing
        found = of(
            metrics,
            replace(
                NOTHING,
                tasks=Stats(1, 2, 3, oldest=2.5, waiting_for_human=6),
                browsers=BROWSERS,
                egress=EGRESS,
                fetches=Fetches(4, 5),
            ),
        )
        ours = {k: v for k, v in found.items() if k[0].startswith("captcha_bypass_")}
        assert ours.keys() == {k for k in nothing if k[0].startswith("captcha_bypass_")}
        assert {k: v for k, v in ours.items() if v != nothing[k]} == {
            key("captcha_bypass_queue_depth"): 1,
            key("captcha_bypass_queue_oldest_seconds"): 2.5,
            key("captcha_bypass_browsers_bytes"): 300,
            key("captcha_bypass_tasks_running"): 2,
            key("captcha_bypass_waiting_for_human"): 6,
            key("captcha_bypass_fetches_running"): 4,
            key("captcha_bypass_fetch_sites"): 5,
            key("captcha_bypass_workers"): 3,
            key("captcha_bypass_browsers_alive"): 2,
            key("captcha_bypass_browsers_starting"): 1,
            key("captcha_bypass_browser_restarts_total", cause="tasks"): 2,
            key("captcha_bypass_browser_restarts_total", cause="hang"): 1,
            key("captcha_bypass_egress_sent_bytes_total"): 5,
            key("captcha_bypass_egress_received_bytes_total"): 7,
            key("captcha_bypass_egress_connections_total"): 3,
            key("captcha_bypass_egress_failures_total", code="dns_error"): 2,
            key("captcha_bypass_egress_failures_total", code="blocked_address"): 1,
        }


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
