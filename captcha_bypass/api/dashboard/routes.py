"""The dashboard's API: login, and what its page asks for."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from aiohttp import hdrs, web
from pydantic import Field, SecretStr, ValidationError

from captcha_bypass import __version__
from captcha_bypass.api.access import is_known, owner_of, which_key
from captcha_bypass.api.dashboard.access import API, LOGIN, LOGOUT, SESSION, DashboardAccess
from captcha_bypass.api.dashboard.feed import Feeds
from captcha_bypass.api.dashboard.live import LiveApi
from captcha_bypass.api.errors import invalid
from captcha_bypass.api.submission import read_body
from captcha_bypass.config import Config
from captcha_bypass.errors import NotFound, TooManyWaiting, Unauthorized, UnsupportedMediaType
from captcha_bypass.history import History
from captcha_bypass.wire.models import Wire

#: Seconds that the answer to a wrong key takes; they are given one after the other.
FAILED_SECONDS = 1.0
#: Wrong keys that may wait for their answer.
MAX_FAILED = 10
#: Bytes of an event that are sent at once: so much of it waits for a slow reader, not all.
PIECE_BYTES = 32 * 1024


class LoginRequest(Wire):
    """Body of POST /dashboard/login."""

    key: SecretStr = Field(max_length=4096)


class DashboardApi:
    """The routes."""

    def __init__(
        self,
        config: Config,
        access: DashboardAccess,
        feeds: Feeds,
        history: History,
        live: LiveApi,
    ) -> None:
        self._keys = config.api_keys
        self._access = access
        self._feeds = feeds
        self._history = history
        self._live = live
        self._failed = 0
        self._failing = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [
            web.post(LOGIN, self.log_in),
            web.post(LOGOUT, self.log_out),
            web.get(SESSION, self.session, allow_head=False),
            web.get(f"{API}events", self.events, allow_head=False),
            web.get(f"{API}tasks/{{task_id}}", self.task, allow_head=False),
            web.get(f"{API}tasks/{{task_id}}/live", self._live.live, allow_head=False),
        ]

    async def session(self, request: web.Request) -> web.Response:
        """Say whether whoever asks may see the rest."""
        return self._session(known=is_known(request) or not self._keys)

    async def log_in(self, request: web.Request) -> web.Response:
        """Let in whoever has a key."""
        # A page of another origin may send any other type without being asked for leave.
        if request.content_type != "application/json":
            raise UnsupportedMediaType("Send JSON with the header Content-Type: application/json.")
        try:
            login = LoginRequest.model_validate_json(await read_body(request))
        except ValidationError as error:
            raise invalid(error) from None
        response = self._session(known=True)
        if self._keys:
            place = which_key(login.key.get_secret_value(), self._keys)
            if place is None:
                await self._slow_down()
                raise Unauthorized("That is none of the service's API keys.")
            self._access.log_in(request, response, place)
        return response

    async def log_out(self, request: web.Request) -> web.Response:
        """End the login of whoever asks."""
        response = self._session(known=not self._keys)
        self._access.log_out(request, response)
        return response

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Tell what is new, as server-sent events, until the client or its login goes."""
        with ExitStack() as stack:
            listener = stack.enter_context(self._feeds.listening(owner_of(request)))
            login = self._access.login_of(request)
            if login is not None:
                stack.enter_context(login.watched(listener.close))
            headers = {
                hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8",
                hdrs.CACHE_CONTROL: "no-store",
                "X-Accel-Buffering": "no",  # nginx would keep events until there are 4 KiB
            }
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            try:
                while (events := await listener.news()) is not None:
                    for event in events:
                        for start in range(0, len(event), PIECE_BYTES):
                            await response.write(event[start : start + PIECE_BYTES])
            except ConnectionError:
                pass  # the client has gone, and this was not cancelled yet
        return response

    async def task(self, request: web.Request) -> web.Response:
        """Return all that is known of a task."""
        task_id = request.match_info["task_id"]
        details = self._history.details(task_id, owner_of(request))
        if details is None:
            raise NotFound("No such task, or none that is remembered.")
        return web.json_response({**details, "waiting": self._live.waiting(task_id)})

    def _session(self, *, known: bool) -> web.Response:
        return web.json_response(
            {
                "authenticated": known,
                "needs_key": bool(self._keys),
                "version": __version__,
            }
        )

    async def _slow_down(self) -> None:
        if self._failed >= MAX_FAILED:
            raise TooManyWaiting("Too many wrong keys were tried; try again in some seconds.")
        self._failed += 1
        try:
            async with self._failing:
                await asyncio.sleep(FAILED_SECONDS)
        finally:
            self._failed -= 1
