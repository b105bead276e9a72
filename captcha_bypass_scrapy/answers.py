"""What the service's answers say."""

from __future__ import annotations

import json
from binascii import a2b_base64
from typing import Any, TypedDict, cast

from captcha_bypass_scrapy.errors import Evidence, SolveError, SolverUnavailable
from captcha_bypass_scrapy.progress import DOWN_PAUSE

#: Seconds without asking again where a person has to change something first.
REFUSED_PAUSE = 60.0
#: Where a full service does not say when to come back.
DEFAULT_RETRY_AFTER = 2.0
#: Of the service's hints, so many stand in the reason; all of them beside it.
MAX_HINTS = 2


class _Data(TypedDict):
    cookies: list[dict[str, Any]]
    headers: dict[str, str]
    status_code: int | None
    html: str
    url: str
    timeout_reached: bool
    user_agent: str | None
    challenge: str | None


class SharedClearance(TypedDict):
    """Of which clearance a solution is; see docs/api.md."""

    id: str
    age: float
    reused: bool


class Solution(_Data, total=False):
    """The field `data` of GET /result, as far as it is used here."""

    solved: str | None
    unmet: list[str]
    hints: list[dict[str, Any]]
    screenshot: str | None
    clearance: SharedClearance | None
    #: Whether the address leads to a file, so that `html` is empty; not a field of the service's.
    file: bool


def solution_of(data: object) -> Solution:
    """Return the field `data` of a task's result.

    Raises:
        SolverUnavailable: fields are missing, so this is not the service's own answer.
    """
    fields = _Data.__annotations__
    if not isinstance(data, dict) or not set(fields) <= set(data):
        raise SolverUnavailable(
            "a result has not the fields of captcha-bypass; is CAPTCHA_BYPASS_URL right?",
            REFUSED_PAUSE,
            "refusing",
        )
    return cast("Solution", data)


def evidence_of(solution: Solution | dict[str, Any]) -> Evidence:
    """Return what a page that is not through says of why; also read from an error of POST /fetch."""
    shot = solution.get("screenshot")
    try:
        screenshot = None if shot is None else a2b_base64(shot, strict_mode=True)
    except ValueError:  # not the service's own
        screenshot = None
    return Evidence(tuple(solution.get("unmet", ())), tuple(solution.get("hints", ())), screenshot)


def unsolved(why: str, evidence: Evidence) -> SolveError:
    """Return the error of a browser that did not get through, with the first hints in its reason."""
    hints = [str(hint.get("message")) for hint in evidence.hints[:MAX_HINTS]]
    parts = [part.rstrip(".") for part in (why, *hints)]
    return SolveError(". ".join(parts) if hints else why, evidence=evidence)


def is_view(answer: dict[str, Any]) -> bool:
    """Whether this is what the service says of a task, and not the answer of another server."""
    error = answer.get("error")
    told = isinstance(error, dict) and {"code", "message"} <= set(error)
    return isinstance(answer.get("status"), str) and (error is None or told)


def is_file(view: dict[str, Any]) -> bool:
    """Whether the task ended at a file, for which the browser had to pass the challenge."""
    error = view.get("error") or {}
    return error.get("code") == "not_a_page" and view.get("data") is not None


def is_lost(view: dict[str, Any]) -> bool:
    """Whether the service does not know the task any more, or will not do it."""
    error = view.get("error") or {}
    return view["status"] == "not_found" or error.get("code") == "shutting_down"


def json_object(text: str) -> dict[str, Any]:
    """Read a JSON object; anything else is read as an empty one."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def message_of(answer: dict[str, Any]) -> str:
    """Return what an error says, field by field."""
    error = answer.get("error")
    if not isinstance(error, dict):
        return "not in the service's own words"
    fields = error.get("fields")
    listed = [part for part in fields if isinstance(part, dict)] if isinstance(fields, list) else []
    parts = [f"{part.get('field')}: {part.get('message')}" for part in listed]
    return "; ".join(parts) or str(error.get("message"))


def retry_after(headers: Any) -> float:  # noqa: ANN401 - aiohttp's multidict
    """Return after how many seconds a service that is full is asked again."""
    try:
        return max(0.1, float(headers.get("Retry-After", DEFAULT_RETRY_AFTER)))
    except ValueError:
        return DEFAULT_RETRY_AFTER


def refusal(status: int, answer: dict[str, Any], asked: str, what: str) -> SolveError:
    """Return the error for a status that says neither yes nor later.

    Args:
        asked: The URL, as it may be shown.
        what: What was asked for: `task` or `request`.
    """
    message = message_of(answer)
    if status == 401:
        hint = "set CAPTCHA_BYPASS_API_KEY to the service's key"
        message = f"the service refuses the API key; {hint}"
        return SolverUnavailable(message, REFUSED_PAUSE, "refusing")
    if status in {400, 413} and "error" in answer:
        return SolveError(f"the service refuses the {what}: {message}", "rejected")
    message = f"POST {asked} was answered {status}, {message}; is CAPTCHA_BYPASS_URL right?"
    if status >= 500:
        return SolverUnavailable(message, DOWN_PAUSE, "away")
    return SolverUnavailable(message, REFUSED_PAUSE, "refusing")


def describe(error: BaseException) -> str:
    """Return what an error of the connection says, or its name."""
    return str(error) or type(error).__name__
