"""POST /solve?wait=S over a real server and a real queue; only the browser's outcome is scripted."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from aiohttp import ClientResponse

from captcha_bypass.api.large import LARGE_BYTES
from captcha_bypass.errors import TooManyWaiting
from tests.support.native_service import MakeService, Service, error_of
from tests.support.native_tasks import BASE, SOLUTION
from tests.support.scripted_queue import until


async def asked(service: Service) -> tuple[str, asyncio.Task[ClientResponse]]:
    """Send a request that waits; return its task's id once that runs, and the answer to come."""
    before = len(service.script.started)
    call = asyncio.create_task(service.client.post("/solve?wait=30", json=BASE))
    await until(lambda: len(service.script.started) > before)
    return service.script.started[-1], call


async def answered(call: asyncio.Task[ClientResponse]) -> tuple[int, dict[str, Any]]:
    async with asyncio.timeout(10):
        response = await call
        return response.status, await response.json()


@pytest.mark.parametrize(
    "outcome", [{"data": SOLUTION}, {"error": {"code": "dns_error", "message": "no such host"}}]
)
async def test_one_call_answers_with_the_result(service: Service, outcome: dict[str, Any]) -> None:
    task_id, call = await asked(service)
    assert not call.done()
    await service.end(task_id, outcome)
    assert await answered(call) == (200, await service.view(task_id))


async def test_task_that_does_not_end_in_time_is_told_by_its_id_and_goes_on(
    service: Service,
) -> None:
    response = await service.client.post("/solve?wait=0.05", json=BASE)
    assert response.status == 202
    body = await response.json()
    assert set(body) == {"task_id"}
    assert UUID(body["task_id"]).version == 4
    assert (await service.view(body["task_id"]))["status"] == "running"


async def test_client_that_hangs_up_ends_its_task(service: Service) -> None:
    running, call = await asked(service)
    pending = asyncio.create_task(service.client.post("/solve?wait=30", json=BASE))
    await until(lambda: service.queue.held == 2)
    pending.cancel()
    await until(lambda: service.queue.held == 1)
    call.cancel()
    await until(lambda: service.script.cancelled == [running])
    stats = await service.queue.stats()
    assert (stats.queued, stats.running) == (0, 0)
    assert (await service.view(running))["status"] == "not_found"


async def test_task_that_is_deleted_meanwhile_is_not_found(service: Service) -> None:
    task_id, call = await asked(service)
    assert (await service.client.delete(f"/task/{task_id}")).status == 200
    assert await answered(call) == (404, {"status": "not_found", "error": None, "data": None})


@pytest.mark.parametrize("wait", ["31", "-1", "abc", "nan", ""])
async def test_bad_wait_is_refused_by_name_and_nothing_is_queued(
    service: Service, wait: str
) -> None:
    response = await service.client.post("/solve", params={"wait": wait}, json=BASE)
    assert response.status == 400
    error = await error_of(response)
    assert [field["field"] for field in error["fields"]] == ["wait"]
    assert service.script.started == []


async def test_one_more_waiting_request_than_allowed_is_refused_and_queues_nothing(
    make_service: MakeService,
) -> None:
    service = await make_service(max_waiting=1, workers=2)
    task_id, call = await asked(service)
    response = await service.client.post("/solve?wait=30", json=BASE)
    assert response.status == 503
    assert (await error_of(response))["code"] == "too_many_waiting"
    assert service.script.started == [task_id]
    await service.end(task_id)
    assert (await answered(call))[0] == 200
    _, call = await asked(service)  # the place is free again
    call.cancel()


async def test_result_for_whose_sending_there_is_no_room_is_told_by_its_id(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await make_service(max_waiting=1)
    monkeypatch.setattr("captcha_bypass.api.large.Outbox._check", no_room)
    task_id, call = await asked(service)
    await service.end(task_id, {"data": SOLUTION | {"html": "x" * LARGE_BYTES}})
    assert await answered(call) == (202, {"task_id": task_id})


def no_room(*_: object) -> None:
    raise TooManyWaiting("no room")
