"""Talks to the service: one request and its answer by POST /fetch."""

from __future__ import annotations

import asyncio
import json
from binascii import a2b_base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from captcha_bypass_scrapy.answers import (
    REFUSED_PAUSE,
    describe,
    evidence_of,
    json_object,
    message_of,
    refusal,
    retry_after,
    unsolved,
)
from captcha_bypass_scrapy.errors import CrawlEnding, FetchFailed, SolveError, SolverUnavailable
from captcha_bypass_scrapy.progress import DOWN_PAUSE

if TYPE_CHECKING:
    from collections.abc import Callable

    from captcha_bypass_scrapy.connection import Connection

#: Seconds beyond a request's timeout, in which the service says how it ended.
GRACE_SECONDS = 15.0
#: Seconds that are added where a person may be waited for; the service ends it earlier
#: (--human-timeout).
HUMAN_SECONDS = 3600.0
#: Bytes of an answer beside its body: the headers, several times what browsers take.
_REST_BYTES = 1024 * 1024
#: Bytes of an answer from which it is read in a thread.
_THREAD_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a site has answered, as the service tells it.

    Attributes:
        headers: Pairs; each character of a value is one byte.
        decoded: The Content-Encoding that the browser has undone.
        solved: Vendor of a challenge that was passed for this request.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes = field(repr=False)
    decoded: str | None
    solved: str | None


class FetchClient:
    """Sends requests through the service.

    Args:
        long_poll: Seconds between two questions whether the spider is closing.
    """

    def __init__(
        self, connection: Connection, *, long_poll: float, closing: Callable[[], bool]
    ) -> None:
        self._connection = connection
        self._long_poll = long_poll
        self._closing = closing

    async def fetch(self, body: dict[str, Any], *, most: int, leaves: bool) -> Fetched:
        """Return what the site answers.

        Args:
            body: Body of POST /fetch.
            most: Bytes of the answer's body; 0: any number.
            leaves: Whether the request is given up where the spider closes.

        Raises:
            FetchFailed: there is no answer.
            SolveError: the service does not take the request, or did not get past the challenge.
            SolverUnavailable: none would get an answer.
            CrawlEnding: the spider is closing.
        """
        if not leaves:
            return await self._fetch(body, most)
        asking = asyncio.ensure_future(self._fetch(body, most))
        try:
            while not asking.done():
                if self._closing():
                    raise CrawlEnding
                await asyncio.wait({asking}, timeout=self._long_poll)
        finally:
            if not asking.done():
                asking.cancel()  # which hangs up, so that the site's answer is not waited for
                await asyncio.wait({asking})
        return asking.result()

    async def _fetch(self, body: dict[str, Any], most: int) -> Fetched:
        seconds = body["timeout"] + GRACE_SECONDS
        if body.get("on_challenge") == "wait":
            seconds += HUMAN_SECONDS
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=5)
        try:
            async with self._connection.request(
                "POST", "/fetch", json=body, timeout=timeout
            ) as response:
                text = await _read(response, most)
                if response.status != 200:
                    raise self._failure(response.status, text, response.headers)
        except TimeoutError as error:
            message = f"no answer from the service at {self._connection.shown} in time"
            raise SolverUnavailable(message, DOWN_PAUSE) from error
        except (aiohttp.ClientError, OSError) as error:
            raise SolverUnavailable(
                f"no answer from the service at {self._connection.shown} ({describe(error)});"
                " is it running?",
                DOWN_PAUSE,
            ) from error
        if len(text) < _THREAD_BYTES:
            return _fetched(text)
        return await asyncio.to_thread(_fetched, text)

    def _failure(self, status: int, text: bytes, headers: Any) -> Exception:  # noqa: ANN401 - aiohttp's
        answer = json_object(text.decode(errors="replace"))
        told = answer.get("error")
        error: dict[str, Any] = told if isinstance(told, dict) else {}
        code, message = str(error.get("code", "")), message_of(answer)
        evidence = evidence_of(error)
        if code == "challenge_not_passed" or (code == "timeout" and evidence.unmet):
            return unsolved(message, evidence)
        if code == "blocked_address":
            return SolveError(f"{code}: {message}", "rejected")
        if status in {500, 502, 504, 408} and code:
            return FetchFailed(code, message)
        if status == 503 and code:
            text_ = f"the service takes no requests: {message}"
            return SolverUnavailable(text_, retry_after(headers), "busy")
        return refusal(status, answer, f"{self._connection.shown}/fetch", "request")


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    if not most:
        return await response.read()
    bound = most * 4 // 3 + _REST_BYTES
    text = bytearray()
    async for chunk in response.content.iter_any():
        text += chunk
        if len(text) > bound:
            raise FetchFailed("answer_too_large", f"The answer is larger than {most} bytes.")
    return bytes(text)


def _fetched(text: bytes) -> Fetched:
    """Read an answer.

    Raises:
        SolverUnavailable: it is not the service's own.
    """
    try:
        found = json.loads(text)
        return Fetched(
            int(found["status"]),
            [(str(name), str(value)) for name, value in found["headers"]],
            a2b_base64(found["body"], strict_mode=True),
            found["decoded"],
            found["solved"],
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SolverUnavailable(
            "an answer has not the fields of captcha-bypass; is CAPTCHA_BYPASS_URL right?",
            REFUSED_PAUSE,
            "refusing",
        ) from error
