"""What a task has come to: the facts that were gathered, and the one result made of them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from captcha_bypass.challenges import Challenge
from captcha_bypass.errors import TaskError
from captcha_bypass.solving.documents import Document
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.wire.results import ResultCookie, Solution


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
class Outcome:
    """How a task has ended."""

    #: None where not even a file was reached.
    findings: Findings | None = None
    timeout_reached: bool = False
    #: Vendor of a challenge that was seen on the way.
    met: str | None = None
    #: Why there is no page; with `not_a_page` the findings are those of the file.
    error: TaskError | None = None

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
        shot = found.screenshot
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
            solved=self.met if challenge is None else None,
            block=obstacle.vendor if obstacle is not None and blocked else None,
            screenshot=base64.b64encode(shot).decode() if shot else None,
            elapsed=seconds,
        )
