"""Why a challenged request did not get its page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from scrapy.exceptions import IgnoreRequest

if TYPE_CHECKING:
    from scrapy.http import Response

#: What the stat `captcha_bypass/gave_up/reason/<reason>` counts.
Reason = Literal["unsolved", "refused", "rejected", "solver", "cooldown", "budget", "offsite"]


@dataclass(frozen=True)
class Evidence:
    """What the browser had at the end where it did not get through, as the service tells it.

    Attributes:
        unmet: The conditions that did not hold, by name.
        hints: What came close: `{"code", "message", "value"}` each.
        screenshot: PNG, if it was asked for.
    """

    unmet: tuple[str, ...] = ()
    hints: tuple[dict[str, Any], ...] = ()
    screenshot: bytes | None = field(default=None, repr=False)


NO_EVIDENCE = Evidence()


class ChallengeNotSolved(IgnoreRequest):
    """A challenge was not solved; the request's errback gets this.

    Attributes:
        vendor: Who challenged, as in `captcha_bypass.challenges`.
        reason: One line that says why it was not solved.
        response: The challenge page, or None where the request was not sent again.
        unmet: Names of the conditions that did not hold in the browser, for this request or for the
            one of its site for whose failure it is not tried; empty also where it failed before that.
        hints: What came close, `{"code", "message", "value"}` each; see docs/api.md.
        screenshot: PNG of what the browser showed, if it was asked for.
    """

    def __init__(
        self,
        vendor: str,
        reason: str,
        response: Response | None = None,
        evidence: Evidence = NO_EVIDENCE,
    ) -> None:
        super().__init__(f"{vendor} challenge not solved: {reason}")
        self.vendor = vendor
        self.reason = reason
        self.response = response
        self.unmet = list(evidence.unmet)
        self.hints = list(evidence.hints)
        self.screenshot = evidence.screenshot


class SolveError(Exception):
    """The solver did not get through to this page; the next page may be another matter.

    Attributes:
        kind: `unsolved`: the browser did not get through. `rejected`: the service does not take
            such a task. `budget`: as many solves were asked for as may be. `offsite`: the page the
            browser ended on is none that the spider may see.
        evidence: What the browser had, where one did not get through.
    """

    kind: Reason

    def __init__(
        self, message: str, kind: Reason = "unsolved", evidence: Evidence = NO_EVIDENCE
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.evidence = evidence


class NotHandedOver(SolveError):
    """The URL leads to a file, or to what a browser shows in a viewer of its own.

    The browser's page is no response then, but its cookies may get the file itself.
    """


class SolverUnavailable(SolveError):
    """The service is down, full or refuses the key: no page can be solved for now.

    Attributes:
        pause: Seconds during which asking again makes no sense.
        state: `away`: no answer, or not the service's own; it may be restarting. `busy`: it
            answers, and takes no more for now. `refusing`: a person has to change something.
    """

    def __init__(
        self, message: str, pause: float, state: Literal["away", "busy", "refusing"] = "away"
    ) -> None:
        super().__init__(message, "solver")
        self.pause = pause
        self.state = state


class CrawlEnding(Exception):
    """The spider is closing; the task was given up and its request goes back to the scheduler."""


class NotFetched(IgnoreRequest):
    """What a request's download ends with that is to wait, or to fail by `error`.

    Only our own middleware sees to it. Plugins that look for bans take other exceptions for one.
    """

    def __init__(self, error: SolveError | CrawlEnding) -> None:
        super().__init__(str(error) or "the spider is closing")
        self.error = error


class FetchFailed(Exception):
    """The browser has sent the request, or would have, and there is no answer.

    Attributes:
        code: The service's, see docs/fetch.md.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
