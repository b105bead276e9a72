"""What is remembered of one task: small, and without any secret of its request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypedDict

from captcha_bypass.history.timeline import Timeline, cut
from captcha_bypass.tasks.base import JsonDict, State
from captcha_bypass.wire.fields import host_of

#: Characters of a text of the request that are remembered, and of a message.
TEXT_CHARS, MESSAGE_CHARS = 200, 500
#: Names of cookies, hints and codes of failed requests of one task that are remembered.
MOST_NAMES = 50


class TaskEntry(TypedDict):
    """One task in a list."""

    id: str
    host: str
    state: str
    #: `completed`, `timeout`, `cancelled` or the code of its error; None: it has not ended.
    outcome: str | None
    vendor: str | None
    kind: str | None
    why: str | None
    #: Epoch seconds, as in the next two.
    came_at: float
    started_at: float | None
    ended_at: float | None
    #: From its start to its end.
    seconds: float | None
    evidence: bool
    #: Whether its result, or evidence, is still there to be deleted; or it can be cancelled.
    kept: bool


@dataclass(slots=True)
class Entry:
    """What is remembered of one task."""

    task_id: str
    owner: str
    host: str
    #: What was asked, without secrets; see `asked_of`.
    asked: JsonDict
    came_at: float
    state: State = State.PENDING
    started_at: float | None = None
    ended_at: float | None = None
    timeline: Timeline | None = None
    outcome: str | None = None
    #: Of how it ended; see `end_of`.
    end: JsonDict = field(default_factory=dict)
    #: Whether its result can still be read.
    has_result: bool = True
    #: That of the history when it last changed.
    version: int = 0

    @property
    def is_live(self) -> bool:
        """Whether it has not ended yet."""
        return self.ended_at is None

    @property
    def seconds(self) -> float | None:
        """How long it ran; None: it does, or never did."""
        if self.started_at is None or self.ended_at is None:
            return None
        return round(max(0.0, self.ended_at - self.started_at), 3)

    def summary(self, *, has_evidence: bool) -> TaskEntry:
        """Return its line in a list."""
        challenge = None if self.timeline is None else self.timeline.challenge
        met = challenge if self.is_live else None
        return {
            "id": self.task_id,
            "host": self.host,
            "state": self.state.value,
            "outcome": self.outcome,
            "vendor": met.vendor if met else self.end.get("vendor"),
            "kind": met.kind if met else self.end.get("kind"),
            "why": self._why(),
            "came_at": self.came_at,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "seconds": self.seconds,
            "evidence": has_evidence,
            "kept": self.has_result or has_evidence,
        }

    def _why(self) -> str | None:
        error = self.end.get("error")
        if error is not None:
            return cut(str(error["message"]), TEXT_CHARS)
        if self.outcome != "timeout":
            return None
        unmet = ", ".join(self.end["unmet"])
        codes = ", ".join(dict.fromkeys(hint["code"] for hint in self.end["hints"]))
        return f"{unmet}: {codes}" if codes else unmet or None


def entry_of(task_id: str, payload: JsonDict, owner: str, came_at: float) -> Entry:
    """Return what is remembered of a task that has come."""
    host = cut(host_of(payload.get("url", "")), TEXT_CHARS)
    return Entry(task_id, owner, host, asked_of(payload), came_at)


def asked_of(payload: JsonDict) -> JsonDict:
    """Return what a task asks for, texts cut short: of cookies and headers only the names."""
    proxy = payload.get("proxy")
    cookies = payload.get("cookies", ())
    return {
        "url": payload.get("url", ""),
        "success_text": _cut_all(payload.get("success_text")),
        "success_selector": _cut_all(payload.get("success_selector")),
        "no_challenge": bool(payload.get("no_challenge")),
        "timeout": payload.get("timeout"),
        "session": None if payload.get("of_site") else payload.get("session"),
        "block": payload.get("block", []),
        "on_challenge": payload.get("on_challenge"),
        "proxy": proxy["server"] if proxy else None,
        "cookies": [cut(item["name"], TEXT_CHARS) for item in cookies[:MOST_NAMES]],
        "headers": [cut(name, TEXT_CHARS) for name in payload.get("headers", ())],
    }


def end_of(outcome: JsonDict) -> JsonDict:
    """Return what is remembered of how a task ended: nothing of its page but the URL."""
    data: JsonDict = outcome.get("data") or {}
    error = outcome.get("error")
    return {
        "vendor": data.get("block") or data.get("challenge") or data.get("solved"),
        "kind": data.get("challenge_kind"),
        "unmet": data.get("unmet") or [],
        "hints": [
            {**hint, "value": _cut_all(hint.get("value"))}
            for hint in (data.get("hints") or [])[:MOST_NAMES]
        ],
        "failed_requests": dict(list((data.get("failed_requests") or {}).items())[:MOST_NAMES]),
        "error": error and {**error, "message": cut(error["message"], MESSAGE_CHARS)},
        "status_code": data.get("status_code"),
        "url": cut(data["url"]) if data.get("url") else None,
    }


def name_of(outcome: JsonDict) -> str:
    """Return the word for how a task ended: `completed`, `timeout`, or the code of its error."""
    if "error" in outcome:
        return str(outcome["error"]["code"])
    return "timeout" if (outcome.get("data") or {}).get("timeout_reached") else "completed"


def _cut_all(condition: Any) -> Any:  # noqa: ANN401 - a text, several, or none
    if isinstance(condition, list):
        return [cut(text, TEXT_CHARS) for text in condition]
    return None if condition is None else cut(condition, TEXT_CHARS)
