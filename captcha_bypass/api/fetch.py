"""POST /fetch: one request that a browser sends which has a site's clearance."""

from __future__ import annotations

import asyncio
import json
from binascii import b2a_base64
from collections.abc import AsyncGenerator

from aiohttp import hdrs, web
from pydantic import ValidationError

from captcha_bypass.api.access import owner_of
from captcha_bypass.api.errors import invalid
from captcha_bypass.api.fetch_places import FetchPlaces
from captcha_bypass.api.submission import BODY_SECONDS, check_timeout, decided
from captcha_bypass.config import Config
from captcha_bypass.errors import (
    BodyTooLarge,
    CaptchaBypassError,
    RequestError,
    SlowBody,
    UnsupportedMediaType,
)
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.wire.fetch import Fetched, FetchRequest, NotThrough

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


class FetchApi:
    """The route."""

    def __init__(self, config: Config, places: FetchPlaces) -> None:
        self._config = config
        self._places = places
        self._most_body = config.max_fetch_bytes * 4 // 3 + REST_BYTES
        self._reading = asyncio.Lock()

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
        with self._places.place(size):
            fetch = decided(await self._parsed(await self._body(request)), self._config)
            check_timeout(fetch.timeout, self._config)
            return await self._answered(fetch, owner_of(request))

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
        try:
            found = await self._places.send(fetch, owner)
        except RequestError:
            raise
        except CaptchaBypassError as error:
            return web.json_response({"error": _told(error)}, status=STATUS.get(error.code, 502))
        return self._answer(found, clock() - started)

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
        with self._places.holding(len(body)):
            yield json.dumps(rest)[:-1].encode() + b', "body": "'
            for start in range(0, len(body), PIECE_BYTES):
                yield _base64(body[start : start + PIECE_BYTES])
            yield b'"}'


def _told(error: CaptchaBypassError) -> JsonDict:
    """Return code and message, and what was in the way where that is known."""
    told: JsonDict = {"code": error.code, "message": str(error)}
    if isinstance(error, NotThrough) and error.obstacle is not None:
        told |= error.obstacle.model_dump(mode="json")
    return told


def _base64(data: bytes) -> bytes:
    return b2a_base64(data, newline=False)
