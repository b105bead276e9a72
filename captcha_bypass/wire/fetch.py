"""The wire format of POST /fetch: one request that the browser sends, and what the site answers."""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from captcha_bypass.challenges import Kind
from captcha_bypass.errors import CaptchaBypassError
from captcha_bypass.wire.conditions import Condition, SuccessSelector, SuccessText
from captcha_bypass.wire.fields import (
    HEADER_NAME,
    HeaderValue,
    PageUrl,
    SessionName,
    host_of,
    matching,
)
from captcha_bypass.wire.models import MAX_COOKIES, Cookie, OnChallenge, Proxy, Wire
from captcha_bypass.wire.results import Hint
from captcha_bypass.wire.task import Task

#: More than any browser sends.
MAX_FETCH_HEADERS = 100


def _few(headers: object) -> object:
    if isinstance(headers, dict) and len(headers) > MAX_FETCH_HEADERS:
        raise ValueError(f"must be at most {MAX_FETCH_HEADERS} headers")
    return headers


def _decoded(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        raise ValueError("must be base64 with its padding, and nothing else") from None


#: Which of them a page may send is not decided here.
SentName = Annotated[
    str,
    Field(max_length=256, json_schema_extra={"pattern": HEADER_NAME}),
    matching(HEADER_NAME, "is not a header name"),
]
Base64 = Annotated[
    bytes,
    BeforeValidator(_decoded),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]


class FetchRequest(Wire):
    """Body of POST /fetch. The conditions are those of the solve, where one is needed."""

    url: PageUrl = Field(
        description="http or https, at most 2048 characters, no user:password in it"
    )
    method: str = Field("GET", min_length=1, max_length=32)
    headers: Annotated[dict[SentName, HeaderValue], BeforeValidator(_few)] = Field(
        default_factory=dict, description="what the browser does not set by itself"
    )
    body: str | None = Field(None, repr=False, description="sent as UTF-8")
    body_base64: Base64 | None = Field(None, repr=False, description="in place of body: any bytes")
    timeout: float = Field(
        gt=0, description="seconds to the answer's last byte, solves included; at most max-timeout"
    )
    proxy: Proxy | None = None
    cookies: list[Cookie] = Field(
        default_factory=list,
        max_length=MAX_COOKIES,
        description="set in the site's session before the request, and kept there",
    )
    first_cookies: list[Cookie] = Field(
        default_factory=list,
        max_length=MAX_COOKIES,
        description="set where the session begins with this request; one that there is keeps its own",
    )
    session: SessionName | None = Field(
        None, description="name of a session to send it in; default: one that the service keeps"
    )
    jar: SessionName | None = Field(
        None,
        description="in place of session: each jar has a session of its own, kept by the service",
    )
    success_text: SuccessText | None = Field(None, description="see SolveRequest")
    success_selector: SuccessSelector | None = Field(None, description="see SolveRequest")
    no_challenge: bool = Field(True, description="see SolveRequest")
    on_challenge: OnChallenge | None = Field(
        None,
        description="see SolveRequest; the time that a person is waited for is added to timeout",
    )

    @field_validator("cookies")
    @classmethod
    def _as_ascii(cls, cookies: list[Cookie]) -> list[Cookie]:
        # Others can be set by an answer alone, which is not in sight here.
        if not all(cookie.value.isascii() for cookie in cookies):
            raise ValueError("values must be ASCII here")
        return cookies

    @field_validator("jar")
    @classmethod
    def _one_session(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("session") is not None:
            raise ValueError("give session or jar, not both")
        return value

    @field_validator("body_base64")
    @classmethod
    def _one_body(cls, value: bytes | None, info: ValidationInfo) -> bytes | None:
        if value is not None and info.data.get("body") is not None:
            raise ValueError("give body or body_base64, not both")
        return value

    @model_validator(mode="after")
    def _has_condition(self) -> FetchRequest:
        if self.success_text is None and self.success_selector is None and not self.no_challenge:
            raise PydanticCustomError(
                "no_condition",
                "a solve needs at least one condition: leave it out, or give another",
                {"field": "no_challenge"},
            )
        return self

    @property
    def host(self) -> str:
        """The host that it names, in lower case; an IPv6 address in brackets."""
        return host_of(self.url)

    @property
    def waits_for_human(self) -> bool:
        """Whether a person is waited for where a challenge needs one."""
        return self.on_challenge == "wait"

    @property
    def content(self) -> bytes | None:
        """The body's bytes; None: none is sent."""
        return self.body_base64 if self.body is None else self.body.encode()

    def to_task(
        self, owner: str, session: str, *, of_site: bool, timeout: float, begins: bool = False
    ) -> Task:
        """Return the task that clears the way for it, in a session.

        Args:
            of_site: See SessionKey.
            timeout: Seconds.
            begins: Whether the session begins with it.
        """
        return Task.model_construct(
            url=self.url,
            success_text=self.success_text,
            success_selector=self.success_selector,
            no_challenge=self.no_challenge,
            timeout=timeout,
            proxy=self.proxy,
            cookies=[*self.first_cookies, *self.cookies] if begins else self.cookies,
            session=session,
            owner=owner,
            of_site=of_site,
            on_challenge=self.on_challenge,
        )


@dataclass(frozen=True)
class Fetched:
    """What the site has answered, whatever its status."""

    status: int
    #: In the order in which they came; each character of a value is one byte.
    headers: tuple[tuple[str, str], ...]
    #: As the browser wrote it in its request.
    url: str
    body: bytes = field(repr=False)
    #: The Content-Encoding that the browser has undone.
    decoded: str | None
    #: Vendor of a challenge that was passed for this request.
    solved: str | None
    user_agent: str
    #: From the request to its last byte, as measured in the page.
    page_seconds: float = 0.0


class Obstacle(BaseModel):
    """What is in the way of a request, in the words of a result of POST /solve."""

    model_config = ConfigDict(frozen=True)

    challenge: str | None = Field(
        None, description="vendor of the challenge; null: none is in sight"
    )
    challenge_kind: Kind | None = Field(None, description="its kind, see Solution")
    unmet: list[Condition] = Field(
        default_factory=list, description="conditions that did not hold at the end"
    )
    hints: list[Hint] = Field(
        default_factory=list, description="why they did not, as far as it can be told"
    )


class NotThrough(CaptchaBypassError):
    """There is no answer of the site, for what was in the way or for lack of time.

    Args:
        obstacle: What was in the way; None: nothing that is known.
    """

    def __init__(self, message: str, obstacle: Obstacle | None = None) -> None:
        super().__init__(message)
        self.obstacle = obstacle
