"""What a task has come to: the facts that were gathered, and the one result made of them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from captcha_bypass.challenges import Challenge
from captcha_bypass.errors import TaskError
from captcha_bypass.solving.documents import Document
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.wire.conditions import Condition
from captcha_bypass.wire.results import Hint, ResultCookie, Solution


@dataclass(frozen=True)
class Exchange:
    """How a document was asked for, and answered."""

    #: None: a script made it.
    status: int | None = None
    #: Names in lower case, as in `request_headers`.
    headers: dict[str, str] = field(default_factory=dict)
    request_headers: dict[str, str] = field(default_factory=dict)
    user_agent: str | None = None


@dataclass(frozen=True)
class Findings:
    """What a task's page had in the end: all of one document, but the cookies."""

    url: str
    #: Which document that is; None: none has come.
    document: Document | None = None
    exchange: Exchange = Exchange()
    #: Of the page's whole context.
    cookies: list[ResultCookie] = field(default_factory=list)
    html: str = ""
    #: A PNG.
    screenshot: bytes | None = None
    #: What the document is in place of the site's page.
    obstacle: Challenge | None = None


@dataclass(frozen=True)
class Reasons:
    """Why a task has come to no more than it has."""

    #: Conditions that did not hold in the end.
    unmet: tuple[Condition, ...] = ()
    hints: tuple[Hint, ...] = ()
    #: Of the page, by code; see failed_requests.
    failed_requests: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a task has ended."""

    #: None where not even a file was reached.
    findings: Findings | None = None
    timeout_reached: bool = False
    #: A challenge that was seen on the way.
    met: Challenge | None = None
    #: Why there is no page; with `not_a_page` the findings are those of the file.
    error: TaskError | None = None
    reasons: Reasons = Reasons()

    @property
    def challenge(self) -> Challenge | None:
        """What the page is in place of the site's, or else what was met on the way."""
        found = self.findings
        return self.met if found is None or found.obstacle is None else found.obstacle

    @property
    def event(self) -> JsonDict:
        """What log lines say of it; nothing in it is of a site's making."""
        found: JsonDict = {"outcome": self.name}
        if self.timeout_reached and self.findings is not None:
            challenge = self.challenge
            found["status"] = self.findings.exchange.status
            found["vendor"] = challenge.vendor if challenge else None
            found["kind"] = challenge.kind if challenge else None
            found["unmet"] = ",".join(self.reasons.unmet)
            found["hints"] = ",".join(dict.fromkeys(hint.code for hint in self.reasons.hints))
        return {name: value for name, value in found.items() if value not in (None, "")}

    @property
    def name(self) -> str:
        """The word for it: `completed`, `timeout`, or the code of the error."""
        if self.error is not None:
            return self.error.code
        return "timeout" if self.timeout_reached else "completed"

    @property
    def has_document(self) -> bool:
        """Whether a document of the site, or a file, has come."""
        return self.findings is not None and self.findings.exchange.status is not None

    def result(self, seconds: float) -> JsonDict:
        """Return what the queue keeps of a task that took so many seconds."""
        result: JsonDict = {}
        if self.error is not None:
            result["error"] = {"code": self.error.code, "message": str(self.error)}
        if self.findings is not None:
            result["data"] = self._solution(self.findings, seconds).model_dump(mode="json")
        return result

    def _solution(self, found: Findings, seconds: float) -> Solution:
        obstacle, exchange = found.obstacle, found.exchange
        challenge = obstacle.vendor if obstacle is not None and obstacle.solvable else None
        blocked = obstacle is not None and not obstacle.solvable
        shot, named = found.screenshot, self.challenge
        # Not validated: what a site shows need not be text as pydantic wants it (lone surrogates).
        return Solution.model_construct(
            cookies=found.cookies,
            headers=exchange.headers,
            status_code=exchange.status,
            html=found.html,
            url=found.url,
            timeout_reached=self.timeout_reached,
            user_agent=exchange.user_agent,
            request_headers=exchange.request_headers,
            challenge=challenge,
            solved=self.met.vendor if self.met is not None and challenge is None else None,
            block=obstacle.vendor if obstacle is not None and blocked else None,
            challenge_kind=None if named is None else named.kind,
            unmet=list(self.reasons.unmet),
            hints=list(self.reasons.hints),
            failed_requests=self.reasons.failed_requests,
            screenshot=base64.b64encode(shot).decode() if shot else None,
            elapsed=seconds,
        )
