"""What is no proper HTTP for a route is refused with the right status, in JSON."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from unittest.mock import AsyncMock

import pytest

from captcha_bypass.api.application import MAX_BODY_BYTES
from captcha_bypass.tasks.base import Stats
from tests.support.native_service import JSON, Service, error_of
from tests.support.native_tasks import BASE


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
async def test_body_over_the_limit_is_413(service: Service, chunked: bool) -> None:
    body = json.dumps(BASE | {"success_selector": "x" * MAX_BODY_BYTES}).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    data = pieces() if chunked else body
    response = await service.client.post("/solve", data=data, headers=JSON)
    assert response.status == 413
    assert (await error_of(response))["code"] == "body_too_large"
    assert await service.queue.stats() == Stats(queued=0, running=0, slots=1)


async def test_body_of_ordinary_extremes_fits(service: Service) -> None:
    cookie = {"name": "n" * 20, "value": "v" * 500, "domain": "site.test", "path": "/"}
    await service.solve(cookies=[cookie] * 300)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/xml",
        "nonsense",
    ],
)
async def test_body_not_declared_as_json_is_415(service: Service, content_type: str | None) -> None:
    response = await service.client.post(
        "/solve",
        data=json.dumps(BASE).encode(),
        headers={} if content_type is None else {"Content-Type": content_type},
        skip_auto_headers=["Content-Type"],
    )
    assert response.status == 415
    assert (await error_of(response))["code"] == "unsupported_media_type"
    assert await service.queue.stats() == Stats(queued=0, running=0, slots=1)


@pytest.mark.parametrize(
    "path",
    ["/index", "/nope", "/solve/", "/result", "/result/", "/result/a/b", "/task", "/v0/solve"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_unknown_route_is_a_json_404(service: Service, method: str, path: str) -> None:
    response = await service.client.request(method, path)
    assert response.status == 404
    assert (await error_of(response))["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/solve", {"POST"}),
        ("PUT", "/solve", {"POST"}),
        ("OPTIONS", "/solve", {"POST"}),
        ("POST", "/result/x", {"GET"}),
        ("DELETE", "/result/x", {"GET"}),
        ("GET", "/task/x", {"DELETE"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("POST", "/openapi.json", {"GET"}),
        ("TRACE", "/health", {"GET", "HEAD"}),
    ],
)
async def test_wrong_method_is_a_json_405_that_names_the_right_ones(
    service: Service, method: str, path: str, allowed: set[str]
) -> None:
    response = await service.client.request(method, path)
    assert response.status == 405
    assert set(response.headers["Allow"].split(", ")) == allowed
    error = await error_of(response)
    assert error["code"] == "method_not_allowed"
    assert all(name in error["message"] for name in allowed)


async def test_unexpected_exception_is_a_500_that_tells_the_log_and_not_the_client(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = AsyncMock(side_effect=RuntimeError("inner workings"))
    monkeypatch.setattr(service.queue, "stats", broken)
    response = await service.client.get("/health")
    assert response.status == 500
    assert (await error_of(response))["code"] == "internal_error"
    body = await response.text()
    assert "inner workings" not in body
    assert "Traceback" not in body
    assert "inner workings" in caplog.text
    monkeypatch.undo()
    assert (await service.client.get("/health")).status == 200


async def test_body_that_does_not_decompress_is_refused(service: Service) -> None:
    headers = JSON | {"Content-Encoding": "gzip"}
    response = await service.client.post("/solve", data=b"not gzip at all", headers=headers)
    assert response.status == 400
    error = await error_of(response)
    assert error["code"] == "invalid_request"
    assert [field["field"] for field in error["fields"]] == ["body"]


async def test_small_body_that_decompresses_to_a_large_one_is_413(service: Service) -> None:
    body = gzip.compress(json.dumps(BASE | {"success_text": "x" * 50_000_000}).encode())
    headers = JSON | {"Content-Encoding": "gzip"}
    response = await service.client.post("/solve", data=body, headers=headers)
    assert response.status == 413
    assert (await error_of(response))["code"] == "body_too_large"


async def test_compressed_body_is_read(service: Service) -> None:
    headers = JSON | {"Content-Encoding": "gzip"}
    body = gzip.compress(json.dumps(BASE).encode())
    assert (await service.client.post("/solve", data=body, headers=headers)).status == 202
