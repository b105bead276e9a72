"""Every error of the service, as one tree.

CaptchaBypassError
├── RequestError          a request was refused; nothing was queued
│   ├── InvalidRequest         400 invalid_request, with the fields at fault
│   ├── Unauthorized           401 unauthorized
│   ├── HostNotAllowed         403 host_not_allowed
│   ├── OriginNotAllowed       403 origin_not_allowed
│   ├── DashboardClosed        403 dashboard_closed
│   ├── NotFound               404 not_found
│   ├── NoEvidence             404 no_evidence
│   ├── MethodNotAllowed       405 method_not_allowed
│   ├── BodyTooLarge           413 body_too_large
│   ├── SlowBody               408 body_timeout
│   ├── UnsupportedMediaType   415 unsupported_media_type
│   ├── TooManySessions        503 too_many_sessions
│   ├── QueueFull              503 queue_full
│   ├── QueueUnavailable       503 queue_unavailable
│   ├── TooManyWaiting         503 too_many_waiting
│   ├── ShuttingDown           503 shutting_down
│   └── UnexpectedError        500 internal_error, a bug
├── TaskError             an accepted task ended without a page; the code says why
│   ├── BrowserLost            browser_crashed, but by no fault of the task's page
└── StartupError          the service cannot start; exit code 3
    └── Unguarded              what its browser opens goes past the guard
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

TaskErrorCode = Literal[
    "browser_unavailable",
    "browser_crashed",
    "dns_error",
    "connection_refused",
    "connection_reset",
    "tls_error",
    "redirect_loop",
    "proxy_error",
    "session_lost",
    "too_many_sessions",
    "blocked_address",
    "not_a_page",
    "page_too_large",
    "page_unreadable",
    "too_much_traffic",
    "too_much_memory",
    "too_much_work",
    "navigation_error",
    "invalid_request",
    "shutting_down",
    "internal_error",
]
RequestErrorCode = Literal[
    "invalid_request",
    "unauthorized",
    "host_not_allowed",
    "origin_not_allowed",
    "dashboard_closed",
    "not_found",
    "no_evidence",
    "method_not_allowed",
    "body_too_large",
    "body_timeout",
    "unsupported_media_type",
    "queue_full",
    "queue_unavailable",
    "too_many_sessions",
    "too_many_waiting",
    "shutting_down",
    "internal_error",
]

#: Why a connection is refused or closed: there are too many that are all in use; it made room for
#: another; it did not say what it wants in time, or in too many words; it did not take its answer.
ConnectionErrorCode = Literal[
    "too_many_connections", "idle_connection", "slow_request", "large_head", "slow_reader"
]
#: What a request through the browser may end with, beside the codes of tasks.
FetchErrorCode = Literal["challenge_not_passed", "timeout", "answer_too_large", "answer_unreadable"]


class CaptchaBypassError(Exception):
    """The base of all errors that this project raises on purpose."""

    #: Stable, machine-readable name.
    code: str = "internal_error"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One refused field of a request."""

    #: Dotted path in the request, e.g. `proxy.server`; `body` for the body as a whole.
    field: str
    #: What is wrong and what would be right; never contains the refused value.
    message: str


class RequestError(CaptchaBypassError):
    """A request was refused and changed nothing."""

    status: ClassVar[int] = 400
    #: Extra response headers, e.g. Retry-After.
    headers: ClassVar[dict[str, str]] = {}


class InvalidRequest(RequestError):
    """The request does not fit the contract."""

    code = "invalid_request"

    def __init__(self, fields: list[FieldError]) -> None:
        super().__init__("; ".join(f"{item.field}: {item.message}" for item in fields))
        #: What is wrong with which field; at least one entry.
        self.fields = fields


class Unauthorized(RequestError):
    """An API key is asked for, and none that counts was given."""

    code = "unauthorized"
    status = 401
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class HostNotAllowed(RequestError):
    """The request names a host that is not this machine, as a rebound DNS name does."""

    code = "host_not_allowed"
    status = 403


class OriginNotAllowed(RequestError):
    """A page of another origin sent what only the dashboard's own page may."""

    code = "origin_not_allowed"
    status = 403


class DashboardClosed(RequestError):
    """There is no dashboard: others can reach the service, and it has no API key."""

    code = "dashboard_closed"
    status = 403


class NotFound(RequestError):
    """No such route."""

    code = "not_found"
    status = 404


class NoEvidence(RequestError):
    """Nothing is kept of that task's page, or the task is somebody else's."""

    code = "no_evidence"
    status = 404


class MethodNotAllowed(RequestError):
    """The route exists, the method does not."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, allowed: Iterable[str]) -> None:
        #: The methods that do, as in the header Allow.
        self.allowed = ", ".join(sorted(allowed))
        super().__init__(f"This route takes {self.allowed}.")


class BodyTooLarge(RequestError):
    """The request body is over the limit."""

    code = "body_too_large"
    status = 413


class SlowBody(RequestError):
    """The request body does not arrive in time."""

    code = "body_timeout"
    status = 408
    headers: ClassVar[dict[str, str]] = {"Connection": "close"}


class UnsupportedMediaType(RequestError):
    """The body is not declared as application/json."""

    code = "unsupported_media_type"
    status = 415


class QueueFull(RequestError):
    """As many tasks are pending as `--max-queue` allows."""

    code = "queue_full"
    status = 503
    # Five seconds: about the time a solve takes, so a slot is likely free by then.
    headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}


class QueueUnavailable(RequestError):
    """The queue that many nodes share cannot be reached; what is in it is not lost."""

    code = "queue_unavailable"
    status = 503
    headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}


class TooManyWaiting(RequestError):
    """As many requests are held by `?wait=` as `--max-waiting` allows."""

    code = "too_many_waiting"
    status = 503
    # Held requests end all the time, and asking without `wait` is possible at once.
    headers: ClassVar[dict[str, str]] = {"Retry-After": "1"}


class TooManySessions(RequestError):
    """As many sessions are open as `--max-sessions` allows."""

    code = "too_many_sessions"
    status = 503
    headers: ClassVar[dict[str, str]] = {"Retry-After": "60"}


class ShuttingDown(RequestError):
    """The service is stopping and takes no new work."""

    code = "shutting_down"
    status = 503
    headers: ClassVar[dict[str, str]] = {"Retry-After": "30"}

    def __init__(self) -> None:
        super().__init__("The service is stopping; try again once it is back.")


class UnexpectedError(RequestError):
    """A bug; the log has the rest."""

    code = "internal_error"
    status = 500


class TaskError(CaptchaBypassError):
    """An accepted task ended without a page."""

    def __init__(self, code: TaskErrorCode, message: str) -> None:
        super().__init__(message)
        self.code: TaskErrorCode = code


class BrowserLost(TaskError):
    """A task's browser died, as far as can be told not by the task's page: it may start again."""

    def __init__(self, *, suspect: bool = False) -> None:
        super().__init__("browser_crashed", "The browser was lost, again and again; see the log.")
        #: Whether one of the pages in it may have killed it, this one as likely as others.
        self.suspect = suspect


class StartupError(CaptchaBypassError):
    """The service cannot start; the message names the remedy."""

    code = "startup_failed"
    #: Process exit code.
    exit_code: ClassVar[int] = 3


class Unguarded(StartupError):
    """A browser goes past its guard, so none of its kind may be used."""
