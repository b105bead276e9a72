"""What the native API says of the service, what it answers politely, and what it refuses for the moment."""

from __future__ import annotations

from typing import Any

import pytest

from captcha_bypass import __version__
from captcha_bypass.status import Readiness
from tests.support.native_service import MakeService, Service, error_of
from tests.support.native_tasks import BASE
from tests.support.scripted_queue import until

# Health


async def test_health_counts_workers_running_and_queued_tasks(make_service: MakeService) -> None:
    service = await make_service(workers=2)
    for _ in range(2):
        await service.running()
    for _ in range(3):
        await service.solve()
    response = await service.client.get("/health")
    assert response.status == 200
    assert await response.json() == {
        "status": "ok",
        "workers": 2,
        "running": 2,
        "queue": 3,
        "waiting_for_human": 0,
        "browser": "firefox 140.0",
        "version": __version__,
        "browsers": {
            "tasks": [3],
            "starting": 0,
            "restarts": {"tasks": 2},
            "bytes": [],
            "each": [],
        },
        "egress": {"bytes_sent": 0, "bytes_received": 7, "connections": 1, "failures": {}},
        "fetches": {"running": 0, "sites": 0},
    }


async def test_health_shows_the_warning_when_another_browser_stands_in(
    make_service: MakeService,
) -> None:
    service = await make_service(warning="Camoufox is missing")
    body = await (await service.client.get("/health")).json()
    assert body["warning"] == "Camoufox is missing"


async def test_health_is_503_with_the_reason_while_there_is_no_browser(service: Service) -> None:
    service.browsers.now = Readiness(unavailable="no browser could be started")
    response = await service.client.get("/health")
    assert response.status == 503
    assert await response.json() == {
        "status": "unavailable",
        "reason": "no browser could be started",
    }
    service.browsers.now = Readiness()
    assert (await service.client.get("/health")).status == 200


async def test_health_is_503_until_the_first_browser_is_ready(service: Service) -> None:
    service.browsers.now = Readiness(starting=True)
    response = await service.client.get("/health")
    assert response.status == 503
    assert await response.json() == {"status": "starting"}


async def test_what_is_wrong_is_told_within_bounds(service: Service) -> None:
    for body, count in (
        (BASE | {f"unknown{n}": 0 for n in range(100)}, 21),
        (BASE | {f"{n}": 0 for n in range(20_000)}, 1),
        (BASE | {"headers": {f" {n}": "" for n in range(15_000)}}, 1),
        (BASE | {"x" * 100_000: 0}, 1),
    ):
        response = await service.client.post("/solve", json=body)
        assert response.status == 400
        assert len((await error_of(response))["fields"]) == count
        assert len(await response.read()) < 10_000


@pytest.mark.parametrize("opening", ["[", '{"url":', '{"url": [{"a":'])
async def test_body_nested_without_end_is_refused(service: Service, opening: str) -> None:
    body = opening * (200_000 // len(opening))
    headers = {"Content-Type": "application/json"}
    response = await service.client.post("/solve", data=body, headers=headers)
    assert response.status == 400
    assert (await error_of(response))["code"] == "invalid_request"


@pytest.mark.parametrize("stopping", [False, True])
async def test_live_is_200_whatever_the_browsers_do(service: Service, stopping: bool) -> None:
    service.browsers.now = Readiness(unavailable="no browser could be started")
    if stopping:
        await service.queue.stop(0)
    async with service.client.get("/live") as response:
        assert (response.status, await response.json()) == (200, {"status": "live"})
    async with service.client.head("/live") as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_health_is_503_while_the_service_is_stopping(service: Service) -> None:
    await service.queue.stop(0)
    response = await service.client.get("/health")
    assert response.status == 503
    body = await response.json()
    assert body["status"] == "unavailable"
    assert "shutting down" in body["reason"]


# Politeness


async def test_tasks_of_one_host_share_a_bound_whatever_the_scheme_port_and_spelling(
    make_service: MakeService,
) -> None:
    service = await make_service(workers=5, max_per_host=1)
    running = await service.running(url="http://b\u00fccher.test/")
    waiting = [
        await service.solve(url=url)
        for url in (
            "https://b\u00fccher.test/x",
            "http://B\u00dcCHER.test:8080/",
            "http://xn--bcher-kva.test/",
            "http://b\u00fccher.test./",
        )
    ]
    other = [
        await service.running(url=url)
        for url in ("http://www.b\u00fccher.test/", "http://127.0.0.1/", "http://[::1]/")
    ]
    assert service.script.started == [running, *other]
    assert (await service.queue.stats()).queued == 4
    await service.end(running)
    await until(lambda: waiting[0] in service.script.running)
    assert service.script.started == [running, *other, waiting[0]]


async def test_without_a_bound_tasks_of_one_host_use_every_worker(
    make_service: MakeService,
) -> None:
    service = await make_service(workers=6, max_per_host=0)
    for _ in range(6):
        await service.running()


# Refused for the moment


async def test_full_queue_is_503_with_retry_after_and_recovers(make_service: MakeService) -> None:
    service = await make_service(max_queue=1)
    await service.running()
    pending = await service.solve()
    response = await service.client.post("/solve", json=BASE)
    assert response.status == 503
    assert int(response.headers["Retry-After"]) > 0
    assert (await error_of(response))["code"] == "queue_full"
    assert (await service.queue.stats()).queued == 1
    await service.client.delete(f"/task/{pending}")
    await service.solve()


@pytest.mark.parametrize("body", [BASE, {}], ids=["valid", "invalid"])
async def test_stopping_service_takes_no_task_and_still_gives_results(
    service: Service, body: dict[str, Any]
) -> None:
    task_id = await service.running()
    await service.end(task_id)
    await service.queue.stop(0)
    response = await service.client.post("/solve", json=body)
    assert response.status == 503
    assert int(response.headers["Retry-After"]) > 0
    assert (await error_of(response))["code"] == "shutting_down"
    assert (await service.view(task_id))["status"] == "completed"
