"""The life of a task over a real server and a real queue; only the browser's outcome is scripted."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from tests.support.native_service import MakeService, Service, error_of, waiting
from tests.support.native_tasks import BASE, RESULT_COOKIES, SOLUTION
from tests.support.scripted_queue import until

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


# wait


async def test_wait_ends_when_the_task_does(service: Service) -> None:
    task_id = await service.running()
    waiting = asyncio.create_task(service.view(task_id, "?wait=30"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await service.end(task_id)
    async with asyncio.timeout(10):
        assert (await waiting)["status"] == "completed"


async def test_wait_ends_as_not_found_when_the_task_is_deleted(service: Service) -> None:
    task_id = await service.running()
    waiting = asyncio.create_task(service.client.get(f"/result/{task_id}?wait=30"))
    await asyncio.sleep(0.05)
    assert (await service.client.delete(f"/task/{task_id}")).status == 200
    async with asyncio.timeout(10):
        response = await waiting
    assert response.status == 404
    assert (await response.json())["status"] == "not_found"


@pytest.mark.parametrize("wait", ["0", "0.05", "5e-2", "-0"])
async def test_wait_ends_with_the_state_of_now_when_its_time_is_up(
    service: Service, wait: str
) -> None:
    task_id = await service.running()
    assert (await service.view(task_id, f"?wait={wait}"))["status"] == "running"


@pytest.mark.parametrize(
    "wait", ["31", "30.001", "-1", "abc", "nan", "inf", "-inf", "", "true", "0x10", "1e400", "1,5"]
)
async def test_bad_wait_is_refused_by_name(service: Service, wait: str) -> None:
    task_id = await service.running()
    response = await service.client.get(f"/result/{task_id}", params={"wait": wait})
    assert response.status == 400
    error = await error_of(response)
    assert error["code"] == "invalid_request"
    assert [field["field"] for field in error["fields"]] == ["wait"]


# How many may wait


async def test_one_more_waiting_request_than_allowed_is_503_with_retry_after(
    make_service: MakeService,
) -> None:
    service = await make_service(max_waiting=2)
    ended = await service.running()
    await service.end(ended)
    task_id = await service.running()
    polls = [await waiting(service, task_id) for _ in range(2)]
    response = await service.client.get(f"/result/{task_id}?wait=30")
    assert response.status == 503
    assert int(response.headers["Retry-After"]) > 0
    error = await error_of(response)
    assert error["code"] == "too_many_waiting"
    assert "--max-waiting" in error["message"]
    # Whoever need not wait is answered.
    assert (await service.view(task_id))["status"] == "running"
    assert (await service.view(task_id, "?wait=0"))["status"] == "running"
    assert (await service.view(ended, "?wait=30"))["status"] == "completed"
    assert (await service.view("unknown", "?wait=30"))["status"] == "not_found"
    assert not any(poll.done() for poll in polls)
    await service.end(task_id)
    async with asyncio.timeout(10):
        assert [(await poll).status for poll in polls] == [200, 200]


@pytest.mark.parametrize("how", ["hangs up", "is answered", "is answered in vain"])
async def test_place_of_a_request_that_waited_is_free_again_once_it(
    make_service: MakeService, how: str
) -> None:
    service = await make_service(max_waiting=1)
    for _ in range(3):
        task_id = await service.running()
        poll = await waiting(service, task_id)
        if how == "hangs up":
            poll.cancel()
            await until(lambda: service.queue.held == 0)
            await service.client.delete(f"/task/{task_id}")
        elif how == "is answered":
            await service.end(task_id)
        else:
            await service.client.delete(f"/task/{task_id}")
        await asyncio.wait({poll}, timeout=10)
        assert service.queue.held == 0


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
