"""What FlareSolverr's API is asked (its version 3.5.0), and the tasks of ours that this makes."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from captcha_bypass.api.errors import invalid
from captcha_bypass.config import Config
from captcha_bypass.errors import CaptchaBypassError, FieldError
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.wire.fetch import FetchRequest
from captcha_bypass.wire.fields import SessionName
from captcha_bypass.wire.models import MAX_COOKIES, Proxy
from captcha_bypass.wire.task import Task

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT_MS = 60_000
#: What FlareSolverr's messages begin with once it has a browser.
FAILED = "Error solving the challenge. "
FORM_TYPE = "application/x-www-form-urlencoded"
#: What our fields are called in a command.
_PARAMETERS = {
    "form": "postData",
    "body": "postDataRaw",
    "timeout": "maxTimeout",
    "settle": "waitInSeconds",
    "session_ttl": "session_ttl_minutes",
    "proxy.server": "proxy.url",
}
_COOKIE_FIELDS = ("name", "value", "domain", "path", "httpOnly", "secure", "sameSite")


class Refused(CaptchaBypassError):
    """A command is not done; the message is what FlareSolverr says then, if it has words for it.

    Args:
        data: What the task has all the same (wire.results.Solution).
    """

    def __init__(self, message: str, data: JsonDict | None = None) -> None:
        super().__init__(message)
        self.data = data


def _milliseconds(value: object) -> int:
    if value is None:
        return DEFAULT_TIMEOUT_MS
    try:
        number = int(value)  # type: ignore[call-overload]  # whatever Python makes a number of
    except (TypeError, ValueError, OverflowError):
        raise ValueError("must be a whole number of milliseconds") from None
    return number if number >= 1 else DEFAULT_TIMEOUT_MS


def _given_headers(value: object) -> object:
    """Read headers as forks take them: `[{"name": ..., "value": ...}]` or `["Name: value"]`.

    An object is what Prowlarr sends, which means nothing by it: FlareSolverr has never looked at it.
    """
    if not isinstance(value, list):
        return None
    found: dict[str, object] = {}
    for item in value:
        if isinstance(item, dict):
            name, text = item.get("name"), item.get("value")
        elif isinstance(item, str):
            name, _, text = item.partition(":")
            text = text.strip()
        else:
            name, text = None, None
        if not isinstance(name, str) or text is None:
            raise ValueError('must be a list of {"name": ..., "value": ...} or of "Name: value"')
        found[name.strip()] = text
    return found


#: Anything empty counts as not given; a client without a proxy may send {}, [] or "".
Empty = BeforeValidator(lambda value: value or None)


_Headers = Annotated[dict[str, str] | None, BeforeValidator(_given_headers), Field(repr=False)]
_Cookies = Annotated[list[dict[str, Any]], Field(max_length=MAX_COOKIES)]


class Command(BaseModel):
    """The parameters of all commands."""

    model_config = ConfigDict(
        extra="ignore",
        allow_inf_nan=False,
        coerce_numbers_to_str=True,
        hide_input_in_errors=True,
    )

    url: str | None = None
    postData: str | None = Field(None, repr=False)
    postDataRaw: str | None = Field(None, repr=False)
    postDataContentType: Annotated[str | None, Empty] = None
    headers: _Headers = None
    download: bool | None = None
    maxTimeout: Annotated[int, BeforeValidator(_milliseconds)] = DEFAULT_TIMEOUT_MS
    session: Annotated[SessionName | None, Empty] = None
    session_ttl_minutes: Annotated[float, Field(ge=0)] | None = None
    proxy: Annotated[dict[str, Any] | None, Empty, Field(repr=False)] = None
    cookies: Annotated[_Cookies | None, Empty, Field(repr=False)] = None
    returnOnlyCookies: bool | None = None
    returnScreenshot: bool | None = None
    waitInSeconds: float | None = None
    disableMedia: bool | None = None

    @classmethod
    def parse(cls, body: JsonDict) -> Command:
        """Read a command, and say in the log what of it is not looked at.

        Raises:
            Refused: a parameter cannot be what was sent.
        """
        ignored = sorted(set(body) - set(cls.model_fields) - {"cmd"})
        if ignored:
            logger.debug("/v1 ignores parameters it does not know: %.500r", ignored)
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            raise refusal(error) from None

    @property
    def is_fetch(self) -> bool:
        """Whether it is about a request's body or an answer's bytes, and not about a page."""
        return self.postDataRaw is not None or bool(self.download)

    def to_proxy(self) -> Proxy | None:
        """Return the proxy, if there is one.

        Raises:
            Refused: it is none of ours, or a login is given and no proxy to log in to.
        """
        given = self.proxy or {}
        server, username, password = (given.get(key) for key in ("url", "username", "password"))
        if not (server or username or password):
            return None
        fields = {
            "server": server or "",
            "username": username or None,
            "password": password or None,
        }
        try:
            return Proxy.model_validate(fields)
        except ValidationError as error:
            raise refusal(error, "proxy") from None

    def to_task(self, config: Config) -> Task:
        """Return the task that does what is asked.

        Raises:
            Refused: a parameter is not valid.
        """
        proxy = self.to_proxy()
        block_media = config.disable_media if self.disableMedia is None else self.disableMedia
        # Skipped by FlareSolverr, too, where nobody is going to look at the page.
        settle = 0.0 if self.returnOnlyCookies else max(0.0, self.waitInSeconds or 0.0)
        ttl = self.session_ttl_minutes
        fields = {
            **self._common(config),
            "no_challenge": True,
            "proxy": proxy,
            "screenshot": bool(self.returnScreenshot),
            "block": ["image", "media", "font", "stylesheet"] if block_media else [],
            "form": self._form,
            "settle": settle,
            "session_ttl": ttl * 60 if ttl else None,
        }
        try:
            return Task.model_validate(fields)
        except ValidationError as error:
            raise refusal(error) from None

    def to_fetch(self, config: Config) -> FetchRequest:
        """Return the request that the browser is to send.

        Raises:
            Refused: a parameter is not valid.
        """
        fields = {**self._common(config), "proxy": self.to_proxy()}
        body = self._form if self.postDataRaw is None else self.postDataRaw
        if body is not None:
            has_type = any(name.lower() == "content-type" for name in fields["headers"])
            if self.postDataContentType is not None or not has_type:
                kind = self.postDataContentType or FORM_TYPE
                others = {n: v for n, v in fields["headers"].items() if n.lower() != "content-type"}
                fields["headers"] = {**others, "Content-Type": kind}
            fields |= {"method": "POST", "body": body}
        try:
            return FetchRequest.model_validate(fields)
        except ValidationError as error:
            raise refusal(error) from None

    @property
    def _form(self) -> str | None:
        return None if self.postData is None else self.postData.removeprefix("?")

    def _common(self, config: Config) -> JsonDict:
        """Return the fields that tasks and requests have alike."""
        return {
            # Clients in .NET send blanks where others send %20, and browsers read them so.
            "url": (self.url or "").strip().replace(" ", "%20"),
            "timeout": min(self.maxTimeout, config.max_timeout * 1000) / 1000,
            "cookies": [_cookie(cookie) for cookie in self.cookies or []],
            "headers": self.headers or {},
            "session": self.session,
        }


def _cookie(given: dict[str, Any]) -> JsonDict:
    """Take a cookie of Selenium's, Puppeteer's or our own shape; other keys say nothing new.

    Classes of clients have 0 for no end, and null or nothing for what they do not know.
    """
    fields = {name: given.get(name) for name in _COOKIE_FIELDS}
    fields["expires"] = given.get("expiry", given.get("expires")) or None
    partition = given.get("partitionKey")
    fields["partitionKey"] = partition if isinstance(partition, str) else None
    return {k: v for k, v in fields.items() if v is not None and (v != "" or k == "value")}


def refusal(error: ValidationError, within: str = "") -> Refused:
    """Name the first parameter at fault, and never its value.

    Args:
        within: Parameter that the fields are part of.
    """
    return invalid_parameter(invalid(error).fields[0], within)


def invalid_parameter(fault: FieldError, within: str = "") -> Refused:
    """Name the parameter of a fault; see `refusal`."""
    field = f"{within}.{fault.field}" if within else fault.field
    name = _PARAMETERS.get(field, field)
    return Refused(f"Request parameter '{name}' is invalid: {fault.message}.")
