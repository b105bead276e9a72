"""The HTTP contract over a real server and a real queue; only the browser's outcome is scripted."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from unittest.mock import AsyncMock
from uuid import UUID

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import ValidationError

from captcha_bypass import __version__
from captcha_bypass.api.application import MAX_BODY_BYTES, application
from captcha_bypass.browsers.sessions import Sessions
from captcha_bypass.config import Config
from captcha_bypass.metrics import Metrics
from captcha_bypass.status import Browsers, Egress, Readiness, StatusBoard
from captcha_bypass.tasks.base import Record, Stats
from captcha_bypass.tasks.memory import MemoryQueue
from captcha_bypass.wire.models import SolveRequest, Task
from tests.support.native_tasks import BASE, RESULT_COOKIES, SOLUTION
from tests.support.scripted_queue import FOR_EVER, Script, until
from tests.support.status import ToldBrowsers

JSON = {"Content-Type": "application/json"}
CANARY = "CANARY-d41d8cd9"


class WatchedQueue(MemoryQueue):
    """Tells how many requests are held until their task ends."""

    held = 0

    async def wait(self, task_id: str, seconds: float) -> Record | None:
        self.held += 1
        try:
            return await super().wait(task_id, seconds)
        finally:
            self.held -= 1


@dataclass
class Service:
    client: TestClient[web.Request, web.Application]
    queue: WatchedQueue
    script: Script
    browsers: ToldBrowsers

    async def solve(self, **fields: object) -> str:
        """Submit a good request and return the task's id."""
        response = await self.client.post("/solve", json=BASE | fields)
        assert response.status == 202, await response.text()
        task_id: str = (await response.json())["task_id"]
        return task_id

    async def running(self, **fields: object) -> str:
        """Submit a good request and wait until a worker has it."""
        task_id = await self.solve(**fields)
        await until(lambda: task_id in self.script.running)
        return task_id

    async def view(self, task_id: str, query: str = "") -> dict[str, Any]:
        response = await self.client.get(f"/result/{task_id}{query}")
        answer: dict[str, Any] = await response.json()
        return answer

    async def end(self, task_id: str, outcome: dict[str, Any] | None = None) -> None:
        self.script.end(task_id, outcome or {"data": SOLUTION})
        async with asyncio.timeout(10):
            await self.queue.wait(task_id, FOR_EVER)


MakeService = Callable[..., Awaitable[Service]]


@pytest.fixture
async def make_service() -> AsyncIterator[MakeService]:
    async with AsyncExitStack() as stack:

        async def make(*, warning: str | None = None, **settings: Any) -> Service:  # noqa: ANN401
            config = Config(**{"workers": 1, "max_timeout": 300.0, **settings})
            queue = WatchedQueue(
                max_pending=config.max_queue,
                result_ttl=config.result_ttl,
                max_results_bytes=config.max_results_bytes,
            )
            script = Script()
            browsers = ToldBrowsers(
                Readiness(browser="firefox 140.0", warning=warning),
                Browsers(tasks=[3], starting=0, restarts={"tasks": 2}),
            )
            board = StatusBoard(queue, browsers, Egress(bytes_received=7, connections=1))
            sessions = Sessions(most=1, ttl=1.0)
            app = application(config, queue, sessions, board, Metrics())
            await queue.start(script, config.workers)
            stack.push_async_callback(queue.stop, 0)
            server = TestServer(app, handler_cancellation=True)
            client = await stack.enter_async_context(TestClient(server))
            return Service(client, queue, script, browsers)

        yield make


@pytest.fixture
async def service(make_service: MakeService) -> Service:
    return await make_service()


async def error_of(response: ClientResponse) -> dict[str, Any]:
    """Check that an answer is an error of the contract's shape and return its error object."""
    assert response.content_type == "application/json"
    body = await response.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    keys = {"code", "message"} | ({"fields"} if error["code"] == "invalid_request" else set())
    assert set(error) == keys
    assert error["message"]
    for field in error.get("fields", []):
        assert set(field) == {"field", "message"}
        assert field["message"]
    return error


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
    assert await response.json() == {
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
            "screenshot": None,
            "elapsed": 1.5,
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


async def waiting(service: Service, task_id: str) -> asyncio.Task[ClientResponse]:
    """Begin a long-poll, and return once the service holds it."""
    held = service.queue.held
    poll = asyncio.create_task(service.client.get(f"/result/{task_id}?wait=30"))
    await until(lambda: service.queue.held == held + 1)
    return poll


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
        "browser": "firefox 140.0",
        "version": __version__,
        "browsers": {"tasks": [3], "starting": 0, "restarts": {"tasks": 2}},
        "egress": {"bytes_sent": 0, "bytes_received": 7, "connections": 1, "failures": {}},
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


# Refused as HTTP


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


# Refused as a request


def but(**fields: object) -> dict[str, Any]:
    """The good request with some fields changed."""
    return BASE | fields


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in BASE.items() if name not in names}


def raw(text: str) -> bytes:
    """The good request as text, with a timeout that json.dumps would not write."""
    return b'{"url":"http://site.test/","success_text":"x","timeout":' + text.encode() + b"}"


def cookie(**fields: object) -> dict[str, Any]:
    return but(cookies=[{"name": "a", "value": "b", **fields}])


def proxy(**fields: object) -> dict[str, Any]:
    return but(proxy={"server": "http://proxy.test:3128", **fields})


def header(name: str, value: object = "x") -> dict[str, Any]:
    return but(headers={name: value})


BAD_URLS = {
    "empty": "",
    "no scheme": "site.test/page",
    "relative": "/page",
    "scheme only": "http://",
    "no host": "http:///page",
    "no slashes": "http:site.test",
    "one slash": "http:/site.test",
    "backslashes": "http:\\\\site.test",
    "query for a host": "http://?x",
    "password that no parser likes": f"http://user:{CANARY}\u2100@site.test/",
    "host that no parser likes": "http://site\u2100.test/",
    "ftp": "ftp://site.test/",
    "file": "file:///etc/passwd",
    "about": "about:blank",
    "about:config": "about:config",
    "javascript": "javascript:alert(1)",
    "data": "data:text/html,x",
    "view-source": "view-source:http://site.test/",
    "ws": "ws://site.test/",
    "user and password": f"http://user:{CANARY}@site.test/",
    "password only": f"http://:{CANARY}@site.test/",
    "user only": "http://user@site.test/",
    "nobody": "http://@site.test/",
    "password after one slash": f"http:/user:{CANARY}@site.test/",
    "password after backslashes": f"http:\\\\user:{CANARY}@site.test/",
    "2049 characters": "http://site.test/" + "x" * (2049 - 17),
    "space in the host": "http://si te.test/",
    "space in the path": "http://site.test/a b",
    "leading space": " http://site.test/",
    "trailing newline": "http://site.test/\n",
    "newline inside": "http://site.test/\r\nX-Injected: 1",
    "tab": "http://site.test/\t",
    "NUL": "http://site.test/\x00",
    "port too large": "http://site.test:65536/",
    "port not a number": "http://site.test:http/",
    "negative port": "http://site.test:-1/",
    "open IPv6 bracket": "http://[::1/",
    "bad IPv6": "http://[::g]/",
    "IPv4 part too large": "http://256.1.1.1/",
    "bad percent in the host": "http://si%te.test/",
    "angle brackets in the host": "http://<site>.test/",
}
BAD_PROXIES = {
    "a word": "proxy",
    "no scheme": "proxy.test:3128",
    "ftp": "ftp://proxy.test:21",
    "socks4": "socks4://proxy.test:1080",
    "no port, http": "http://proxy.test",
    "no port, https": "https://proxy.test/",
    "no port, socks5": "socks5://proxy.test",
    "empty port": "http://proxy.test:",
    "port 0": "http://proxy.test:0",
    "port too large": "http://proxy.test:70000",
    "path": "http://proxy.test:3128/path",
    "query": "http://proxy.test:3128?x=1",
    "fragment": "http://proxy.test:3128#x",
    "userinfo": f"http://user:{CANARY}@proxy.test:3128",
    "user": "http://user@proxy.test:3128",
    "no host": "http://:3128",
    "newline": "http://proxy.test:3128\n",
    "empty": "",
}
REFUSED: dict[str, tuple[object, list[str]]] = {
    "missing url": (without("url"), ["url"]),
    "missing timeout": (without("timeout"), ["timeout"]),
    "missing url and timeout": (without("url", "timeout"), ["url", "timeout"]),
    "missing condition": (without("success_text"), ["success_text"]),
    "null conditions": (
        but(success_text=None, success_selector=None, no_challenge=None),
        ["success_text"],
    ),
    "no_challenge false alone": (but(success_text=None, no_challenge=False), ["success_text"]),
    "empty object": ({}, ["url", "timeout"]),
    "unknown field": (but(sucess_text="x"), ["sucess_text"]),
    "field in other case": (but(URL="http://site.test/"), ["URL"]),
    "several at once": (
        but(url="ftp://site.test/", timeout=0, block="image", xyz=1),
        ["url", "timeout", "block", "xyz"],
    ),
    **{f"url: {name}": (but(url=url), ["url"]) for name, url in BAD_URLS.items()},
    "url: null": (but(url=None), ["url"]),
    "url: number": (but(url=5), ["url"]),
    "url: list": (but(url=["http://site.test/"]), ["url"]),
    "timeout: 0": (but(timeout=0), ["timeout"]),
    "timeout: negative": (but(timeout=-1), ["timeout"]),
    "timeout: text": (but(timeout="10"), ["timeout"]),
    "timeout: true": (but(timeout=True), ["timeout"]),
    "timeout: null": (but(timeout=None), ["timeout"]),
    "timeout: list": (but(timeout=[10]), ["timeout"]),
    "timeout: NaN": (raw("NaN"), ["timeout"]),
    "timeout: Infinity": (raw("Infinity"), ["timeout"]),
    "timeout: -Infinity": (raw("-Infinity"), ["timeout"]),
    "timeout: 1e9": (raw("1e9"), ["timeout"]),
    "timeout: 1e999": (raw("1e999"), ["timeout"]),
    "timeout: 400 digits": (raw("9" * 400), ["timeout"]),
    "timeout: just over the maximum": (but(timeout=300.001), ["timeout"]),
    "success_text: empty": (but(success_text=""), ["success_text"]),
    "success_text: blank": (but(success_text=" \t\n"), ["success_text"]),
    "success_text: no-break spaces": (but(success_text="\u00a0\u3000"), ["success_text"]),
    "success_text: zero width": (but(success_text="\u200b\u2060\ufeff"), ["success_text"]),
    "success_text: number": (but(success_text=5), ["success_text"]),
    "success_text: list": (but(success_text=["Welcome"]), ["success_text"]),
    "success_text: too long": (but(success_text="x" * 4097), ["success_text"]),
    "success_selector: empty": (but(success_selector=""), ["success_selector"]),
    "success_selector: number": (but(success_selector=5), ["success_selector"]),
    "no_challenge: text": (but(no_challenge="yes"), ["no_challenge"]),
    "no_challenge: number": (but(no_challenge=1), ["no_challenge"]),
    "proxy: string": (but(proxy="http://proxy.test:3128"), ["proxy"]),
    "proxy: empty object": (but(proxy={}), ["proxy.server"]),
    "proxy: no server": (but(proxy={"username": "u", "password": CANARY}), ["proxy.server"]),
    "proxy: unknown field": (proxy(bypass="*"), ["proxy.bypass"]),
    **{
        f"proxy server: {name}": (proxy(server=server, password=None), ["proxy.server"])
        for name, server in BAD_PROXIES.items()
    },
    "proxy: null server": (proxy(server=None), ["proxy.server"]),
    "proxy: socks5 username beyond ASCII": (
        proxy(server="socks5://proxy.test:1080", username="\u00fc", password=CANARY),
        ["proxy.username"],
    ),
    "proxy: socks5 username of 256 bytes": (
        proxy(server="socks5://proxy.test:1080", username="u" * 256, password=CANARY),
        ["proxy.username"],
    ),
    "proxy: socks5 empty password": (
        proxy(server="socks5://proxy.test:1080", username="u", password=""),
        ["proxy.password"],
    ),
    "proxy: socks5 password of 256 bytes": (
        proxy(server="socks5://proxy.test:1080", username="u", password="x" * 256),
        ["proxy.password"],
    ),
    "proxy: password without username": (proxy(password=CANARY), ["proxy.password"]),
    "proxy: empty username": (proxy(username="", password=CANARY), ["proxy.username"]),
    "proxy: number as password": (proxy(username="u", password=5), ["proxy.password"]),
    "cookies: object": (but(cookies={"a": "b"}), ["cookies"]),
    "cookies: text": (but(cookies="a=b"), ["cookies"]),
    "cookies: null": (but(cookies=None), ["cookies"]),
    "cookies: 3001": (but(cookies=[{"name": "a", "value": "b"}] * 3001), ["cookies"]),
    "cookies: text inside": (but(cookies=["a=b"]), ["cookies.0"]),
    "cookie: no name": (but(cookies=[{"value": CANARY}]), ["cookies.0.name"]),
    "cookie: no value": (but(cookies=[{"name": "a"}]), ["cookies.0.value"]),
    "cookie: the second": (
        but(cookies=[{"name": "a", "value": "b"}, {"name": "a"}]),
        ["cookies.1.value"],
    ),
    "cookie: unknown field": (cookie(maxAge=5), ["cookies.0.maxAge"]),
    "cookie: empty name": (cookie(name=""), ["cookies.0.name"]),
    "cookie: name that begins with a blank": (cookie(name=" a"), ["cookies.0.name"]),
    "cookie: name with equals": (cookie(name="a=b"), ["cookies.0.name"]),
    "cookie: name with semicolon": (cookie(name="a;b"), ["cookies.0.name"]),
    "cookie: name with newline": (cookie(name="a\n"), ["cookies.0.name"]),
    "cookie: value with semicolon": (cookie(value=f"{CANARY}; x=1"), ["cookies.0.value"]),
    "cookie: value with newline": (cookie(value=f"{CANARY}\r\nSet: x"), ["cookies.0.value"]),
    "cookie: value with NUL": (cookie(value=f"{CANARY}\x00"), ["cookies.0.value"]),
    "cookie: value a number": (cookie(value=5), ["cookies.0.value"]),
    "cookie: value too long": (cookie(value=CANARY + "x" * 4096), ["cookies.0.value"]),
    "cookie: url and domain": (cookie(url="http://a.test/", domain="a.test"), ["cookies.0.domain"]),
    "cookie: bad url": (cookie(url="ftp://a.test/"), ["cookies.0.url"]),
    "cookie: url with password": (cookie(url=f"http://u:{CANARY}@a.test/"), ["cookies.0.url"]),
    "cookie: domain with scheme": (cookie(domain="http://a.test"), ["cookies.0.domain"]),
    "cookie: domain with port": (cookie(domain="a.test:80"), ["cookies.0.domain"]),
    "cookie: empty domain": (cookie(domain=""), ["cookies.0.domain"]),
    "cookie: bad sameSite": (cookie(sameSite="lax"), ["cookies.0.sameSite"]),
    "cookie: relative path": (cookie(domain="a.test", path="app"), ["cookies.0.path"]),
    "cookie: path with semicolon": (cookie(domain="a.test", path="/;x"), ["cookies.0.path"]),
    "cookie: expires text": (cookie(expires="tomorrow"), ["cookies.0.expires"]),
    "cookie: expires too far": (cookie(expires=1e18), ["cookies.0.expires"]),
    "cookie: expires before -1": (cookie(expires=-2), ["cookies.0.expires"]),
    "cookie: httpOnly text": (cookie(httpOnly="true"), ["cookies.0.httpOnly"]),
    "headers: list": (but(headers=["X-A: b"]), ["headers"]),
    "headers: null": (but(headers=None), ["headers"]),
    "headers: 51": (but(headers={f"X-{n}": "v" for n in range(51)}), ["headers"]),
    **{
        f"header: {name}": (header(name, CANARY), [f"headers.{name}"])
        for name in (
            *("Cookie", "cookie", "COOKIE", "host", "Host", "User-Agent", "USER-AGENT"),
            *("Content-Length", "content-LENGTH", "Transfer-Encoding", "Connection"),
            *("Proxy-Authorization", "X A", "X:A", "X\nA", "X\u00c4"),
        )
    },
    "header: empty name": (header(""), ["headers."]),
    "header: newline in the value": (header("X-A", f"{CANARY}\r\nB: c"), ["headers.X-A"]),
    "header: NUL in the value": (header("X-A", f"{CANARY}\x00"), ["headers.X-A"]),
    "header: number": (header("X-A", 5), ["headers.X-A"]),
    "header: null": (header("X-A", None), ["headers.X-A"]),
    "header: list": (header("X-A", ["a"]), ["headers.X-A"]),
    "header: value too long": (header("X-A", CANARY + "x" * 8192), ["headers.X-A"]),
    "screenshot: text": (but(screenshot="yes"), ["screenshot"]),
    "screenshot: null": (but(screenshot=None), ["screenshot"]),
    "block: text": (but(block="image"), ["block"]),
    "block: unknown type": (but(block=["image", "script"]), ["block.1"]),
    "block: object": (but(block={"image": True}), ["block"]),
    "body: array": ([BASE], ["body"]),
    "body: string": ("x", ["body"]),
    "body: number": (5, ["body"]),
    "body: null": (None, ["body"]),
    "body: empty": (b"", ["body"]),
    "body: blank": (b" \n", ["body"]),
    "body: truncated": (json.dumps(but(cookies=[{"value": CANARY}])).encode()[:-3], ["body"]),
    "body: trailing text": (json.dumps(BASE).encode() + b"x", ["body"]),
    "body: single quotes": (b"{'url': 'http://site.test/'}", ["body"]),
    "body: form": (b"url=http://site.test/&timeout=5", ["body"]),
    "body: invalid UTF-8": (b'{"url": "http://site.test/\xff", "timeout": 5}', ["body"]),
    "body: UTF-16": (json.dumps(BASE).encode("utf-16"), ["body"]),
    "body: lone surrogate": (b'{"url": "http://site.test/", "success_text": "\\ud800"}', ["body"]),
    "body: deeply nested": (b'{"cookies":' + b"[" * 100_000, ["body"]),
    "body: deeply nested and closed": (b"[" * 10_000 + b"]" * 10_000, ["body"]),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
async def test_malformed_request_is_refused_by_field_name_and_queues_nothing(
    service: Service, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    caplog.set_level(logging.DEBUG)
    body, fields = REFUSED[case]
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = await service.client.post("/solve", data=data, headers=JSON)
    assert response.status == 400, await response.text()
    error = await error_of(response)
    assert error["code"] == "invalid_request"
    assert [field["field"] for field in error["fields"]] == fields
    assert await service.queue.stats() == Stats(queued=0, running=0, slots=1)
    assert service.script.started == []
    # Neither the answer nor the log repeats a value.
    assert CANARY not in await response.text()
    assert CANARY not in caplog.text


async def test_timeout_is_bounded_by_the_setting_whose_name_the_answer_gives(
    make_service: MakeService,
) -> None:
    service = await make_service(max_timeout=2.5)
    response = await service.client.post("/solve", json=but(timeout=3))
    error = await error_of(response)
    assert error["fields"][0]["field"] == "timeout"
    assert "2.5" in error["fields"][0]["message"]
    assert "--max-timeout" in error["fields"][0]["message"]
    await service.solve(timeout=2.5)


# Accepted

ACCEPTED: dict[str, dict[str, Any]] = {
    "success_text alone": BASE,
    "success_selector alone": but(success_text=None, success_selector="#ok > a[href]"),
    "no_challenge alone": without("success_text") | {"no_challenge": True},
    "all three conditions": but(success_selector="#ok", no_challenge=True),
    "text with white space and zero-width characters": but(success_text=" a\u200bb\n c "),
    "every field": {
        "url": "https://site.test:8443/a?b=c&d=%20#e",
        "success_text": "Willkommen \u2603",
        "success_selector": "#ok",
        "no_challenge": True,
        "timeout": 0.5,
        "proxy": {"server": "http://proxy.test:3128", "username": "u", "password": CANARY},
        "cookies": [
            {"name": "a", "value": "b"},
            {"name": "c", "value": "d", "url": "https://other.test/x"},
            {"name": "e", "value": "f", "domain": ".site.test", "path": "/x", "expires": 2e9},
            {"name": "g", "value": "h", "httpOnly": True, "secure": True, "sameSite": "Strict"},
            {"name": "i", "value": "j", "secure": False, "partitionKey": "https://top.test"},
        ],
        "headers": {"Accept-Language": "de", "X-A": "b\tc", "Authorization": "Basic eA=="},
        "screenshot": True,
        "block": ["image", "media", "font", "stylesheet"],
    },
    "optional fields null": but(proxy=None, success_selector=None, no_challenge=None),
    "empty lists": but(cookies=[], headers={}, block=[]),
    "a result's cookies": but(cookies=SOLUTION["cookies"]),
    "300 cookies": but(cookies=[{"name": f"n{n}", "value": "v"} for n in range(300)]),
    "50 headers": but(headers={f"X-{n}": "v" for n in range(50)}),
    "largest timeout": but(timeout=300),
    "url of 2048 characters": but(url="http://site.test/" + "x" * (2048 - 17)),
    "unicode in path and query": but(url="http://site.test/\u00e4/\u2603?\u00f6=\u00df#\u00e9"),
    "international domain": but(url="http://b\u00fccher.test/"),
    "IPv4 host": but(url="http://127.0.0.1:8000/"),
    "IPv6 host": but(url="http://[::1]:8000/x"),
    "IPv6 proxy": proxy(server="socks5://[::1]:1080"),
    "at-sign in path and query": but(url="http://site.test/@user?mail=a:b@c.test"),
    "upper-case scheme": but(url="HTTP://SITE.TEST/Path"),
    "default port": but(url="https://site.test:443/"),
    **{
        f"{scheme} proxy": proxy(server=f"{scheme}://proxy.test:8080")
        for scheme in ("http", "https", "socks5")
    },
    "socks5 proxy with credentials": proxy(
        server="socks5://proxy.test:1080", username="u" * 255, password=CANARY.ljust(255, "x")
    ),
    "proxy on its scheme's own port": proxy(server="http://proxy.test:80"),
    "proxy with a slash": proxy(server="http://proxy.test:8080/"),
    "proxy user without password": proxy(username="u"),
    "proxy with special characters": proxy(username="u:@/ \u00fc", password=f"{CANARY}:@/ \u2603"),
}


@pytest.mark.parametrize("case", ACCEPTED, ids=str)
async def test_good_request_is_accepted_and_reaches_the_worker_whole(
    service: Service, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    caplog.set_level(logging.DEBUG)
    body = ACCEPTED[case]
    task_id = await service.running(**dict.fromkeys(BASE, None) | body)
    # What the worker makes of the queue's dict is what the client asked for.
    asked = SolveRequest.model_validate_json(json.dumps(body))
    payload = json.loads(json.dumps(service.script.payloads[task_id]))
    assert SolveRequest.model_validate(payload) == asked
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "APPLICATION/JSON", 'application/json;charset="UTF-8"'],
)
async def test_json_may_be_declared_with_parameters_and_in_any_case(
    service: Service, content_type: str
) -> None:
    response = await service.client.post(
        "/solve", data=json.dumps(BASE).encode(), headers={"Content-Type": content_type}
    )
    assert response.status == 202


async def test_of_a_key_given_twice_the_last_counts(service: Service) -> None:
    body = b'{"url": "ftp://a.test/", "url": "http://b.test/", "no_challenge": true, "timeout": 1}'
    response = await service.client.post("/solve", data=body, headers=JSON)
    assert response.status == 202
    await until(lambda: len(service.script.started) == 1)
    assert service.script.payloads[service.script.started[0]]["url"] == "http://b.test/"


async def test_secrets_reach_the_worker_and_no_answer_and_no_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets: dict[str, Any] = {
        "proxy": {"server": "http://proxy.test:3128", "username": "u", "password": CANARY},
        "cookies": [{"name": "session", "value": CANARY}],
        "headers": {"Authorization": f"Bearer {CANARY}"},
    }
    task_id = await service.running(**secrets)
    assert json.dumps(service.script.payloads[task_id]).count(CANARY) == 3
    pending = await service.solve(**secrets)
    texts = [
        await (await service.client.get(path)).text()
        for path in (f"/result/{task_id}", f"/result/{pending}", "/health")
    ]
    texts.append(await (await service.client.delete(f"/task/{pending}")).text())
    assert CANARY not in "".join(texts)
    assert CANARY not in caplog.text


async def test_request_shows_no_secret_in_its_repr() -> None:
    request = SolveRequest.model_validate(ACCEPTED["every field"])
    assert CANARY not in repr(request)


@pytest.mark.parametrize(
    "case", [name for name, (body, _) in REFUSED.items() if CANARY in str(body)], ids=str
)
def test_validation_error_that_a_log_may_hold_shows_no_value(case: str) -> None:
    body, _ = REFUSED[case]
    with pytest.raises(ValidationError) as caught:
        SolveRequest.model_validate_json(body if isinstance(body, bytes) else json.dumps(body))
    assert CANARY not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("path", ["\u00fc" * 1000, "x" * (2048 - 17)])
def test_url_that_encoding_lengthens_passes_the_worker_as_it_passed_the_api(path: str) -> None:
    request = SolveRequest(url="http://site.test/" + path, no_challenge=True, timeout=1)
    again = Task.model_validate(Task.of(request, "").to_payload())
    assert again.url == request.url
