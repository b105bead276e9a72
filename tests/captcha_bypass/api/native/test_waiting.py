"""GET /result?wait=S: when it is answered, and how many may wait."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.native_service import MakeService, Service, error_of, waiting
from tests.support.scripted_queue import until


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
