"""One who watches a page that waits for a person, over a WebSocket."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from aiohttp import WSCloseCode, WSMsgType, web

from captcha_bypass.human.screen import Frame, PageBusy, PageGone, Screen
from captcha_bypass.tasks.base import JsonDict

#: Messages a second, of any kind, and how many at once; a mouse that is moved makes some 60.
MAX_RATE, MAX_BURST = 200.0, 200.0
#: Of one message: the longest text that may be pasted, escaped.
MAX_MESSAGE_BYTES = 128 * 1024
#: Seconds after which one who says nothing is asked whether it is still there.
PING_SECONDS = 20.0
#: Messages that wait for one who does not read; what is older is dropped.
MAX_WAITING = 20
#: Close codes of ours, for whoever need not come back: the login has ended.
LOGGED_OUT = 4401
#: Seconds for the client to close after we have.
CLOSE_SECONDS = 1.0


class Watcher:
    """The WebSocket of one who watches: what is sent is the last of each kind, never a queue.

    Args:
        ws: Prepared, without pings of its own being answered.
        who: Whose API key it is; `local` where there are none.
        client: The address.
    """

    def __init__(self, ws: web.WebSocketResponse, who: str, client: str) -> None:
        self._ws = ws
        self._who = who
        self._client = client
        self._news, self._wants = asyncio.Event(), asyncio.Event()
        self._state: JsonDict | None = None
        self._messages: deque[JsonDict] = deque(maxlen=MAX_WAITING)
        self._frame: Frame | None = None
        self._closing: tuple[int, bytes] | None = None
        self._tokens, self._filled_at = MAX_BURST, asyncio.get_running_loop().time()

    @property
    def who(self) -> str:
        """See human.control.Person."""
        return self._who

    @property
    def client(self) -> str:
        """See human.control.Person."""
        return self._client

    def asked(self, seconds: float) -> None:
        """See human.control.Person."""
        self.tell({"type": "asked", "seconds": seconds})

    def refused(self) -> None:
        """See human.control.Person."""
        self.tell({"type": "refused"})

    def error(self, code: str, message: str) -> None:
        """Tell what was wrong with what was sent, or with the page."""
        self.tell({"type": "error", "code": code, "message": message})

    def tell(self, message: JsonDict) -> None:
        """Send a message as soon as it is taken."""
        self._messages.append(message)
        self._news.set()

    def show_state(self, state: JsonDict) -> None:
        """Send how things stand, in place of an older state that was not sent yet."""
        self._state = state
        self._news.set()

    def close(self, code: int, reason: str) -> None:
        """Hang up, once all messages are sent."""
        self._closing = code, reason.encode()
        self._news.set()

    def drawn(self) -> None:
        """Note that the last picture is drawn, so that the next may come."""
        self._wants.set()

    async def run(self, screen: Screen, heard: Callable[[str], None]) -> None:
        """Show a page, and pass on what is said, until either side hangs up.

        Args:
            heard: Called with each text.
        """
        sending = asyncio.create_task(self._send())
        watching = asyncio.create_task(self._watch(screen))
        try:
            await self._hear(heard)
            if self._closing is not None:
                await asyncio.wait({sending}, timeout=CLOSE_SECONDS)
        finally:
            for task in (sending, watching):
                task.cancel()
            await asyncio.gather(sending, watching, return_exceptions=True)

    async def _hear(self, heard: Callable[[str], None]) -> None:
        while True:
            message = await self._ws.receive()
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED):
                return
            if message.type is WSMsgType.ERROR:
                return
            if not self._may_speak():
                await self._ws.close(
                    code=WSCloseCode.POLICY_VIOLATION, message=b"too many messages"
                )
                return
            if message.type is WSMsgType.TEXT:
                heard(message.data)
            elif message.type is WSMsgType.PING:
                await self._ws.pong(message.data)
            elif message.type is WSMsgType.BINARY:
                heard("")

    def _may_speak(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._tokens = min(MAX_BURST, self._tokens + (now - self._filled_at) * MAX_RATE)
        self._filled_at = now
        self._tokens -= 1
        return self._tokens >= 0

    async def _watch(self, screen: Screen) -> None:
        """Ask for the next picture whenever the last one is drawn."""
        number = 0
        while True:
            try:
                frame = await screen.newer(number)
            except PageBusy:
                self.error("page_busy", "The page is busy; its picture comes when it is not.")
                continue
            except PageGone:
                self.error("page_gone", "The page is gone.")
                return
            if frame is None:
                return
            self._frame, number = frame, frame.number
            self._news.set()
            await self._wants.wait()
            self._wants.clear()

    async def _send(self) -> None:
        """Send what there is, as fast as it is taken."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                await self._send_all()
                if self._closing is not None:
                    code, reason = self._closing
                    await self._ws.close(code=code, message=reason)
                    return
        except ConnectionError:
            return  # whoever hears is told, too

    async def _send_all(self) -> None:
        state, self._state = self._state, None
        if state is not None:
            await self._ws.send_json(state)
        while self._messages:
            await self._ws.send_json(self._messages.popleft())
        frame, self._frame = self._frame, None
        if frame is not None:
            await self._ws.send_bytes(frame.jpeg)


def socket() -> web.WebSocketResponse:
    """Return a WebSocket of the kind that a Watcher needs."""
    return web.WebSocketResponse(
        compress=False,  # of a picture nothing can be
        max_msg_size=MAX_MESSAGE_BYTES,
        heartbeat=PING_SECONDS,
        timeout=CLOSE_SECONDS,
        autoping=False,  # pings are counted like all else
    )
