"""What a task's clearance is good for, and who may share it; read from what the queue keeps of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import urlsplit

from captcha_bypass.challenges import is_clearance
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.wire.fields import host_of

#: Headers that browsers send by themselves: they tell no visitor from another.
_ORDINARY_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "cache-control", "dnt", "origin"),
        *("pragma", "priority", "referer", "upgrade-insecure-requests"),
    }
)
#: What of a task says how a solve may end; tasks that differ in it wait for no common one.
_WISH = (
    *("success_text", "success_selector", "no_challenge", "timeout", "block", "screenshot"),
    "on_challenge",
)
#: A result with more shares nothing: looking at each would take long. Firefox keeps as many of one host
#: (`network.cookie.maxPerHost`).
MAX_COOKIES = 180
_PORTS = {"http": 80, "https": 443}


class ClearanceKey(NamedTuple):
    """What one clearance is good for."""

    #: For whom: one for each API key.
    owner: str
    #: scheme://host:port
    origin: str
    #: Digest of the proxy and its login; empty: that of tasks which name none.
    proxy: str

    @property
    def host(self) -> str:
        """The site's host, as log lines have it."""
        return host_of(self.origin)


@dataclass(frozen=True)
class Terms:
    """On which terms a task shares with others.

    Attributes:
        reuse: Seconds that a clearance may be old; None: none will do.
        wish: Digest of all that decides how a solve ends.
        conditional: Whether the page itself had to show that it is through.
        own: Names of the cookies that the task brought along.
    """

    key: ClearanceKey
    reuse: float | None
    wish: str
    conditional: bool
    own: frozenset[str] = field(repr=False)

    @classmethod
    def of(cls, payload: JsonDict) -> Terms | None:
        """Return the terms of a task (wire.task.Task.to_payload); None: it shares nothing.

        That is one in a session, one with a form, and one with headers that no browser sends by itself,
        such as Authorization: what it gets may be good for it alone.
        """
        headers = {name.lower() for name in payload.get("headers", ())}
        own = payload.get("session") is not None or payload.get("form") is not None
        if own or "url" not in payload or any(map(_is_unusual, headers)):
            return None
        proxy = payload.get("proxy")
        key = ClearanceKey(
            payload.get("owner", ""),
            _origin(payload["url"]),
            "" if proxy is None else _digest(proxy),
        )
        return cls(
            key,
            payload.get("reuse"),
            _digest([key, [payload.get(name) for name in _WISH]]),
            bool(payload.get("success_text") or payload.get("success_selector")),
            frozenset(cookie["name"] for cookie in payload.get("cookies", ())),
        )

    def is_clearance(self, data: JsonDict) -> bool:
        """Whether a result (wire.results.Solution) got through, by what is known of it.

        A page that was open all the time clears nothing: a challenge was met and is gone, or a
        vendor's cookie is there, or the page showed what was asked for.
        """
        cookies = data.get("cookies", ())
        failed = data.get("timeout_reached") or data.get("challenge") or data.get("block")
        if failed or len(cookies) > MAX_COOKIES:
            return False
        if data.get("solved") or self.conditional:
            return True
        return any(is_clearance(cookie["name"]) for cookie in cookies)

    def shared(self, data: JsonDict) -> JsonDict:
        """Return what others may have of a result: no page, and no cookie that the task brought along.

        A vendor's cookies stay: what was sent is an older clearance, what came back the new one.
        """
        cookies = [
            cookie
            for cookie in data.get("cookies", ())
            if cookie["name"] not in self.own or is_clearance(cookie["name"])
        ]
        return {**data, "cookies": cookies, "html": "", "headers": {}, "request_headers": {}}


def for_others(data: JsonDict | None, error: JsonDict | None, terms: Terms) -> JsonDict:
    """Return how a task has ended for those that have waited for it."""
    outcome: JsonDict = {} if error is None else {"error": error}
    if data is not None:
        shared = terms.shared(data)
        if shared.get("clearance") is not None:
            shared["clearance"] = {**shared["clearance"], "reused": True}
        outcome["data"] = shared
    return outcome


def seconds_left(data: JsonDict) -> float | None:
    """Return how long a result's clearance is good by its cookies; None: they do not say.

    The first to end counts, of the cookies of the vendor that challenged, or else of any vendor's, or
    else of all.
    """
    cookies, solved = data.get("cookies", []), data.get("solved")
    found = [cookie for cookie in cookies if solved and is_clearance(cookie["name"], solved)]
    found = found or [cookie for cookie in cookies if is_clearance(cookie["name"])] or cookies
    ends = [cookie["expires"] for cookie in found if cookie["expires"] >= 0]
    return min(ends) - time.time() if ends else None


def _is_unusual(header: str) -> bool:
    return header not in _ORDINARY_HEADERS and not header.startswith("sec-")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.hostname or "").removesuffix(".")
    return f"{parts.scheme}://{host}:{parts.port or _PORTS.get(parts.scheme, 0)}"


def _digest(value: object) -> str:
    return blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()
