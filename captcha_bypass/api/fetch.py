"""POST /fetch: one request that a browser sends which has a site's clearance."""

from __future__ import annotations

import asyncio
import json
import logging
from binascii import b2a_base64
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from aiohttp import hdrs, web
from pydantic import ValidationError

from captcha_bypass.api.access import owner_of
from captcha_bypass.api.errors import invalid
from captcha_bypass.api.submission import BODY_SECONDS, check_timeout
from captcha_bypass.config import Config
from captcha_bypass.errors import (
    BodyTooLarge,
    CaptchaBypassError,
    RequestError,
    SlowBody,
    TooManyWaiting,
    UnsupportedMediaType,
)
from captcha_bypass.wire.fetch import Fetched, FetchRequest

logger = logging.getLogger(__name__)

#: Bytes of a request beside its body: the URL, headers, cookies.
REST_BYTES = 256 * 1024
#: Bytes of a request from which it is read in a thread.
THREAD_BYTES = 32 * 1024
#: Bytes of an answer's body that are encoded and sent at once: a multiple of 3, so that base64 fits.
PIECE_BYTES = 24 * 1024
#: Our status for each code; the others are 502: something between here and the site did not work.
STATUS = {
    "browser_unavailable": 503,
    "timeout": 504,
    "internal_error": 500,
}
#: Told of each request: the outcome (`answered`, `cancelled`, or the code of its error), the seconds it
#: took, and the bytes of its body and of its answer's.
Report = Callable[[str, float, int, int], None]


class Fetching(Protocol):
    """Sends requests through browsers; fetching.sites does."""

    async def fetch(self, request: FetchRequest, owner: str) -> Fetched:
        """Return what a site answers, once no challenge is in the way.

        A caller that is cancelled ends the request at the site.

        Raises:
            RequestError: it is not taken.
            CaptchaBypassError: there is no answer; the code says why, see STATUS.
        """


class FetchApi:
    """The route.

    Args:
        report: Told of each request that was taken.
    """

    def __init__(self, config: Config, fetching: Fetching, report: Report) -> None:
        self._config = config
        self._fetching = fetching
        self._report = report
        self._most_body = config.max_fetch_bytes * 4 // 3 + REST_BYTES
        self._reading = asyncio.Lock()
        self._running = 0
        #: Bytes of requests and answers that are held.
        self._held = 0

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [web.post("/fetch", self.fetch)]

    async def fetch(self, request: web.Request) -> web.Response:
        """Send a request, and pass the site's answer on."""
        if request.content_type != "application/json":
            raise UnsupportedMediaType("Send JSON with the header Content-Type: application/json.")
        declared = request.content_length
        size = self._most_body if declared is None else declared
        if size > self._most_body:
            raise self._too_large()
        with self._place(), self._holding(size):
            fetch = await self._parsed(await self._body(request))
            check_timeout(fetch.timeout, self._config)
            return await self._answered(fetch, owner_of(request))

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._running >= self._config.max_waiting:
            raise TooManyWaiting(
                f"{self._running} requests wait for sites; try again later or raise --max-waiting."
            )
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    @contextmanager
    def _holding(self, size: int) -> Iterator[None]:
        if self._held and self._held + size > self._config.max_results_bytes:
            raise TooManyWaiting(
                f"Requests and answers hold {self._held} bytes; try again later, or raise "
                "--max-results-bytes."
            )
        self._held += size
        try:
            yield
        finally:
            self._held -= size

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(
            f"The request is over {self._most_body} bytes; send less, or raise --max-fetch-bytes."
        )

    async def _body(self, request: web.Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > self._most_body:
                        raise self._too_large()
        except TimeoutError:
            raise SlowBody(f"The body did not arrive within {BODY_SECONDS:g} seconds.") from None
        return bytes(body)

    async def _parsed(self, body: bytes) -> FetchRequest:
        try:
            if len(body) < THREAD_BYTES:
                return FetchRequest.model_validate_json(body)
            async with self._reading:  # one after the other, or threads would starve the event loop
                return await asyncio.to_thread(FetchRequest.model_validate_json, body)
        except ValidationError as error:
            raise invalid(error) from None

    async def _answered(self, fetch: FetchRequest, owner: str) -> web.Response:
        clock = asyncio.get_running_loop().time
        started = clock()
        outcome, found = "internal_error", None
        try:
            found = await self._fetching.fetch(fetch, owner)
            outcome = "answered"
            return self._answer(found, clock() - started)
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except RequestError as error:
            outcome = error.code
            raise
        except CaptchaBypassError as error:
            outcome = error.code
            body = {"error": {"code": error.code, "message": str(error)}}
            return web.json_response(body, status=STATUS.get(error.code, 502))
        finally:
            self._tell(fetch, outcome, found, clock() - started)

    def _tell(
        self, fetch: FetchRequest, outcome: str, found: Fetched | None, seconds: float
    ) -> None:
        received = 0 if found is None else len(found.body)
        self._report(outcome, seconds, len(fetch.content or b""), received)
        told = {"host": fetch.host, "outcome": outcome, "seconds": round(seconds, 4)}
        if found is not None:
            told |= {"status": found.status, "bytes": received}
            told |= {"page_seconds": round(found.page_seconds, 4)}
        logger.debug("fetch ended", extra=told)

    def _answer(self, found: Fetched, seconds: float) -> web.Response:
        rest = {
            "status": found.status,
            "headers": found.headers,
            "url": found.url,
            "decoded": found.decoded,
            "solved": found.solved,
            "user_agent": found.user_agent,
            "elapsed": round(seconds, 4),
        }
        if len(found.body) <= PIECE_BYTES:
            return web.json_response({**rest, "body": _base64(found.body).decode()})
        headers = {hdrs.CONTENT_TYPE: "application/json; charset=utf-8"}
        return web.Response(body=self._sent(rest, found.body), headers=headers)

    async def _sent(self, rest: dict[str, object], body: bytes) -> AsyncGenerator[bytes, None]:
        """Make a large answer as its reader takes it."""
        self._held += len(body)
        try:
            yield json.dumps(rest)[:-1].encode() + b', "body": "'
            for start in range(0, len(body), PIECE_BYTES):
                yield _base64(body[start : start + PIECE_BYTES])
            yield b'"}'
        finally:
            self._held -= len(body)


def _base64(data: bytes) -> bytes:
    return b2a_base64(data, newline=False)
