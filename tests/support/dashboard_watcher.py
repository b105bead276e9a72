"""A page that watches a task live, as the stand-in behind the operator's page has it on its connection."""

from __future__ import annotations

import asyncio
import json
import time

from aiohttp import WSMsgType, web

from tests.support.dashboard_data import Json


class Watcher:
    """One connection of the live view, from the service's side."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.received: list[Json] = []
        self._came = asyncio.Event()

    async def state(self, **changes: object) -> None:
        """Tell how the page and its control stand."""
        until = time.time() + 500
        shown = {"width": 640, "height": 360, "watchers": 1, "control": "free", "until": until}
        await self.say(type="state", vendor="demo", host="shop.example", **(shown | changes))

    async def say(self, **message: object) -> None:
        await self.socket.send_json(message)

    async def picture(self, jpeg: bytes) -> None:
        await self.socket.send_bytes(jpeg)

    def of(self, kind: str) -> list[Json]:
        """Return the messages of a type that came so far."""
        return [message for message in self.received if message["type"] == kind]

    async def until(self, kind: str, count: int = 1) -> list[Json]:
        """Wait for messages of a type."""
        async with asyncio.timeout(10):
            while len(self.of(kind)) < count:
                self._came.clear()
                await self._came.wait()
        return self.of(kind)

    async def listen(self) -> None:
        async for message in self.socket:
            if message.type is WSMsgType.TEXT:
                self.received.append(json.loads(message.data))
                self._came.set()
