"""The evidence of a task over HTTP: whole or in parts, to its owner alone, harmless in a browser."""

from __future__ import annotations

import base64

import pytest
from aiohttp import ClientResponse

from captcha_bypass.history import Evidence
from tests.support.native_service import MakeService, Service, error_of
from tests.support.native_tasks import SOLUTION

KEYS = ("first-key-1234", "second-key-1234")
HTML = "<p>\N{SNOWMAN}</p><script>alert(1)</script>"
JPEG = b"\xff\xd8jpeg"


@pytest.fixture
async def service(make_service: MakeService) -> Service:
    return await make_service(keep_evidence=5)


async def left_by_a_task(
    service: Service,
    *,
    html: str | None = HTML,
    jpeg: bytes | None = JPEG,
    owner: str = "",
    **settings: object,
) -> str:
    """Return a task that has ended unfinished, and left evidence."""
    headers = {"X-API-Key": KEYS[0]} if owner else {}
    response = await service.client.post(
        "/solve",
        json={"url": "http://site.test/", "no_challenge": True, "timeout": 9},
        headers=headers,
    )
    task_id: str = (await response.json())["task_id"]
    source = None if html is None else html.encode()
    service.history.keep(task_id, Evidence(owner, "http://site.test/in", source, jpeg, at=1.5))
    await service.end(task_id, {"data": {**SOLUTION, "timeout_reached": True}})
    return task_id


async def get(service: Service, task_id: str, query: str = "", key: str = "") -> ClientResponse:
    headers = {"X-API-Key": key} if key else {}
    return await service.client.get(f"/task/{task_id}/evidence{query}", headers=headers)


async def test_all_of_it_is_one_json_object(service: Service) -> None:
    task_id = await left_by_a_task(service)
    response = await get(service, task_id)
    assert response.status == 200
    assert await response.json() == {
        "url": "http://site.test/in",
        "html": HTML,
        "jpeg": base64.b64encode(JPEG).decode(),
        "at": 1.5,
    }


@pytest.mark.parametrize(
    ("query", "kind", "body"),
    [
        ("?part=html", "text/plain; charset=utf-8", HTML.encode()),
        ("?part=jpeg", "image/jpeg", JPEG),
        ("", "application/json; charset=utf-8", None),
    ],
)
async def test_a_browser_that_opens_it_runs_and_loads_nothing(
    service: Service, query: str, kind: str, body: bytes | None
) -> None:
    response = await get(service, await left_by_a_task(service), query)
    assert response.headers["Content-Type"] == kind
    assert response.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert response.headers["Cache-Control"] == "no-store"
    assert body is None or await response.read() == body


async def test_large_evidence_arrives_whole(service: Service) -> None:
    html = "<p>\N{SNOWMAN} long</p>\n" * 100_000
    task_id = await left_by_a_task(service, html=html, jpeg=JPEG * 50_000)
    assert (await (await get(service, task_id)).json())["html"] == html
    assert await (await get(service, task_id, "?part=html")).text() == html
    assert await (await get(service, task_id, "?part=jpeg")).read() == JPEG * 50_000


async def test_a_part_that_could_not_be_had_is_none(service: Service) -> None:
    task_id = await left_by_a_task(service, html=None)
    assert (await (await get(service, task_id)).json())["html"] is None
    response = await get(service, task_id, "?part=html")
    assert response.status == 404
    assert (await error_of(response))["code"] == "no_evidence"
    assert (await get(service, task_id, "?part=jpeg")).status == 200


@pytest.mark.parametrize("query", ["?part=", "?part=png", "?part=HTML"])
async def test_an_unknown_part_is_refused(service: Service, query: str) -> None:
    response = await get(service, await left_by_a_task(service), query)
    assert response.status == 400
    assert (await error_of(response))["fields"][0]["field"] == "part"


async def test_a_task_without_any_and_no_task_at_all_are_answered_alike(service: Service) -> None:
    task_id = await service.running()
    answers = []
    for asked in (task_id, "unknown"):
        response = await get(service, asked)
        assert response.status == 404
        answers.append(await response.text())
    assert len(set(answers)) == 1
    assert "--keep-evidence" in answers[0]


async def test_another_key_gets_none_and_deletes_none(make_service: MakeService) -> None:
    service = await make_service(keep_evidence=5, api_key=KEYS)
    task_id = await left_by_a_task(service, owner="key 0")
    assert (await get(service, task_id)).status == 401
    other = await get(service, task_id, key=KEYS[1])
    nothing = await get(service, "unknown", key=KEYS[1])
    assert (other.status, await other.text()) == (404, await nothing.text())
    deleting = await service.client.delete(f"/task/{task_id}", headers={"X-API-Key": KEYS[1]})
    assert deleting.status == 404
    assert (await get(service, task_id, key=KEYS[0])).status == 200


async def test_it_is_deleted_with_its_task(service: Service) -> None:
    task_id = await left_by_a_task(service)
    assert (await service.client.delete(f"/task/{task_id}")).status == 200
    assert (await get(service, task_id)).status == 404
    assert service.history.evidence.bytes == 0
    assert (await service.client.delete(f"/task/{task_id}")).status == 404


async def test_it_can_be_read_and_deleted_where_the_result_was_taken_away(service: Service) -> None:
    task_id = await left_by_a_task(service)
    await service.queue.remove(task_id)  # as /v1 and /fetch do with the tasks that are theirs
    assert (await get(service, task_id)).status == 200
    assert (await service.client.delete(f"/task/{task_id}")).status == 200
    assert (await get(service, task_id)).status == 404
