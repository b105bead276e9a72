"""What an answer of the service says, and the error that it stands for."""

from __future__ import annotations

import json
from typing import Any

from captcha_bypass.client.address import KEY_VARIABLE
from captcha_bypass.client.errors import (
    ClientError,
    NotSolved,
    RequestRefused,
    ServiceError,
    TaskFailed,
)
from captcha_bypass.client.obstacles import Obstacle
from captcha_bypass.client.results import SolveResult
from captcha_bypass.client.steps import Answer

#: A place is free again soon, and nothing was begun: the only refusals that are tried again.
BUSY = frozenset({"queue_full", "queue_unavailable", "too_many_waiting", "too_many_connections"})
#: Seconds, where a full service does not say when to come back, and the least that is waited.
DEFAULT_RETRY_AFTER, LEAST_PAUSE = 2.0, 0.1
#: Hints that a message quotes.
_FEW = 3


def json_of(answer: Answer) -> dict[str, Any]:
    """Return an answer's JSON object; empty for anything else."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def code_of(answer: Answer) -> str:
    """Return the code of the error that an answer is, empty for none of the service's own."""
    error = json_of(answer).get("error")
    return str(error["code"]) if isinstance(error, dict) and "code" in error else ""


def retry_after(answer: Answer) -> float:
    """Return after how many seconds a service that is full is asked again."""
    try:
        return max(LEAST_PAUSE, float(answer.headers.get("retry-after", DEFAULT_RETRY_AFTER)))
    except ValueError:
        return DEFAULT_RETRY_AFTER


def unreachable(shown: str, why: str) -> ServiceError:
    """Return the error of a service that does not answer."""
    return ServiceError(
        "unreachable",
        f"No answer from the service at {shown} ({why}). Is captcha-bypass running there, and is "
        "the address right?",
    )


def not_the_service(shown: str, answer: Answer) -> ServiceError:
    """Return the error of an answer that is none of captcha-bypass."""
    return ServiceError(
        "not_the_service",
        f"What answers at {shown} (with status {answer.status}) is not captcha-bypass. Is the "
        "address right? It is that of the service alone, without /v1 or /solve.",
    )


def refusal(shown: str, answer: Answer) -> ClientError:
    """Return the error of a request that was not taken."""
    error = json_of(answer).get("error")
    if not isinstance(error, dict) or "code" not in error:
        return not_the_service(shown, answer)
    code, message = str(error["code"]), str(error.get("message", ""))
    if code == "unauthorized":
        message = (
            f"The service at {shown} wants one of its API keys, and got another or none. Give it "
            f"as api_key, or in the environment as {KEY_VARIABLE}."
        )
        return ServiceError(code, message)
    if code == "host_not_allowed":
        return ServiceError(code, f"The service at {shown} refuses this address: {message}")
    listed = error.get("fields")
    fields = {
        str(part.get("field")): str(part.get("message"))
        for part in (listed if isinstance(listed, list) else [])
        if isinstance(part, dict)
    }
    told = f"{code}: {message}"
    if answer.status >= 500:
        told = f"The service at {shown} takes nothing now: {told}"
    return RequestRefused(code, told, answer.status, fields)


def failure(shown: str, view: dict[str, Any]) -> TaskFailed:
    """Return the error of a task, or of a request of POST /fetch, that ended without a page or answer."""
    error = view.get("error") or {}
    code = str(error.get("code") or view.get("status"))
    message = f"{code}: {error.get('message') or 'it does not know the task any more'}"
    data = view.get("data")
    obstacle = Obstacle.read(error)
    if code == "challenge_not_passed" or obstacle.unmet:
        return NotSolved(code, " ".join([message, *_reasons(obstacle)]), None, obstacle)
    found = TaskFailed(code, message, SolveResult.read(data) if isinstance(data, dict) else None)
    if found.about_service:
        return TaskFailed(code, f"The service at {shown} could not do it: {message}", found.result)
    return found


def unsolved(result: SolveResult, timeout: float) -> NotSolved:
    """Return the error of a page that did not get through, with all that is known of why."""
    shown = result.block or result.challenge
    if result.block:
        why = f"{result.block} refuses this visitor; waiting does not help"
    elif result.challenge:
        why = f"it still shows a challenge of {result.challenge} after {timeout:g} s"
    elif result.status_code is None:
        why = f"the site sent no page within {timeout:g} s"
    else:
        why = f"the conditions did not hold within {timeout:g} s (HTTP {result.status_code})"
    obstacle = Obstacle.read(result.raw)
    parts = [f"Not through at {_without_query(result.url)}: {why}."]
    if result.challenge_kind == "human":
        parts.append("It wants a person.")
    parts += _reasons(obstacle)
    code = "challenge_not_passed" if shown else "timeout"
    return NotSolved(code, " ".join(parts), result, obstacle)


def _reasons(obstacle: Obstacle) -> list[str]:
    """Return sentences of what did not hold, and of why."""
    told = [f"Unmet: {', '.join(obstacle.unmet)}."] if obstacle.unmet else []
    return told + [hint.message for hint in obstacle.hints[:_FEW]]


def _without_query(url: str) -> str:
    """Return a URL without what may be a secret in it."""
    return url.partition("?")[0].partition("#")[0]
