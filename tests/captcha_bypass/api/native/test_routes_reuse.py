"""POST /solve with `reuse`, and POST /clearances/refused, over a real server and a real queue."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.native_service import MakeService, Service, error_of
from tests.support.native_tasks import BASE, SOLUTION
from tests.support.scripted_queue import until

KEYS = {"api_key": ("first-key", "second-key")}
SOLVED = {"data": SOLUTION | {"solved": "cloudflare"}}


async def refuse(service: Service, clearance: str, **headers: str) -> Any:  # noqa: ANN401 - JSON
    answer = await service.client.post(
        "/clearances/refused", json={"id": clearance}, headers=headers
    )
    assert answer.status == 200
    return (await answer.json())["ended"]


async def solved(service: Service, **fields: object) -> dict[str, Any]:
    task_id = await service.running(**fields)
    await service.end(task_id, SOLVED)
    return await service.view(task_id)


async def test_call_that_waits_is_answered_from_a_clearance_at_once(service: Service) -> None:
    first = (await solved(service))["data"]
    answer = await service.client.post("/solve?wait=30", json=BASE | {"reuse": 60})
    assert answer.status == 200
    view = await answer.json()
    assert (view["status"], view["error"]) == ("completed", None)
    assert view["data"]["cookies"] == first["cookies"]
    assert view["data"]["clearance"]["id"] == first["clearance"]["id"]
    assert view["data"]["clearance"]["reused"]
    assert len(service.script.started) == 1


async def test_call_that_does_not_wait_gets_an_id_whose_result_is_there(service: Service) -> None:
    await solved(service)
    task_id = await service.solve(url="http://site.test/other", reuse=60)
    for _ in range(2):
        assert (await service.view(task_id))["data"]["clearance"]["reused"]
    assert (await service.client.delete(f"/task/{task_id}")).status == 200
    assert (await service.view(task_id))["status"] == "not_found"


async def test_client_that_hangs_up_does_not_end_the_solve_that_others_wait_for(
    service: Service,
) -> None:
    calls = [
        asyncio.create_task(service.client.post("/solve?wait=30", json=BASE | {"reuse": 60}))
        for _ in range(3)
    ]
    await until(lambda: len(service.shared._seated) == 3 and bool(service.script.started))
    (task_id,) = service.script.started
    calls[0].cancel()
    await until(lambda: len(service.shared._seated) == 2)
    await service.end(task_id, SOLVED)
    answers = [await (await call).json() for call in calls[1:]]
    assert [answer["status"] for answer in answers] == ["completed", "completed"]
    assert service.script.cancelled == []


async def test_refused_clearance_is_given_to_nobody(service: Service) -> None:
    clearance = (await solved(service))["data"]["clearance"]["id"]
    assert await refuse(service, clearance) is True
    assert await refuse(service, clearance) is False
    task_id = await service.running(reuse=60)
    assert service.script.running == {task_id}


async def test_key_neither_gets_nor_ends_the_clearance_of_another(
    make_service: MakeService,
) -> None:
    service = await make_service(**KEYS)
    mine, other = ({"X-API-Key": key} for key in KEYS["api_key"])
    body = BASE | {"reuse": 60}
    call = asyncio.create_task(service.client.post("/solve?wait=30", json=body, headers=mine))
    await until(lambda: len(service.script.running) == 1)
    await service.end(service.script.started[0], SOLVED)
    clearance = (await (await call).json())["data"]["clearance"]["id"]
    assert await refuse(service, clearance, **other) is False
    answer = await service.client.post("/solve", json=body, headers=other)
    assert answer.status == 202
    await until(lambda: len(service.script.running) == 1)
    hit = await service.client.post("/solve?wait=30", json=body, headers=mine)
    assert (await hit.json())["data"]["clearance"]["reused"]


@pytest.mark.parametrize("reuse", [-1, "60", True, [60]])
async def test_age_that_is_none_is_refused_by_name(service: Service, reuse: object) -> None:
    answer = await service.client.post("/solve", json=BASE | {"reuse": reuse})
    assert answer.status == 400
    assert [field["field"] for field in (await error_of(answer))["fields"]] == ["reuse"]


@pytest.mark.parametrize(
    ("body", "field"), [({}, "id"), ({"id": 7}, "id"), ({"id": "x", "url": "y"}, "url")]
)
async def test_refusal_of_nothing_that_can_be_told_is_refused_by_name(
    service: Service, body: dict[str, object], field: str
) -> None:
    answer = await service.client.post("/clearances/refused", json=body)
    assert answer.status == 400
    assert [one["field"] for one in (await error_of(answer))["fields"]] == [field]


async def test_refusal_that_is_not_declared_as_json_is_refused(service: Service) -> None:
    answer = await service.client.post("/clearances/refused", data='{"id": "x"}')
    assert answer.status == 415


async def test_metrics_count_what_became_of_them(service: Service) -> None:
    clearance = (await solved(service, reuse=60))["data"]["clearance"]["id"]
    await service.solve(reuse=60)
    await refuse(service, clearance)
    text = await (await service.client.get("/metrics")).text()
    counted = {
        event: f'captcha_bypass_clearances_total{{event="{event}"}} {value:.1f}' in text
        for event, value in [("kept", 1), ("hit", 1), ("joined", 0), ("solved", 1), ("refused", 1)]
    }
    assert all(counted.values()), counted
