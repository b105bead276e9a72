"""The native API: /solve, /result, /task, /clearances, /sessions, /health, /live, /openapi.json."""

from __future__ import annotations

import asyncio

from aiohttp import web
from pydantic import BaseModel, ValidationError

from captcha_bypass import __version__
from captcha_bypass.api.access import owner_of
from captcha_bypass.api.errors import invalid
from captcha_bypass.api.large import Outbox
from captcha_bypass.api.native.answers import (
    Health,
    Live,
    NodeView,
    RefusedAnswer,
    RefusedClearance,
    RemoveAnswer,
    SessionsAnswer,
    SolveAnswer,
    Unavailable,
)
from captcha_bypass.api.native.openapi import document
from captcha_bypass.api.native.waiting import WaitingPlaces, wait_of
from captcha_bypass.api.sessions import Sessions
from captcha_bypass.api.submission import decided, read_body, submit
from captcha_bypass.concurrency import uninterrupted
from captcha_bypass.config import Config
from captcha_bypass.errors import (
    ShuttingDown,
    TooManyWaiting,
    UnsupportedMediaType,
)
from captcha_bypass.history import History
from captcha_bypass.sharing.clearances import Refusable
from captcha_bypass.status import StatusBoard
from captcha_bypass.tasks.base import Record, TaskQueue
from captcha_bypass.wire.models import SolveRequest
from captcha_bypass.wire.task import SessionKey

#: Bytes of a body from which it is read in a thread.
THREAD_BYTES = 32 * 1024
#: What anybody may get who reaches the port: health checks of containers and balancers have no key.
OPEN_PATHS = frozenset({"/health", "/live"})
#: Of a path segment: by itself aiohttp takes no braces.
_ANY = ":[^/]+"


class NativeApi:
    """The routes, over a queue."""

    def __init__(
        self,
        config: Config,
        queue: TaskQueue,
        sessions: Sessions,
        board: StatusBoard,
        history: History,
        clearances: Refusable,
    ) -> None:
        self._config = config
        self._queue = queue
        self._clearances = clearances
        self._sessions = sessions
        self._board = board
        self._history = history
        self._openapi = document(config.max_timeout)
        self._places = WaitingPlaces(config.max_waiting)
        self._reading = asyncio.Lock()
        self._outbox = Outbox(most=config.max_waiting, most_bytes=config.max_results_bytes)

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [
            web.post("/solve", self.solve),
            web.get(f"/result/{{task_id{_ANY}}}", self.result, allow_head=False),
            web.delete(f"/task/{{task_id{_ANY}}}", self.remove),
            web.post("/clearances/refused", self.refuse_clearance),
            web.get("/sessions", self.list_sessions, allow_head=False),
            web.delete(f"/sessions/{{name{_ANY}}}", self.destroy_session),
            web.get("/health", self.health),
            web.get("/live", self.live),
            web.get("/openapi.json", self.openapi, allow_head=False),
        ]

    async def solve(self, request: web.Request) -> web.Response:
        """Queue a task; with `wait`, answer with its result if it ends within so many seconds."""
        _check_json(request)
        wait = wait_of(request)
        if self._queue.stopping:
            raise ShuttingDown
        try:
            parsed = await self._parsed(await read_body(request))
        except ValidationError as error:
            raise invalid(error) from None
        solve_request = decided(parsed, self._config)
        owner = owner_of(request)
        if not wait:
            return _queued(await submit(self._queue, self._config, solve_request, owner))
        with (
            self._places.one()
        ):  # before the task is queued, so that a refused request changes nothing
            task_id = await submit(self._queue, self._config, solve_request, owner)
            record = await self._ended(task_id, wait)
        if record is not None and not record.finished:
            return _queued(task_id)
        try:
            return self._view(task_id, record)
        except TooManyWaiting:  # its result can be read later; the client needs the id for that
            return _queued(task_id)

    async def _ended(self, task_id: str, wait: float) -> Record | None:
        """Wait for a task of which only this request's client knows, and end it with the client."""
        try:
            return await self._queue.wait(task_id, wait)
        except asyncio.CancelledError:  # it hung up
            await uninterrupted(self._queue.remove(task_id))
            raise

    async def _parsed(self, body: bytes) -> SolveRequest:
        """Read a request; one whose reading may take 30 ms is not read on the event loop.

        Raises:
            ValidationError: it is not valid.
        """
        if len(body) < THREAD_BYTES:
            return SolveRequest.model_validate_json(body)
        async with self._reading:  # one after the other, or threads would starve the event loop
            return await asyncio.to_thread(SolveRequest.model_validate_json, body)

    async def result(self, request: web.Request) -> web.Response:
        """Return a task's state, holding the answer up to `wait` seconds until it ends."""
        task_id = request.match_info["task_id"]
        wait = wait_of(request)
        record = await self._own(request)
        if wait and record is not None and not record.finished:
            with self._places.one():
                record = await self._queue.wait(task_id, wait)
        return self._view(task_id, record)

    def _view(self, task_id: str, record: Record | None) -> web.Response:
        """Return the answer about a task.

        Raises:
            TooManyWaiting: its result is large, and too much is being sent already.
        """
        if record is None:
            nothing = {"status": "not_found", "error": None, "data": None}
            return web.json_response(nothing, status=404)
        view = {"status": record.state.value, "error": record.error, "data": record.data}
        if record.link is not None:
            view["link"] = record.link
        # Not through the model: the data came out of it, and may be megabytes.
        return self._outbox.answer(task_id, view)

    async def _own(self, request: web.Request) -> Record | None:
        """Return the task that is asked for, or None if it is somebody else's."""
        record = await self._queue.get(request.match_info["task_id"])
        return record if record is not None and record.owner == owner_of(request) else None

    async def remove(self, request: web.Request) -> web.Response:
        """Cancel a task or delete its result."""
        task_id, owner = request.match_info["task_id"], owner_of(request)
        record = await self._own(request)
        # Of a task whose result is gone there may still be evidence.
        kept = self._history.evidence
        had_evidence = kept.get(task_id, owner) is not None and kept.drop(task_id)
        if (record is not None and await self._queue.remove(task_id)) or had_evidence:
            return _json(RemoveAnswer(success=True, message="The task is gone."))
        message = "No such task; it may have expired or been deleted."
        return _json(RemoveAnswer(success=False, message=message), status=404)

    async def refuse_clearance(self, request: web.Request) -> web.Response:
        """End a clearance that its site does not take any more, for all who would get it."""
        _check_json(request)
        try:
            refused = RefusedClearance.model_validate_json(await read_body(request))
        except ValidationError as error:
            raise invalid(error) from None
        return _json(
            RefusedAnswer(ended=await self._clearances.refuse(owner_of(request), refused.id))
        )

    async def list_sessions(self, request: web.Request) -> web.Response:
        """Return the names of the caller's open sessions, oldest first."""
        return _json(SessionsAnswer(sessions=await self._sessions.names(owner_of(request))))

    async def destroy_session(self, request: web.Request) -> web.Response:
        """End a session and all it holds, and the task that has it."""
        key = SessionKey(owner_of(request), request.match_info["name"])
        if await self._sessions.destroy(key):
            return _json(RemoveAnswer(success=True, message="The session is gone."))
        message = "No such session; it may have expired or been deleted."
        return _json(RemoveAnswer(success=False, message=message), status=404)

    async def health(self, request: web.Request) -> web.Response:
        """Say whether tasks can run, at once and without opening anything."""
        status = await self._board.now()
        if status.obstacle is not None:
            return _json(Unavailable(reason=status.obstacle), status=503)
        if status.readiness.starting:
            return _json(Unavailable(status="starting"), status=503)
        health = Health(
            workers=status.tasks.slots,
            running=status.tasks.running,
            queue=status.tasks.queued,
            waiting_for_human=status.tasks.waiting_for_human,
            browser=status.readiness.browser,
            version=__version__,
            warning=status.readiness.warning,
            browsers=status.browsers,
            egress=status.egress,
            fetches=status.fetches,
            nodes=[
                NodeView(
                    name=node.name,
                    workers=node.slots,
                    running=node.running,
                    waiting_for_human=node.waiting_for_human,
                )
                for node in status.tasks.nodes
            ]
            or None,
        )
        return _json(health)

    async def live(self, request: web.Request) -> web.Response:
        """Say that the process serves, whatever its browsers do."""
        return _json(Live())

    async def openapi(self, request: web.Request) -> web.Response:
        """Return the description of this API."""
        return web.json_response(self._openapi)


def _check_json(request: web.Request) -> None:
    if request.content_type != "application/json":
        raise UnsupportedMediaType("Send JSON with the header Content-Type: application/json.")


def _queued(task_id: str) -> web.Response:
    return _json(SolveAnswer(task_id=task_id), status=202)


def _json(model: BaseModel, status: int = 200) -> web.Response:
    return web.json_response(text=model.model_dump_json(exclude_none=True), status=status)
