"""What the service answers, typed. Nothing here changes once it is made."""

from __future__ import annotations

import json
from binascii import a2b_base64
from dataclasses import dataclass, field
from email.message import Message
from typing import TYPE_CHECKING, Any, Self

from captcha_bypass.client.cookies import Cookie, jar_of, netscape
from captcha_bypass.client.obstacles import Hint
from captcha_bypass.client.secret_files import write_secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.cookiejar import CookieJar
    from pathlib import Path

Json = dict[str, Any]


@dataclass(frozen=True)
class SharedClearance:
    """What other programs get of a result, see docs/api.md.

    Attributes:
        age: Seconds since the browser got it, when the task ended.
        reused: Whether another task has got it; the result has no page then.
    """

    id: str
    age: float
    reused: bool

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Self:
        """Read the service's.

        Raises:
            KeyError: it is none.
        """
        return cls(str(fields["id"]), float(fields["age"]), bool(fields["reused"]))


@dataclass(frozen=True)
class SolveResult:
    """A page as the browser has it at the end. The fields are those of the API (docs/api.md).

    Attributes:
        cookie_list: All cookies of the browser; `cookies` has them as a jar.
        screenshot: PNG.
        elapsed: Seconds since a worker took the task.
        clearance: None: it is shared with nobody.
        raw: All that the service has said.
    """

    url: str
    status_code: int | None
    headers: Mapping[str, str] = field(repr=False)
    html: str = field(repr=False)
    cookie_list: tuple[Cookie, ...]
    user_agent: str | None
    timeout_reached: bool
    challenge: str | None
    solved: str | None
    block: str | None
    challenge_kind: str | None
    unmet: tuple[str, ...]
    hints: tuple[Hint, ...]
    failed_requests: Mapping[str, int] = field(repr=False)
    screenshot: bytes | None = field(repr=False)
    elapsed: float
    clearance: SharedClearance | None
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read the field `data` of a task's result.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        shot, shared = data.get("screenshot"), data.get("clearance")
        return cls(
            url=str(data["url"]),
            status_code=data["status_code"],
            headers=dict(data["headers"]),
            html=str(data["html"]),
            cookie_list=tuple(Cookie.read(item) for item in data["cookies"]),
            user_agent=data["user_agent"],
            timeout_reached=bool(data["timeout_reached"]),
            challenge=data["challenge"],
            solved=data.get("solved"),
            block=data.get("block"),
            challenge_kind=data.get("challenge_kind"),
            unmet=tuple(map(str, data.get("unmet", ()))),
            hints=tuple(map(Hint.read, data.get("hints", ()))),
            failed_requests=dict(data.get("failed_requests", {})),
            screenshot=None if shot is None else a2b_base64(shot),
            elapsed=float(data.get("elapsed", 0)),
            clearance=None if shared is None else SharedClearance.read(shared),
            raw=data,
        )

    @property
    def cookies(self) -> CookieJar:
        """A new jar with the cookies, for requests, httpx and urllib.

        They count only together with `user_agent`, and from the same IP address.
        """
        return jar_of(self.cookie_list)

    def save_netscape(self, path: str | Path) -> None:
        """Write the cookies for `curl -b`, wget and yt-dlp, into a file that is yours alone."""
        write_secret(path, netscape(self.cookie_list))

    def storage_state(self) -> Json:
        """Return the cookies as Playwright's `new_context(storage_state=...)` takes them."""
        return {"cookies": [cookie.fields() for cookie in self.cookie_list], "origins": []}


@dataclass(frozen=True)
class FetchResult:
    """The site's own answer to a request that the browser has sent.

    Attributes:
        headers: Pairs in the order in which they came, several of one name too; each character of a
            value is one byte.
        content: The body, with the Content-Encoding `decoded` undone.
        solved: Vendor of a challenge that was passed for it.
        elapsed: Seconds, a solve included.
    """

    status_code: int
    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    content: bytes = field(repr=False)
    decoded: str | None
    solved: str | None
    user_agent: str
    elapsed: float

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an answer of POST /fetch.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        return cls(
            int(data["status"]),
            str(data["url"]),
            tuple((str(name), str(value)) for name, value in data["headers"]),
            a2b_base64(data["body"], strict_mode=True),
            data["decoded"],
            data["solved"],
            str(data["user_agent"]),
            float(data["elapsed"]),
        )

    def header(self, name: str, default: str = "") -> str:
        """Return a header's first value; upper and lower case do not count."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), default)

    @property
    def text(self) -> str:
        """The body as text, by the charset that it says or as UTF-8; what is none becomes U+FFFD."""
        told = Message()
        told["Content-Type"] = self.header("Content-Type") or "text/plain"
        try:
            return self.content.decode(told.get_content_charset() or "utf-8", "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:  # noqa: ANN401 - whatever the site says
        """Return the body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.content)


@dataclass(frozen=True)
class Health:
    """Whether the service can run tasks.

    Attributes:
        status: `ok`, `starting` or `unavailable`.
        reason: Why not, where it is `unavailable`.
        raw: All that the service has said.
    """

    status: str
    reason: str | None
    version: str | None
    browser: str | None
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether it can."""
        return self.status == "ok"
