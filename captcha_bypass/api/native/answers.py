"""The answers of the native API."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from captcha_bypass.errors import FetchErrorCode, RequestErrorCode, TaskErrorCode
from captcha_bypass.status import Browsers, Egress, Fetches
from captcha_bypass.wire.fetch import Obstacle
from captcha_bypass.wire.models import Wire
from captcha_bypass.wire.results import Solution


class TaskErrorBody(BaseModel):
    """Why a task failed."""

    code: TaskErrorCode
    message: str


class FieldMessage(BaseModel):
    """What is wrong with one field."""

    field: str
    message: str


class RequestErrorBody(BaseModel):
    """Why a request was refused."""

    code: RequestErrorCode
    message: str
    fields: list[FieldMessage] | None = Field(None, description="only for invalid_request")


class ErrorAnswer(BaseModel):
    """Every error answer."""

    error: RequestErrorBody


class SolveAnswer(BaseModel):
    """Answer of POST /solve."""

    task_id: str = Field(json_schema_extra={"format": "uuid"})


class TaskView(BaseModel):
    """Answer of GET /result/{task_id}."""

    status: Literal[
        "pending", "running", "waiting_for_human", "completed", "error", "not_found"
    ] = Field(description="waiting_for_human: it runs, and a person must pass its challenge")
    error: TaskErrorBody | None = None
    data: Solution | None = Field(
        None,
        description="of a completed task. Beside the error not_a_page: of what the address answered "
        "with, with the cookies that lead to it and no html",
    )
    link: str | None = Field(
        None, description="only while waiting_for_human: where a person finds its page"
    )


class FetchAnswer(BaseModel):
    """Answer of POST /fetch, whatever the site's status is."""

    status: int = Field(description="the site's; a redirect is not followed")
    headers: list[list[str]] = Field(
        description="[name, value] in the order in which they came; each character of a value is a byte"
    )
    url: str = Field(description="as the browser wrote it")
    body: str = Field(description="base64", json_schema_extra={"contentEncoding": "base64"})
    decoded: str | None = Field(
        description="the Content-Encoding that the browser has undone; null: the body is as it came"
    )
    solved: str | None = Field(description="vendor of a challenge that was passed for this request")
    user_agent: str
    elapsed: float = Field(description="seconds, solves included")


class FetchErrorBody(Obstacle):
    """Why there is no answer of the site.

    What was in the way is there with challenge_not_passed, and with a timeout that is for conditions
    that did not hold.
    """

    code: TaskErrorCode | FetchErrorCode
    message: str


class FetchErrorAnswer(BaseModel):
    """Answer of POST /fetch where the site's could not be had."""

    error: FetchErrorBody


class RemoveAnswer(BaseModel):
    """Answer of DELETE /task/{task_id}."""

    success: bool
    message: str


class EvidenceAnswer(BaseModel):
    """Answer of GET /task/{task_id}/evidence; all in it is of the site's making."""

    url: str
    html: str | None = Field(description="null: it could not be had in time, or is too large")
    jpeg: str | None = Field(
        description="base64; null: it could not be had in time",
        json_schema_extra={"contentEncoding": "base64"},
    )
    at: float = Field(description="epoch seconds")


class RefusedClearance(Wire):
    """Body of POST /clearances/refused."""

    id: str = Field(max_length=64, description="the field clearance.id of a result")


class RefusedAnswer(BaseModel):
    """Answer of POST /clearances/refused."""

    ended: bool = Field(
        description="false: it was over already, or there was none of that id; nothing has changed"
    )


class SessionsAnswer(BaseModel):
    """Answer of GET /sessions."""

    sessions: list[str] = Field(description="names, oldest first")


class NodeView(BaseModel):
    """One of several services that share a queue."""

    name: str
    workers: int
    running: int
    waiting_for_human: int


class Health(BaseModel):
    """Answer of GET /health while work can be done."""

    status: Literal["ok"] = "ok"
    workers: int
    running: int
    queue: int
    waiting_for_human: int = Field(
        description="tasks without a worker whose pages wait for a person"
    )
    browser: str = Field(description="name and version of the browser in use")
    version: str
    browsers: Browsers
    egress: Egress
    fetches: Fetches
    warning: str | None = Field(None, description="only when another browser stands in")
    nodes: list[NodeView] | None = Field(
        None,
        description="only with a shared queue: all that live; workers, running and queue are then "
        "those of all of them",
    )


class Unavailable(BaseModel):
    """Answer of GET /health while it cannot."""

    status: Literal["starting", "unavailable"] = Field(
        "unavailable", description="starting: until the first browser has passed its self-check"
    )
    reason: str | None = Field(None, description="only while unavailable")


class Live(BaseModel):
    """Answer of GET /live."""

    status: Literal["live"] = "live"
