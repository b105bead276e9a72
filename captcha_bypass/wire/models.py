"""The wire format of requests: what one may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from captcha_bypass.wire.conditions import SuccessSelector, SuccessText
from captcha_bypass.wire.fields import (
    CookieDomain,
    CookieName,
    CookiePath,
    CookieValue,
    HeaderName,
    HeaderValue,
    PageUrl,
    ProxyServer,
    SessionName,
    checked_password,
    checked_username,
    host_of,
)

#: As many as Firefox keeps (`network.cookie.maxNumber`).
MAX_COOKIES = 3000
MAX_HEADERS = 50
#: What is done about a challenge that needs a person.
OnChallenge = Literal["report", "wait"]


def _few(headers: object) -> object:
    """Refuse too many headers before each of them is looked at, which takes 0.7 s for 18,000."""
    if isinstance(headers, dict) and len(headers) > MAX_HEADERS:
        raise ValueError(f"must be at most {MAX_HEADERS} headers")
    return headers


class Wire(BaseModel):
    """Strict JSON: no unknown fields, no guessed types, no input echoed in errors."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class Proxy(Wire):
    """The proxy a task's traffic goes through, with no fall-back to a direct connection."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"properties": {"password": {"type": "null"}}},
                {"required": ["username"], "properties": {"username": {"type": "string"}}},
            ]
        }
    )

    server: ProxyServer = Field(description="scheme://host:port; http, https or socks5")
    username: str | None = Field(None, min_length=1, max_length=256)
    password: SecretStr | None = Field(None, max_length=1024)

    @field_validator("username")
    @classmethod
    def _fits_scheme(cls, value: str | None, info: ValidationInfo) -> str | None:
        return checked_username(value, info.data.get("server"))

    @field_validator("password")
    @classmethod
    def _has_username(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if "username" not in info.data:
            return value  # refused already
        return checked_password(value, info.data["username"], info.data.get("server"))


class Cookie(Wire):
    """A cookie set before the page is opened; also takes what a result gave."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"properties": {"url": {"type": "null"}}},
                {"properties": {"domain": {"type": "null"}}},
            ]
        }
    )

    name: CookieName
    value: CookieValue
    url: PageUrl | None = Field(
        None, description="takes domain and secure from this URL; default: the task's URL"
    )
    domain: CookieDomain | None = None
    path: CookiePath = "/"
    expires: float = Field(-1, ge=-1, le=253402300799, description="epoch seconds; -1: session")
    httpOnly: bool = False
    secure: bool | None = Field(None, description="default: true for https")
    sameSite: Literal["Strict", "Lax", "None"] = "Lax"
    partitionKey: str | None = Field(
        None, max_length=2048, description="origin of the page that it is partitioned by"
    )

    @field_validator("domain")
    @classmethod
    def _one_place(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("url") is not None:
            raise ValueError("give url or domain, not both")
        return value


class SolveRequest(Wire):
    """Body of POST /solve. At least one of the success conditions must be given; all must hold."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {
                    "required": ["success_text"],
                    "properties": {"success_text": {"type": ["string", "array"]}},
                },
                {
                    "required": ["success_selector"],
                    "properties": {"success_selector": {"type": ["string", "array"]}},
                },
                {"required": ["no_challenge"], "properties": {"no_challenge": {"const": True}}},
            ]
        }
    )

    url: PageUrl = Field(
        description="http or https, at most 2048 characters, no user:password in it"
    )
    success_text: SuccessText | None = Field(
        None,
        description="text that shows on the page when it is through, or a list of which any is "
        "enough: case-sensitive, white space folded, in the visible text of any frame, also on "
        "controls and in shadow roots",
    )
    success_selector: SuccessSelector | None = Field(
        None,
        description="CSS selector that becomes visible, in any frame; or a list of which any is enough",
    )
    no_challenge: bool | None = Field(
        None, description="true: the document is not (or no longer) a known challenge"
    )
    timeout: float = Field(
        gt=0, description="seconds from the moment a worker takes the task, at most max-timeout"
    )
    proxy: Proxy | None = None
    cookies: list[Cookie] = Field(default_factory=list, max_length=MAX_COOKIES)
    headers: Annotated[dict[HeaderName, HeaderValue], BeforeValidator(_few)] = Field(
        default_factory=dict,
        max_length=MAX_HEADERS,
        description="extra request headers for the first request",
    )
    screenshot: bool = Field(False, description="adds a PNG of the final page, base64")
    block: list[Literal["image", "media", "font", "stylesheet"]] = Field(
        default_factory=list, max_length=16, description="resource types not to load"
    )

    on_challenge: OnChallenge | None = Field(
        None,
        description="wait: a challenge that needs a person keeps the page open for one, so that the "
        "task may last --human-timeout longer than its timeout; report: it does not; default: "
        "--on-challenge",
    )
    session: SessionName | None = Field(
        None, description="name of a context that is kept: cookies and storage of its earlier tasks"
    )
    reuse: float | None = Field(
        None,
        ge=0,
        description="the answer may be a clearance of the same site and proxy that is at most so many "
        "seconds old, or that of a solve under way",
    )

    @model_validator(mode="after")
    def _has_condition(self) -> SolveRequest:
        if self.success_text is None and self.success_selector is None and not self.no_challenge:
            # It belongs to no field by itself; whoever answers asks for the one to begin with.
            raise PydanticCustomError(
                "no_condition",
                "give at least one condition: success_text, success_selector or no_challenge: true",
                {"field": "success_text"},
            )
        return self

    @property
    def host(self) -> str:
        """The host that it names, in lower case; an IPv6 address in brackets."""
        return host_of(self.url)
