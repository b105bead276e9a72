"""What goes wrong for a client of the service, as one tree.

ClientError
├── ServiceError           the service cannot be used as it was given: wrong address, wrong key, or it is away
├── RequestRefused         it took no such request, and changed nothing
└── TaskFailed             it took it, and there is no page, or no answer of the site
    └── NotSolved              the page did not get through in time
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from captcha_bypass.client.obstacles import Obstacle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from captcha_bypass.client.results import SolveResult


#: Codes of tasks that say something of the service, and nothing of the site.
_OF_SERVICE = frozenset({"browser_unavailable", "shutting_down", "internal_error", "not_found"})
_UNKNOWN = Obstacle()


class ClientError(Exception):
    """The base of all errors of the clients.

    Attributes:
        code: Stable, machine-readable name; the service's own where it is the service that says it
            (docs/api.md, docs/fetch.md).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def about_service(self) -> bool:
        """Whether it is the service that cannot do it, for any site."""
        return False


class ServiceError(ClientError):
    """The service cannot be used as it was given; the message says what to change.

    Codes: `invalid_url`, `invalid_api_key`, `unreachable`, `not_the_service`, and the service's
    `unauthorized` and `host_not_allowed`. Where it is one of the first two nothing was sent.
    """

    @property
    def about_service(self) -> bool:
        """It always is."""
        return True


class RequestRefused(ClientError):
    """The service refused a request, and changed nothing.

    Attributes:
        status: HTTP status of its answer.
        fields: What is wrong with which field; empty but for `invalid_request`.
    """

    def __init__(
        self, code: str, message: str, status: int, fields: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code, message)
        self.status = status
        self.fields = dict(fields or {})

    @property
    def about_service(self) -> bool:
        """Whether it takes nothing now, whatever the request is."""
        return self.status >= 500


class TaskFailed(ClientError):
    """The service took a task or a request, and it ended without a page or an answer.

    Attributes:
        result: What there is all the same. With `not_a_page`: cookies and headers of the file behind
            a challenge.
    """

    def __init__(self, code: str, message: str, result: SolveResult | None = None) -> None:
        super().__init__(code, message)
        self.result = result

    @property
    def about_service(self) -> bool:
        """Whether it has no browser for it, or stopped."""
        return self.code in _OF_SERVICE


class NotSolved(TaskFailed):
    """The page did not get through; the message says what is known of why.

    Codes: `challenge_not_passed`, or `timeout` where no challenge is in sight. `result` has the page as
    it was at the end; a request of `fetch` has none.

    Attributes:
        challenge: Vendor of the challenge, where one is in sight.
        challenge_kind: Who passes it: see docs/api.md.
        unmet: Names of the conditions that did not hold.
        hints: Why they did not, as far as it can be told.
    """

    def __init__(
        self,
        code: str,
        message: str,
        result: SolveResult | None = None,
        obstacle: Obstacle = _UNKNOWN,
    ) -> None:
        super().__init__(code, message, result)
        self.challenge = obstacle.challenge
        self.challenge_kind = obstacle.challenge_kind
        self.unmet = obstacle.unmet
        self.hints = obstacle.hints
