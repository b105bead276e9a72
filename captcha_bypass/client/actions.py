"""What there is to do for one request of a user's HTTP library, and what can come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future

    from captcha_bypass.challenges import Challenge
    from captcha_bypass.client.errors import ClientError
    from captcha_bypass.client.sites import Clearance
    from captcha_bypass.client.steps import Steps


@dataclass(frozen=True)
class Send:
    """Send the request directly, with a clearance; what comes of it is a Reply."""

    clearance: Clearance | None


@dataclass(frozen=True)
class Reply:
    """An answer of the site.

    Attributes:
        response: The library's own. Where it is a challenge it holds no connection.
        challenge: What it is instead of the page.
    """

    response: Any
    challenge: Challenge | None
    set_cookies: list[str]


@dataclass(frozen=True)
class Content:
    """Read the request's body; what comes of it are its bytes."""


@dataclass(frozen=True)
class Ask:
    """Ask the service, by these steps."""

    steps: Steps[Any]


@dataclass(frozen=True)
class Wait:
    """Wait for what others do, at most so many seconds; None comes of it when they are over."""

    future: Future[Any]
    seconds: float | None = None


class Failed(Exception):
    """There is no answer: the service cannot be used, or the browser's request has none.

    Attributes:
        error: Why.
        response: The site's own answer, where there was one.
    """

    def __init__(self, error: ClientError, response: Any = None) -> None:  # noqa: ANN401 - the library's
        super().__init__(str(error))
        self.error = error
        self.response = response
