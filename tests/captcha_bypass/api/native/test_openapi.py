"""The description of the API is complete, and the service keeps to it whatever is sent."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any, get_args
from urllib.request import urlopen

import pytest
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks
from schemathesis.specs.openapi.schemas import OpenApiSchema

from captcha_bypass import __version__, errors
from captcha_bypass.api.application import application
from captcha_bypass.api.fetch import FetchApi
from captcha_bypass.api.fetch_places import FetchPlaces
from captcha_bypass.api.metrics import MetricsApi
from captcha_bypass.api.native.evidence import EvidenceApi
from captcha_bypass.api.native.openapi import document
from captcha_bypass.api.native.routes import NativeApi
from captcha_bypass.api.native.waiting import MAX_WAIT
from captcha_bypass.browsers.sessions import Sessions
from captcha_bypass.config import Config
from captcha_bypass.errors import RequestError, RequestErrorCode, TaskErrorCode
from captcha_bypass.history import Evidence, EvidenceStore, History
from captcha_bypass.metrics import Metrics
from captcha_bypass.nodes.sessions import NodeSessions
from captcha_bypass.sharing.clearances import Clearances
from captcha_bypass.status import Browsers, Egress, Readiness, StatusBoard
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.tasks.memory import MemoryQueue
from captcha_bypass.wire import fields, models
from tests.support.fetching import FineFetches
from tests.support.native_tasks import SOLUTION
from tests.support.status import ToldBrowsers

#: Tasks that the service knows, so that generated requests also meet results.
COMPLETED, FAILED = "0" * 8, "1" * 8


async def handler(task_id: str, payload: JsonDict) -> JsonDict:
    """Ends at once: this is about HTTP."""
    if task_id == FAILED:
        return {"error": {"code": "dns_error", "message": "no such host"}}
    return {"data": SOLUTION}


async def serve(ready: threading.Event, found: dict[str, Any]) -> None:
    queue = MemoryQueue(max_pending=100_000, result_ttl=600, max_results_bytes=2**28)
    config = Config(workers=4)
    browsers = ToldBrowsers(Readiness(browser="firefox 140.0"), Browsers([3], 0, {"tasks": 2}))
    board = StatusBoard(queue, browsers, Egress())
    history = History(EvidenceStore(most=1, max_bytes=10_000, seconds=600))
    history.keep(FAILED, Evidence("", "http://site.test/", b"<p>", b"jpeg", at=1.0))
    sessions = Sessions(most=1, ttl=1.0)
    app = application(
        config, queue, NodeSessions(sessions), board, Metrics(), FineFetches(), history
    )
    await queue.start(handler, 4)
    for task_id in (COMPLETED, FAILED):
        await queue.submit(task_id, {}, 5)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stop = asyncio.Event()
        found.update(
            port=runner.addresses[0][1], stop=stop, loop=asyncio.get_running_loop(), app=app
        )
        ready.set()
        await stop.wait()
        await queue.stop(0)
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """A running service, in a thread: schemathesis calls without an event loop."""
    ready, found = threading.Event(), dict[str, Any]()
    thread = threading.Thread(target=lambda: asyncio.run(serve(ready, found)))
    thread.start()
    assert ready.wait(10)
    yield f"http://127.0.0.1:{found['port']}"
    found["loop"].call_soon_threadsafe(found["stop"].set)
    thread.join(10)
    assert not thread.is_alive()


# 413 as well: what breaks the rules may also be too large, which schemathesis does not think of.
_REFUSED = [
    "400",
    "401",
    "403",
    "404",
    "405",
    "406",
    "409",
    "413",
    "415",
    "422",
    "428",
    "429",
    "5xx",
]
_RULES = {"checks": {"negative_data_rejection": {"expected-statuses": _REFUSED}}}


@pytest.fixture
def described(request: pytest.FixtureRequest) -> OpenApiSchema:
    """What /openapi.json serves; another test proves it."""
    # Schemathesis has it say which operation is tested; of pytest 9.2 on it has another name.
    request.node._nodeid = request.node.nodeid
    rules = schemathesis.Config.from_dict(_RULES)
    return schemathesis.openapi.from_dict(document(), config=rules)


# Its requests are made when the test is run: each worker collects it, and one runs it. It has the time
# of a test for each of the operations.
@pytest.mark.timeout(600)
@schemathesis.pytest.from_fixture("described").parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_to_any_request_keep_to_the_description(
    base_url: str, case: schemathesis.Case[Any]
) -> None:
    case.call_and_validate(
        base_url=base_url,
        checks=[
            checks.not_a_server_error,
            openapi_checks.status_code_conformance,
            openapi_checks.content_type_conformance,
            openapi_checks.response_headers_conformance,
            openapi_checks.response_schema_conformance,
            openapi_checks.negative_data_rejection,
            openapi_checks.unsupported_method,
        ],
    )


@pytest.mark.parametrize(
    ("method", "path", "parameters"),
    [
        ("GET", "/task/{task_id}/evidence", {"task_id": FAILED}),
        ("GET", "/task/{task_id}/evidence", {"task_id": "unknown"}),
        ("GET", "/result/{task_id}", {"task_id": COMPLETED}),
        ("GET", "/result/{task_id}", {"task_id": FAILED}),
        ("GET", "/result/{task_id}", {"task_id": "unknown"}),
        ("DELETE", "/task/{task_id}", {"task_id": "unknown"}),
    ],
)
def test_answers_about_known_tasks_keep_to_the_description(
    base_url: str,
    described: OpenApiSchema,
    method: str,
    path: str,
    parameters: dict[str, str],
) -> None:
    case = described[path][method].Case(path_parameters=parameters)
    response = case.call(base_url=base_url)
    case.validate_response(response, checks=[openapi_checks.response_schema_conformance])
    assert response.status_code == (404 if parameters["task_id"] == "unknown" else 200)


def test_description_is_served(base_url: str) -> None:
    with urlopen(f"{base_url}/openapi.json") as response:  # noqa: S310 - our own server
        assert response.status == 200
        assert response.headers.get_content_type() == "application/json"
        assert json.load(response) == document()


def test_description_names_the_version_of_the_service() -> None:
    assert document()["info"]["version"] == __version__
    assert document()["openapi"].startswith("3.1")


def test_every_route_is_described() -> None:
    queue = MemoryQueue(max_pending=1, result_ttl=1, max_results_bytes=1)
    board = StatusBoard(queue, ToldBrowsers(), Egress())
    config = Config(workers=1)
    sessions, clearances = Sessions(most=1, ttl=1.0), Clearances(60)
    api = NativeApi(config, queue, NodeSessions(sessions), board, History(), clearances)
    fetch = FetchApi(config, FetchPlaces(config, FineFetches(), Metrics().fetch_ended))
    evidence = EvidenceApi(config, EvidenceStore())
    table = [*api.routes(), *fetch.routes(), *evidence.routes()]
    table += MetricsApi(Metrics(), board).routes()
    plain = [(route.path.replace(":[^/]+}", "}"), route.method) for route in table]
    routes = {(path, method.lower()) for path, method in plain}
    described = {(path, method) for path, item in document()["paths"].items() for method in item}
    assert described == routes - {("/openapi.json", "get")}


def test_request_error_codes_are_those_that_can_be_raised() -> None:
    codes = {error.code for error in RequestError.__subclasses__()} | {"internal_error"}
    assert set(get_args(RequestErrorCode)) == codes
    statuses = {error.code: str(error.status) for error in RequestError.__subclasses__()}
    responses = {
        status: answer["description"]
        for item in document()["paths"].values()
        for operation in item.values()
        for status, answer in operation["responses"].items()
    }
    # Answers to a wrong path or method belong to no operation.
    for code in codes - {"not_found", "method_not_allowed", "internal_error"}:
        assert statuses[code] in responses, code


def test_every_error_code_is_described() -> None:
    schemas = document()["components"]["schemas"]
    assert schemas["TaskErrorBody"]["properties"]["code"]["enum"] == list(get_args(TaskErrorCode))
    assert schemas["RequestErrorBody"]["properties"]["code"]["enum"] == list(
        get_args(RequestErrorCode)
    )
    assert errors.CaptchaBypassError.code in get_args(TaskErrorCode)


def test_every_model_is_in_the_description_and_says_what_it_is() -> None:
    schemas = document()["components"]["schemas"]
    assert set(schemas) >= {
        *("SolveRequest", "Proxy", "Cookie", "SolveAnswer", "TaskView", "Solution"),
        *("ResultCookie", "RemoveAnswer", "Health", "Unavailable", "ErrorAnswer"),
    }
    for name, model in schemas.items():
        assert model.get("description"), name


@pytest.mark.parametrize("model", [models.SolveRequest, models.Proxy, models.Cookie])
def test_unknown_fields_are_excluded_by_the_description(model: type) -> None:
    assert document()["components"]["schemas"][model.__name__]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("SolveRequest", ["url", "success_text", "success_selector", "no_challenge", "timeout"]),
        ("SolveRequest", ["headers", "screenshot", "block", "reuse"]),
        ("Proxy", ["server"]),
        ("Cookie", ["url", "expires", "secure"]),
        ("ResultCookie", ["expires"]),
        ("Solution", ["headers", "status_code", "challenge", "screenshot", "elapsed", "clearance"]),
        ("SharedClearance", ["id", "age", "reused"]),
        ("RefusedClearance", ["id"]),
        ("RefusedAnswer", ["ended"]),
        ("Health", ["browser", "warning"]),
        ("RequestErrorBody", ["fields"]),
        ("FetchErrorBody", ["challenge", "challenge_kind", "unmet", "hints"]),
    ],
)
def test_field_whose_name_does_not_say_it_all_is_described(model: str, fields: list[str]) -> None:
    properties = document()["components"]["schemas"][model]["properties"]
    for field in fields:
        assert properties[field].get("description"), field


def test_limits_are_in_the_description() -> None:
    described = document()
    properties = described["components"]["schemas"]["SolveRequest"]["properties"]
    assert properties["url"]["maxLength"] == fields.MAX_URL_CHARS
    assert properties["cookies"]["maxItems"] == models.MAX_COOKIES
    assert properties["headers"]["maxProperties"] == models.MAX_HEADERS
    assert properties["timeout"]["exclusiveMinimum"] == 0
    (solve_wait,) = described["paths"]["/solve"]["post"]["parameters"]
    for wait in (solve_wait, described["paths"]["/result/{task_id}"]["get"]["parameters"][1]):
        assert (wait["name"], wait["schema"]["maximum"]) == ("wait", MAX_WAIT)


def test_no_secret_has_a_default_or_an_example() -> None:
    password = document()["components"]["schemas"]["Proxy"]["properties"]["password"]
    assert "example" not in json.dumps(password)
    assert password["default"] is None
