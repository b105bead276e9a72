"""The wire format of the native API: what a request may say and what an answer holds."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from captcha_bypass.text import fold

#: Longest URL taken, in characters: the length browsers and servers agree on.
MAX_URL_CHARS = 2048
MAX_COOKIES = 300
MAX_HEADERS = 50
#: RFC 9110 section 5.6.2, `token`: header names, and cookie names by RFC 6265 section 4.1.1.
TOKEN_PATTERN = r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$"
#: Headers the browser or the contract owns; a caller's own value would break one of them.
OWNED_HEADERS = frozenset(
    {"cookie", "host", "user-agent", "connection", "content-length", "transfer-encoding", "te"}
    | {"trailer", "upgrade", "proxy-authorization", "proxy-connection"}
)

_any_url = TypeAdapter(AnyUrl)


def _parse_url(value: str, schemes: tuple[str, ...]) -> AnyUrl:
    """Parse as browsers do; the error never repeats the value, which may hold a password."""
    if any(char <= " " or char == "\x7f" for char in value):
        raise ValueError("must not contain spaces or control characters")
    try:
        url = _any_url.validate_python(value)
    except ValidationError as error:
        raise ValueError(error.errors(include_input=False)[0]["msg"]) from None
    if url.scheme not in schemes:
        raise ValueError(f"the scheme must be one of {', '.join(schemes)}")
    if not url.host:
        raise ValueError("a host is missing")
    return url


def _page_url(value: str) -> str:
    url = _parse_url(value, ("http", "https"))
    if url.username is not None or url.password is not None or "@" in urlsplit(value).netloc:
        raise ValueError("must not contain user:password; send an Authorization header instead")
    return str(url)


def _proxy_server(value: str) -> str:
    url = _parse_url(value, ("http", "https", "socks5"))
    if url.username is not None or url.password is not None:
        raise ValueError("must not contain user:password; use the fields username and password")
    port = url.port
    if not port:
        raise ValueError("must be scheme://host:port, the port is missing")
    if (url.path or "/") != "/" or url.query or url.fragment:
        raise ValueError("must be scheme://host:port and nothing more")
    return f"{url.scheme}://{url.host}:{port}"


def _header_value(value: str) -> str:
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
        raise ValueError("must not contain control characters")
    return value


def _cookie_value(value: str) -> str:
    if re.search(r"[\x00-\x1f\x7f;]", value):
        raise ValueError("must not contain control characters or semicolons")
    return value


def _header_name(value: str) -> str:
    if value.lower() in OWNED_HEADERS:
        raise ValueError("is set by the browser; cookies have a field of their own")
    return value


def _visible(value: str) -> str:
    if not fold(value):
        raise ValueError("must contain more than white space")
    return value


Url = Annotated[str, Field(max_length=MAX_URL_CHARS, json_schema_extra={"format": "uri"})]
HeaderName = Annotated[str, Field(pattern=TOKEN_PATTERN, max_length=256), AfterValidator(_header_name)]
HeaderValue = Annotated[str, Field(max_length=8192), AfterValidator(_header_value)]


class _Wire(BaseModel):
    """Strict JSON: no unknown fields, no guessed types, no input echoed in errors."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class Proxy(_Wire):
    """The proxy a task's traffic goes through, with no fall-back to a direct connection."""

    server: Annotated[Url, AfterValidator(_proxy_server)] = Field(
        description="scheme://host:port; http, https or socks5"
    )
    username: str | None = Field(None, min_length=1, max_length=256)
    password: SecretStr | None = Field(None, max_length=1024)

    @model_validator(mode="after")
    def _credentials(self) -> Proxy:
        if self.password is not None and self.username is None:
            raise ValueError("password needs a username")
        if self.username is not None and self.server.startswith("socks5:"):
            raise ValueError(
                "the browser cannot log in to a SOCKS5 proxy; use an http proxy for credentials"
            )
        return self


class Cookie(_Wire):
    """A cookie set before the page is opened; also takes what a result gave."""

    name: str = Field(pattern=TOKEN_PATTERN, max_length=256)
    value: Annotated[str, Field(max_length=4096, repr=False), AfterValidator(_cookie_value)]
    url: Annotated[Url, AfterValidator(_page_url)] | None = Field(
        None, description="takes domain and secure from this URL; default: the task's URL"
    )
    domain: str | None = Field(
        None, pattern=r"^\.?[^\s/;:@]+$|^\[[0-9A-Fa-f:.]+\]$", max_length=255
    )
    path: str = Field("/", pattern=r"^/[^;\x00-\x1f\x7f]*$", max_length=1024)
    expires: float = Field(-1, ge=-1, le=253402300799, description="epoch seconds; -1: session")
    httpOnly: bool = False
    secure: bool | None = Field(None, description="default: true for https")
    sameSite: Literal["Strict", "Lax", "None"] = "Lax"
    partitionKey: str | None = Field(None, max_length=2048)

    @model_validator(mode="after")
    def _one_place(self) -> Cookie:
        if self.url is not None and self.domain is not None:
            raise ValueError("give url or domain, not both")
        return self


class SolveRequest(_Wire):
    """Body of POST /solve. At least one of the success conditions must be given; all must hold."""

    url: Annotated[Url, AfterValidator(_page_url)] = Field(
        description="http or https, at most 2048 characters, no user:password in it"
    )
    success_text: (
        Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_visible)] | None
    ) = Field(
        None,
        description="text that shows on the page when it is through: case-sensitive, white space "
        "folded, in the visible text of any frame",
    )
    success_selector: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        None, description="CSS selector that becomes visible, in any frame"
    )
    no_challenge: bool | None = Field(
        None, description="true: the document is not (or no longer) a known challenge"
    )
    timeout: float = Field(
        gt=0, description="seconds from the moment a worker takes the task, at most max-timeout"
    )
    proxy: Proxy | None = None
    cookies: list[Cookie] = Field(default_factory=list, max_length=MAX_COOKIES)
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict,
        max_length=MAX_HEADERS,
        description="extra request headers for the first request",
    )
    screenshot: bool = Field(False, description="adds a PNG of the final page, base64")
    block: list[Literal["image", "media", "font", "stylesheet"]] = Field(
        default_factory=list, max_length=16, description="resource types not to load"
    )

    @model_validator(mode="after")
    def _has_condition(self) -> SolveRequest:
        if self.success_text is None and self.success_selector is None and not self.no_challenge:
            raise ValueError(
                "give at least one condition: success_text, success_selector or no_challenge: true"
            )
        return self

    def to_payload(self) -> dict[str, Any]:
        """Return the request as a JSON dict, secrets included, for the queue."""
        payload = self.model_dump(mode="json", exclude_defaults=True)
        if self.proxy is not None and self.proxy.password is not None:
            payload["proxy"]["password"] = self.proxy.password.get_secret_value()
        return payload


class ResultCookie(BaseModel):
    """A cookie of the browser's context."""

    model_config = ConfigDict(extra="allow")

    name: str
    value: str = Field(repr=False)
    domain: str
    path: str
    expires: float = Field(description="epoch seconds; -1 for session cookies")
    httpOnly: bool
    secure: bool
    sameSite: Literal["Strict", "Lax", "None"]


class Solution(BaseModel):
    """What the browser shows when the conditions hold or the time is up."""

    cookies: list[ResultCookie] = Field(default_factory=list)
    headers: dict[str, str] = Field(
        default_factory=dict, description="of the document now shown; names in lower case"
    )
    status_code: int | None = Field(None, description="null: no document arrived in time")
    html: str = ""
    url: str
    timeout_reached: bool
    user_agent: str | None = None
    request_headers: dict[str, str] = Field(default_factory=dict)
    challenge: str | None = Field(None, description="vendor, if the page is still a challenge")
    screenshot: str | None = Field(None, description="PNG, base64")
    elapsed: float = Field(description="seconds since a worker took the task")


class ErrorBody(BaseModel):
    """Why a request was refused or a task failed."""

    code: str
    message: str


class FieldMessage(BaseModel):
    """What is wrong with one field."""

    field: str
    message: str


class RequestErrorBody(ErrorBody):
    """Why a request was refused."""

    fields: list[FieldMessage] | None = Field(None, description="only for invalid_request")


class ErrorAnswer(BaseModel):
    """Every error answer."""

    error: RequestErrorBody


class SolveAnswer(BaseModel):
    """Answer of POST /solve."""

    task_id: str = Field(json_schema_extra={"format": "uuid"})


class TaskView(BaseModel):
    """Answer of GET /result/{task_id}."""

    status: Literal["pending", "running", "completed", "error", "not_found"]
    error: ErrorBody | None = None
    data: Solution | None = None


class RemoveAnswer(BaseModel):
    """Answer of DELETE /task/{task_id}."""

    success: bool
    message: str


class Health(BaseModel):
    """Answer of GET /health while work can be done."""

    status: Literal["ok"] = "ok"
    workers: int
    running: int
    queue: int
    browser: str = Field(description="name and version of the browser in use")
    version: str
    warning: str | None = Field(None, description="only when another browser stands in")


class Unavailable(BaseModel):
    """Answer of GET /health while it cannot."""

    status: Literal["unavailable"] = "unavailable"
    reason: str
