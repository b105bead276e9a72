"""The life of a task over a real server and a real queue; only the browser's outcome is scripted."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from tests.support.native_service import MakeService, Service
from tests.support.native_tasks import BASE, RESULT_COOKIES, SOLUTION

# The life of a task


async def test_task_is_accepted_with_a_random_uuid(service: Service) -> None:
    response = await service.client.post("/solve", json=BASE)
    assert response.status == 202
    assert response.content_type == "application/json"
    body = await response.json()
    assert set(body) == {"task_id"}
    assert UUID(body["task_id"]).version == 4
    assert body["task_id"] == str(UUID(body["task_id"]))


async def test_result_of_a_running_and_of_a_pending_task_holds_nulls(service: Service) -> None:
    running = await service.running()
    pending = await service.solve()
    assert await service.view(running) == {"status": "running", "error": None, "data": None}
    assert await service.view(pending) == {"status": "pending", "error": None, "data": None}


async def test_completed_result_is_the_whole_contract(service: Service) -> None:
    task_id = await service.running()
    await service.end(task_id)
    response = await service.client.get(f"/result/{task_id}")
    assert response.status == 200
    assert response.content_type == "application/json"
    answer = await response.json()
    assert UUID(answer["data"]["clearance"].pop("id")).version == 4
    assert answer == {
        "status": "completed",
        "error": None,
        "data": {
            "cookies": RESULT_COOKIES,
            "headers": {"content-type": "text/html"},
            "status_code": 200,
            "html": "<p>Welcome \N{SNOWMAN}</p>",
            "url": "http://site.test/",
            "timeout_reached": False,
            "user_agent": "Mozilla/5.0",
            "request_headers": {"user-agent": "Mozilla/5.0"},
            "challenge": None,
            "solved": None,
            "block": None,
            "challenge_kind": None,
            "unmet": [],
            "hints": [],
            "failed_requests": {},
            "screenshot": None,
            "elapsed": 1.5,
            "clearance": {"age": 0.0, "reused": False},
        },
    }


async def test_result_can_be_read_again_and_again(service: Service) -> None:
    task_id = await service.running()
    await service.end(task_id)
    assert await service.view(task_id) == await service.view(task_id)


async def test_failed_task_has_an_error_and_no_data(service: Service) -> None:
    task_id = await service.running()
    error = {"code": "dns_error", "message": "no such host"}
    await service.end(task_id, {"error": error})
    response = await service.client.get(f"/result/{task_id}")
    assert response.status == 200
    assert await response.json() == {"status": "error", "error": error, "data": None}


@pytest.mark.parametrize(
    "task_id",
    ["00000000-0000-4000-8000-000000000000", "x", "%20", "..%2F..%2Fetc", "%00", "a" * 4000],
)
async def test_unknown_task_is_404_in_the_shape_of_a_result(service: Service, task_id: str) -> None:
    for query in ("", "?wait=30"):
        response = await service.client.get(f"/result/{task_id}{query}")
        assert response.status == 404
        assert await response.json() == {"status": "not_found", "error": None, "data": None}


async def test_expired_result_is_not_found(make_service: MakeService) -> None:
    service = await make_service(result_ttl=0.05)
    task_id = await service.running()
    await service.end(task_id)
    deadline = asyncio.get_running_loop().time() + 10
    while (await service.view(task_id))["status"] != "not_found":
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_results_past_the_memory_for_all_together_go_oldest_first(
    make_service: MakeService,
) -> None:
    service = await make_service(max_results_bytes=2**20)
    tasks = []
    for _ in range(3):
        tasks.append(await service.running())
        await service.end(tasks[-1], {"data": SOLUTION | {"html": "x" * 400_000}})
    states = [(await service.view(task))["status"] for task in tasks]
    assert states == ["not_found", "completed", "completed"]


# DELETE


async def test_deleted_task_is_gone_whatever_its_state(service: Service) -> None:
    ended = await service.running()
    await service.end(ended)
    running = await service.running()
    pending = await service.solve()
    for task_id in (pending, running, ended):
        response = await service.client.delete(f"/task/{task_id}")
        assert response.status == 200
        body = await response.json()
        assert set(body) == {"success", "message"}
        assert body["success"] is True
        assert body["message"]
        assert (await service.client.get(f"/result/{task_id}")).status == 404
    assert service.script.cancelled == [running]
    assert pending not in service.script.started


async def test_deleting_an_unknown_task_is_404(service: Service) -> None:
    task_id = await service.solve()
    assert (await service.client.delete(f"/task/{task_id}")).status == 200
    for unknown in (task_id, "x", "%2F"):
        response = await service.client.delete(f"/task/{unknown}")
        assert response.status == 404
        body = await response.json()
        assert set(body) == {"success", "message"}
        assert body["success"] is False
        assert body["message"]
