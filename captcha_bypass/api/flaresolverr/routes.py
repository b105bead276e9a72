"""FlareSolverr's API over our queue: POST /v1 and GET /."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from aiohttp import web
from pydantic_core import from_json

from captcha_bypass import __version__
from captcha_bypass.api.access import owner_of
from captcha_bypass.api.fetch_places import FetchPlaces
from captcha_bypass.api.flaresolverr import fetches
from captcha_bypass.api.flaresolverr.answers import failure, solution, success
from captcha_bypass.api.flaresolverr.commands import Command, Refused
from captcha_bypass.api.flaresolverr.errors import COMMAND_PATHS
from captcha_bypass.api.flaresolverr.solves import Solves
from captcha_bypass.api.sessions import Sessions
from captcha_bypass.api.submission import read_body
from captcha_bypass.config import Config
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.errors import ShuttingDown
from captcha_bypass.status import StatusBoard
from captcha_bypass.tasks.base import JsonDict, TaskQueue
from captcha_bypass.wire.task import SessionKey

#: A body of any other type counts as empty, so that no page of another origin can send commands.
JSON_TYPES = frozenset({"application/json", "application/json-rpc"})


class _Ended:
    """How a command has ended, in the words of FlareSolverr's metrics."""

    def __init__(self) -> None:
        self.result = "error"

    def well(self, solved: str | None) -> None:
        """Note that it has ended well; `solved` is the vendor of a challenge that was passed."""
        self.result = "solved" if solved else "not_detected"

    @property
    def message(self) -> str:
        """What clients of FlareSolverr look for."""
        return "Challenge solved!" if self.result == "solved" else "Challenge not detected!"


class FlareSolverrApi:
    """The routes, over a queue and sessions.

    Args:
        places: Sends what is not about a page.
        board: Tells how the browsers stand. `GET /` shows a user agent with their version until a
            page was opened; from then on it is what was sent last.
        report: Called once a task of `/v1` is over with the host, how it ended (`solved`,
            `not_detected`, `error`, or `unknown` where the client hung up) and the seconds it took.
    """

    def __init__(
        self,
        config: Config,
        queue: TaskQueue,
        sessions: Sessions,
        board: StatusBoard,
        places: FetchPlaces,
        *,
        report: Callable[[str, str, float], None],
    ) -> None:
        self._config = config
        self._queue = queue
        self._sessions = sessions
        self._board = board
        self._places = places
        self._solves = Solves(config, queue, board)
        self._report = report
        self._sent: str | None = None
        self._commands: dict[str, Callable[[Command, str], Awaitable[JsonDict]]] = {
            "request.get": self._get,
            "request.post": self._post,
            "sessions.create": self._create,
            "sessions.list": self._list,
            "sessions.destroy": self._destroy,
        }

    async def _user_agent(self) -> str:
        if self._sent is not None:
            return self._sent
        status = await self._board.now()
        major = status.readiness.version.partition(".")[0]
        if not major:
            return ""
        return f"Mozilla/5.0 (X11; Linux x86_64; rv:{major}.0) Gecko/20100101 Firefox/{major}.0"

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        commands = [web.post(path, self.v1) for path in sorted(COMMAND_PATHS)]
        return [*commands, web.get("/", self.index)]

    async def index(self, request: web.Request) -> web.Response:
        """Say what FlareSolverr says; some clients look for it."""
        return web.json_response(
            {
                "msg": "FlareSolverr is ready!",
                "version": __version__,
                "userAgent": await self._user_agent(),
            }
        )

    async def v1(self, request: web.Request) -> web.Response:
        """Run one command, and answer when it is done. Errors not refused here get the same shape."""
        started = time.time()
        try:
            return success(await self._run(await _body(request), owner_of(request)), started)
        except Refused as error:
            found = None
            if error.data is not None:
                user_agent = await self._user_agent()
                found = solution(error.data, user_agent, only_cookies=False, screenshot=False)
            return failure(str(error), started, found)

    async def _run(self, body: JsonDict, owner: str) -> JsonDict:
        name = body.get("cmd")
        if name is None:
            raise Refused("Request parameter 'cmd' is mandatory.")
        command = self._commands.get(str(name))
        if command is None:
            raise Refused(f"Request parameter 'cmd' = '{name}' is invalid.")
        if self._queue.stopping:
            raise ShuttingDown
        return await command(Command.parse(body), owner)

    async def _get(self, command: Command, owner: str) -> JsonDict:
        if command.url is None:
            raise Refused("Request parameter 'url' is mandatory in 'request.get' command.")
        if command.postData is not None:
            raise Refused("Cannot use 'postBody' when sending a GET request.")
        if command.postDataRaw is not None:
            raise Refused("Cannot use 'postDataRaw' when sending a GET request.")
        return await self._solve(command, owner)

    async def _post(self, command: Command, owner: str) -> JsonDict:
        if command.postData is not None and command.postDataRaw is not None:
            raise Refused("Cannot use both 'postData' and 'postDataRaw'.")
        if command.postData is None and command.postDataRaw is None:
            raise Refused("Request parameter 'postData' is mandatory in 'request.post' command.")
        if command.url is None:
            raise Refused("Request parameter 'url' is mandatory in 'request.post' command.")
        return await self._solve(command, owner)

    async def _create(self, command: Command, owner: str) -> JsonDict:
        name = command.session or str(uuid4())
        proxy = command.to_proxy()
        upstream = None if proxy is None else Upstream.of(proxy)
        is_new = await self._sessions.create(SessionKey(owner, name), upstream)
        message = "Session created successfully." if is_new else "Session already exists."
        return {"message": message, "session": name}

    async def _list(self, command: Command, owner: str) -> JsonDict:
        return {"message": "", "sessions": await self._sessions.names(owner)}

    async def _destroy(self, command: Command, owner: str) -> JsonDict:
        name = command.session
        if name is None or not await self._sessions.destroy(SessionKey(owner, name)):
            raise Refused("The session doesn't exist.")
        return {"message": "The session has been removed."}

    async def _solve(self, command: Command, owner: str) -> JsonDict:
        if command.is_fetch:
            return await self._fetch(command, owner)
        task = command.to_task(self._config)
        with self._reporting(task.host) as ended:
            data = await self._solves.outcome(task, owner)
            ended.well(data["solved"])
        found = solution(
            data,
            await self._user_agent(),
            only_cookies=bool(command.returnOnlyCookies),
            screenshot=task.screenshot,
        )
        self._sent = found["userAgent"]
        return {"message": ended.message, "solution": found}

    async def _fetch(self, command: Command, owner: str) -> JsonDict:
        request = command.to_fetch(self._config)
        with self._reporting(request.host) as ended:
            answer = await fetches.send(self._places, request, owner)
            ended.well(answer.solved)
        found = await fetches.solution(
            answer,
            only_cookies=bool(command.returnOnlyCookies),
            as_base64=bool(command.download),
        )
        self._sent = answer.user_agent
        return {"message": ended.message, "solution": found}

    @contextmanager
    def _reporting(self, host: str) -> Iterator[_Ended]:
        clock = asyncio.get_running_loop().time
        started, ended = clock(), _Ended()
        try:
            yield ended
        except asyncio.CancelledError:  # the client hung up
            ended.result = "unknown"
            raise
        finally:
            domain = host.strip("[]")  # FlareSolverr's label has no brackets
            self._report(domain, ended.result, clock() - started)


async def _body(request: web.Request) -> JsonDict:
    """Return the command as JSON; what is no object has no parameters."""
    data = await read_body(request) if request.content_type in JSON_TYPES else b""
    if not data:
        return {}
    try:
        body = from_json(data)
    except ValueError:
        raise Refused("Invalid JSON") from None
    return body if isinstance(body, dict) else {}
