"""What the OpenAPI description says of each route: one function for each."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from captcha_bypass.api.native.answers import (
    ErrorAnswer,
    EvidenceAnswer,
    FetchAnswer,
    FetchErrorAnswer,
    Health,
    Live,
    RefusedAnswer,
    RefusedClearance,
    RemoveAnswer,
    SessionsAnswer,
    SolveAnswer,
    TaskView,
    Unavailable,
)
from captcha_bypass.wire.fetch import FetchRequest
from captcha_bypass.wire.models import SolveRequest

#: Where the description has a model's schema.
REF = "#/components/schemas/{model}"


def paths() -> dict[str, Any]:
    """Return the operations by path and method."""
    return {
        "/solve": {"post": _solve()},
        "/fetch": {"post": _fetch()},
        "/result/{task_id}": {"get": _result()},
        "/task/{task_id}": {"delete": _remove()},
        "/clearances/refused": {"post": _refuse_clearance()},
        "/task/{task_id}/evidence": {"get": _evidence()},
        "/sessions": {"get": _sessions()},
        "/sessions/{name}": {"delete": _destroy_session()},
        "/health": {"get": _health()},
        "/live": {"get": _live()},
        "/metrics": {"get": _metrics()},
    }


def _content(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REF.format(model=model.__name__)}}}


def _answer(text: str, model: type[BaseModel]) -> dict[str, Any]:
    return {"description": text, "content": _content(model)}


def _refused() -> dict[str, Any]:
    """Return the answers that a request gets before its route sees it."""
    challenge = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return {
        "401": {**_answer("unauthorized", ErrorAnswer), "headers": challenge},
        "403": _answer(
            "host_not_allowed; by the dashboard's cookie origin_not_allowed", ErrorAnswer
        ),
    }


def _task_id() -> dict[str, Any]:
    return {"name": "task_id", "in": "path", "required": True, "schema": {"type": "string"}}


def _busy(text: str) -> dict[str, Any]:
    retry = {"Retry-After": {"description": "seconds", "schema": {"type": "string"}}}
    return {**_answer(text, ErrorAnswer), "headers": retry}


def _wait(text: str) -> dict[str, Any]:
    schema = {"type": "number", "minimum": 0, "maximum": 30, "default": 0}
    return {"name": "wait", "in": "query", "description": text, "schema": schema}


def _solve() -> dict[str, Any]:
    text = (
        "seconds to hold the answer until the task ends; a client that hangs up before cancels it"
    )
    return {
        "operationId": "solve",
        "summary": "Queue a task, and wait for its result",
        "parameters": [_wait(text)],
        "requestBody": {"required": True, "content": _content(SolveRequest)},
        "responses": {
            "200": _answer("only with wait: the task has ended", TaskView),
            "202": _answer("queued, and not ended within wait", SolveAnswer),
            "400": _answer("invalid_request", ErrorAnswer),
            **_refused(),
            "404": _answer("only with wait: the task was deleted meanwhile", TaskView),
            "408": _answer("body_timeout", ErrorAnswer),
            "413": _answer("body_too_large", ErrorAnswer),
            "415": _answer("unsupported_media_type", ErrorAnswer),
            "503": _busy("queue_full, too_many_waiting or shutting_down"),
        },
    }


def _fetch() -> dict[str, Any]:
    return {
        "operationId": "fetch",
        "summary": "Let the browser send a request, once no challenge is in the way",
        "requestBody": {"required": True, "content": _content(FetchRequest)},
        "responses": {
            "200": _answer("the site's answer, whatever its status", FetchAnswer),
            "400": _answer("invalid_request", ErrorAnswer),
            **_refused(),
            "408": _answer("body_timeout", ErrorAnswer),
            "413": _answer("body_too_large", ErrorAnswer),
            "415": _answer("unsupported_media_type", ErrorAnswer),
            "500": _answer("internal_error", FetchErrorAnswer),
            "502": _answer("no answer of the site", FetchErrorAnswer),
            "503": _busy("too much to do, or browser_unavailable"),
            "504": _answer("timeout", FetchErrorAnswer),
        },
    }


def _result() -> dict[str, Any]:
    wait = _wait("seconds to hold the answer until the task ends")
    return {
        "operationId": "result",
        "summary": "State and result of a task",
        "parameters": [_task_id(), wait],
        "responses": {
            "200": _answer("the task as it stands", TaskView),
            "400": _answer("invalid_request", ErrorAnswer),
            **_refused(),
            "404": _answer("not_found", TaskView),
            "503": _busy("too_many_waiting"),
        },
    }


def _remove() -> dict[str, Any]:
    return {
        "operationId": "remove",
        "summary": "Cancel a task or delete its result",
        "parameters": [_task_id()],
        "responses": {
            "200": _answer("gone", RemoveAnswer),
            **_refused(),
            "404": _answer("no such task", RemoveAnswer),
        },
    }


def _evidence() -> dict[str, Any]:
    part: dict[str, Any] = {"name": "part", "in": "query", "schema": {"enum": ["html", "jpeg"]}}
    found = _answer("what the task's page showed in the end; with part one of both", EvidenceAnswer)
    found["content"]["text/plain"] = {"schema": {"type": "string"}}
    found["content"]["image/jpeg"] = {"schema": {"type": "string", "format": "binary"}}
    return {
        "operationId": "evidence",
        "summary": "The page of an unfinished or failed task",
        "parameters": [_task_id(), part],
        "responses": {
            "200": found,
            "400": _answer("invalid_request", ErrorAnswer),
            **_refused(),
            "404": _answer("no_evidence", ErrorAnswer),
            "503": _busy("too_many_waiting"),
        },
    }


def _refuse_clearance() -> dict[str, Any]:
    return {
        "operationId": "refuseClearance",
        "summary": "End a clearance that its site does not take any more",
        "requestBody": {"required": True, "content": _content(RefusedClearance)},
        "responses": {
            "200": _answer("nobody gets it any more", RefusedAnswer),
            "400": _answer("invalid_request", ErrorAnswer),
            **_refused(),
            "408": _answer("body_timeout", ErrorAnswer),
            "413": _answer("body_too_large", ErrorAnswer),
            "415": _answer("unsupported_media_type", ErrorAnswer),
        },
    }


def _sessions() -> dict[str, Any]:
    return {
        "operationId": "sessions",
        "summary": "The open sessions",
        "responses": {"200": _answer("their names", SessionsAnswer), **_refused()},
    }


def _destroy_session() -> dict[str, Any]:
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "operationId": "destroySession",
        "summary": "End a session and all it holds",
        "parameters": [name],
        "responses": {
            "200": _answer("gone", RemoveAnswer),
            **_refused(),
            "404": _answer("no such session", RemoveAnswer),
        },
    }


def _health() -> dict[str, Any]:
    return {
        "operationId": "health",
        "summary": "Whether tasks can run",
        "security": [],  # always open
        "responses": {
            "200": _answer("they can", Health),
            "403": _refused()["403"],
            "503": _answer("not yet, or not now", Unavailable),
        },
    }


def _live() -> dict[str, Any]:
    return {
        "operationId": "live",
        "summary": "Whether the process serves",
        "security": [],  # always open
        "responses": {"200": _answer("it does", Live), "403": _refused()["403"]},
    }


def _metrics() -> dict[str, Any]:
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "operationId": "metrics",
        "summary": "Numbers for Prometheus",
        "responses": {
            "200": {"description": "the text format, version 0.0.4", "content": text},
            **_refused(),
        },
    }
