"""What is asked through a browser, what comes back, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from captcha_bypass.errors import CaptchaBypassError
from captcha_bypass.wire.fetch import NotThrough

Headers = tuple[tuple[str, str], ...]

_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> str:
    """Return scheme, host and port of an http or https URL as browsers write an origin."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


@dataclass(frozen=True)
class Request:
    """One request; what `headers.refusals` finds in it, a page cannot send."""

    url: str = field(repr=False)
    method: str = "GET"
    #: Values are Latin-1 text: each character is one byte of what is sent.
    headers: Headers = field(default=(), repr=False)
    #: None sends no body at all, which is not the same as an empty one.
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Answer:
    """What the site answered; a redirect is an answer, and has no body here."""

    #: As the browser wrote it in its request: escaped, without fragment.
    url: str = field(repr=False)
    status: int
    #: In the order in which they came; but those of one name are together, joined by commas, unless
    #: commas would not do (Set-Cookie). Values are Latin-1 text: each character is one byte.
    headers: Headers = field(repr=False)
    #: Decoded, if the site sent it compressed.
    body: bytes = field(repr=False)
    #: The value of `Content-Encoding` that the browser has decoded; None: the body is as it was sent.
    decoded: str | None
    #: From the request to the last byte, as measured in the page.
    seconds: float


class FetchError(CaptchaBypassError):
    """The answer cannot be had; nothing is wrong with the page."""


class AnswerTooLarge(FetchError):
    """The answer's body, once decoded, is over the limit."""

    code = "answer_too_large"


class AnswerUnreadable(FetchError):
    """The answer's body is not what its `Content-Encoding` says."""

    code = "answer_unreadable"


class ChallengeNotPassed(FetchError, NotThrough):
    """The site still answers with a challenge that the browser should pass."""

    code = "challenge_not_passed"


class TimeIsUp(FetchError, NotThrough):
    """The answer was not there within the request's timeout."""

    code = "timeout"


class PageSpoilt(FetchError):
    """The page cannot fetch any more; another page can.

    Args:
        sent: Whether the request may have reached the site.
    """

    code = "page_spoilt"

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent
