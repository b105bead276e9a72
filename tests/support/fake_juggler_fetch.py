"""What a page of the fake Juggler peer does that fetches: the calls of `fetch.js`, by a request's path."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

Json = dict[str, Any]
#: The body of /fetch/large.
LARGE = bytes(range(256)) * 4000


class NoAnswer(Exception):
    """The call is not answered, as while the site is silent."""


class FetchingPage:
    """The page; the frames that it opens are `frame1`, `frame2` ...

    Args:
        tell: Sends one of its events: the event's name, its parameters.
        part: Bytes of a body that cross at once.
    """

    def __init__(self, tell: Callable[..., None], part: int) -> None:
        self._tell = tell
        self._part = part
        self._uploads: dict[int, bytes] = {}
        self._requests = 0

    def call(self, name: str, slot: int, *args: Any) -> object:  # noqa: ANN401 - as the page is called
        """Do what `fetch.js` does for a call, and return what it returns."""
        return getattr(self, f"_{name}")(slot, *args)

    def _open(self, slot: int) -> None:
        self._uploads[slot] = b""
        self._tell("Page.frameAttached", frameId=f"frame{slot}", parentFrameId="main")

    def _feed(self, slot: int, part: str) -> None:
        self._uploads[slot] += base64.b64decode(part)

    def _take(self, _: int, start: int) -> str:
        return base64.b64encode(LARGE[start : start + self._part]).decode()

    def _drop(self, slot: int) -> None:
        del self._uploads[slot]
        self._tell("Page.frameDetached", frameId=f"frame{slot}")

    def _send(self, slot: int, asked: str) -> str:
        wanted = json.loads(asked)
        kind, _, detail = urlsplit(wanted["url"]).path.removeprefix("/fetch/").partition("/")
        self._requests += 1
        number = f"fetch{self._requests}"
        self._will_be_sent(slot, number, wanted)
        if kind == "hang":
            raise NoAnswer
        if kind == "fail":
            self._tell("Network.requestFailed", requestId=number, errorCode=unquote(detail))
            return json.dumps({"error": "network"})
        upload, self._uploads[slot] = self._uploads[slot], b""
        echo = {**wanted["options"], "sha256": hashlib.sha256(upload).hexdigest()}
        body = LARGE if kind == "large" else json.dumps(echo).encode()
        if kind == "redirect":
            self._received(number, 302, Location=unquote(detail))
            return _head(0, b"", is_redirect=True) + "\n"
        self._received(number, 200, **{"Content-Type": "text/x", "Set-Cookie": "a=1\nb=2"})
        if len(body) > wanted["most"]:
            return json.dumps({"error": "large"})
        return f"{_head(200, body)}\n{base64.b64encode(body[: self._part]).decode()}"

    def _will_be_sent(self, slot: int, number: str, wanted: Json) -> None:
        self._tell(
            "Network.requestWillBeSent",
            frameId=f"frame{slot}",
            requestId=number,
            url=wanted["url"],
            method=wanted["options"]["method"],
            headers=[],
            postData="",
            cause="TYPE_FETCH",
            internalCause="TYPE_FETCH",
            isIntercepted=False,
        )

    def _received(self, number: str, status: int, **headers: str) -> None:
        self._tell(
            "Network.responseReceived",
            requestId=number,
            status=status,
            statusText="",
            headers=[{"name": name, "value": value} for name, value in headers.items()],
            fromServiceWorker=False,
            timing={"startTime": 1000},
        )


def _head(status: int, body: bytes, *, is_redirect: bool = False) -> str:
    told = {"status": status, "isRedirect": is_redirect, "headers": [], "decodes": ["gzip"]}
    return json.dumps({**told, "milliseconds": 1.5, "size": len(body)})
