"""Pages that wait for a person, shown to those who watch, and used by one of them."""

from __future__ import annotations

from contextlib import nullcontext

from aiohttp import WSCloseCode, web
from pydantic import ValidationError

from captcha_bypass.api.access import owner_of
from captcha_bypass.api.dashboard.access import DashboardAccess
from captcha_bypass.api.dashboard.watcher import LOGGED_OUT, Watcher, socket
from captcha_bypass.concurrency import Background
from captcha_bypass.errors import FieldError, InvalidRequest, NotFound, TooManyWaiting
from captcha_bypass.history import History
from captcha_bypass.human.control import Control
from captcha_bypass.human.inputs import Inputs, NotTaken
from captcha_bypass.human.messages import Input, Key, Paste, Simple, parse
from captcha_bypass.human.screen import Screen
from captcha_bypass.human.waits import Wait, Waits
from captcha_bypass.tasks.base import JsonDict, TaskQueue

#: Those who watch one page at once.
MAX_WATCHERS = 50
#: Seconds for the task to end once nobody is waited for any more.
OUTCOME_SECONDS = 10.0


class Live:
    """One page that waits, and all who watch it; from the first of them until the wait ends."""

    def __init__(self, wait: Wait) -> None:
        self.wait = wait
        self.watchers: set[Watcher] = set()
        self.screen = Screen(wait.page, self.show_state)
        self._inputs = Inputs(wait.page, self.screen.use, self._failed)
        self.control = Control(wait.task_id, self._inputs.let_go, self.show_state)

    def show_state(self) -> None:
        """Tell all how things stand."""
        for watcher in self.watchers:
            watcher.show_state(self._state(watcher))

    def heard(self, watcher: Watcher, text: str) -> None:
        """Do what one who watches says, or tell what is wrong with it."""
        try:
            message = parse(text)
        except ValidationError as error:
            long = any(item["type"] == "string_too_long" for item in error.errors())
            code = "too_long" if long else "invalid_message"
            watcher.error(code, "That is none of the messages, or too much at once.")
            return
        try:
            if isinstance(message, Simple):
                self._do(watcher, message)
            else:
                self._pass_on(watcher, message)
        except NotTaken as error:
            watcher.error(error.code, str(error))

    async def close(self) -> None:
        """Take no more pictures, pass nothing on."""
        self.control.end()
        await self.screen.close()
        await self._inputs.close()

    def _state(self, watcher: Watcher) -> JsonDict:
        frame, holder = self.screen.frame, self.control.holder
        return {
            "type": "state",
            "width": frame.width if frame else None,
            "height": frame.height if frame else None,
            "watchers": len(self.watchers),
            "control": "free" if holder is None else "you" if holder is watcher else "other",
            "until": round(self.wait.until, 3),
            "vendor": self.wait.vendor,
            "host": self.wait.host,
        }

    def _do(self, watcher: Watcher, message: Simple) -> None:
        match message.type:
            case "ack":
                watcher.drawn()
            case "control":
                self.control.ask(watcher)
            case "release" | "yield":
                self.control.release(watcher)
            case "keep":
                self.control.keep(watcher)
            case "leave":
                if self.control.holder not in (None, watcher):
                    raise NotTaken("no_control", "Somebody else has control.")
                self.wait.leave(f"{watcher.who} {watcher.client}")

    def _pass_on(self, watcher: Watcher, message: Input) -> None:
        if self.control.holder is not watcher:
            raise NotTaken("no_control", "Take control first.")
        if self.wait.ended.is_set():
            raise NotTaken("page_gone", "The page is gone.")
        if not isinstance(message, Key | Paste):
            frame = self.screen.frame
            if not frame or not (0 <= message.x < frame.width and 0 <= message.y < frame.height):
                raise NotTaken("outside", "That place is outside of the page.")
        self._inputs.put(message)

    def _failed(self, why: NotTaken) -> None:
        if isinstance(self.control.holder, Watcher):
            self.control.holder.error(why.code, str(why))


class LiveApi:
    """The WebSocket, over the pages that wait."""

    def __init__(
        self, access: DashboardAccess, waits: Waits | None, queue: TaskQueue, history: History
    ) -> None:
        self._access = access
        self._waits = waits
        self._queue = queue
        self._history = history
        #: By the wait: a task may wait again.
        self._lives: dict[Wait, Live] = {}
        self._background = Background()

    async def live(self, request: web.Request) -> web.WebSocketResponse:
        """Show a page that waits for a person, and let one of those who watch use it."""
        live, ws = self._live(request), socket()
        if not ws.can_prepare(request):
            raise InvalidRequest([FieldError("Upgrade", "must be websocket, as browsers send it")])
        await ws.prepare(request)
        watcher = Watcher(ws, owner_of(request) or "local", request.remote or "")
        live.watchers.add(watcher)
        live.show_state()
        login = self._access.login_of(request)
        until = login.watched(lambda: watcher.close(LOGGED_OUT, "logged out")) if login else None
        try:
            with until or nullcontext():
                await watcher.run(live.screen, lambda text: live.heard(watcher, text))
        finally:
            live.watchers.discard(watcher)
            live.control.lost(watcher)
            live.show_state()
        return ws

    def waiting(self, task_id: str) -> JsonDict | None:
        """Return what is to be told of a task that waits for a person; None: it does not."""
        wait = self._waits.get(task_id) if self._waits else None
        if wait is None:
            return None
        live = self.of(wait)
        return {
            "since": round(wait.since, 3),
            "until": round(wait.until, 3),
            "watchers": len(live.watchers) if live else 0,
            "controlled": live is not None and live.control.holder is not None,
        }

    def of(self, wait: Wait) -> Live | None:
        """Return what shows a page; None: nobody has watched it yet."""
        return self._lives.get(wait)

    def hang_up(self) -> None:
        """Say that the service stops."""
        for live in self._lives.values():
            for watcher in live.watchers:
                watcher.close(WSCloseCode.GOING_AWAY, "the service stops")

    async def close(self) -> None:
        """End what runs beside the requests."""
        await self._background.close()
        for live in self._lives.values():
            await live.close()

    def _live(self, request: web.Request) -> Live:
        task_id = request.match_info["task_id"]
        wait = self._waits.get(task_id) if self._waits else None
        if wait is None or wait.owner != owner_of(request) or wait.ended.is_set():
            raise NotFound("No such task waits for a person.")
        live = self._lives.get(wait)
        if live is None:
            live = self._lives[wait] = Live(wait)
            wait.on_end(lambda _: self._background.run(self._end(live)))
        if len(live.watchers) >= MAX_WATCHERS:
            raise TooManyWaiting(f"{MAX_WATCHERS} watch this page already; try again later.")
        return live

    async def _end(self, live: Live) -> None:
        """Close what showed a page, and tell all who watch how its task has ended."""
        wait = live.wait
        await live.close()
        del self._lives[wait]
        await self._queue.wait(wait.task_id, OUTCOME_SECONDS)
        details = self._history.details(wait.task_id, wait.owner)
        outcome = details["outcome"] if details else None
        for watcher in live.watchers:
            watcher.tell({"type": "ended", "outcome": outcome})
            watcher.close(WSCloseCode.OK, "the wait is over")
