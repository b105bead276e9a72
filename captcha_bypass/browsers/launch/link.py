"""The link to Playwright's driver: read in linear time, bounded, and its end is never missed.

Playwright's own reader copies a message again for each 32 KiB of it, so that 30 MB take the event
loop seconds; and where reading raises, it ends without a word: the driver lives, every call waits
for ever. This is the same protocol, for the version that pyproject.toml pins.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

from playwright._impl._connection import Connection
from playwright._impl._object_factory import create_remote_object
from playwright._impl._transport import PipeTransport
from playwright.async_api import Error, Playwright

logger = logging.getLogger(__name__)

#: Bytes of one message of the driver: a result's HTML or screenshot is far smaller.
MAX_MESSAGE = 256 * 1024 * 1024
#: Bytes of a message from which on it is parsed beside the event loop: 1 MB takes some 5 ms.
PARSE_ASIDE = 512 * 1024
#: Levels of a message. Playwright calls itself for each, twice, and Python allows 1,000 calls within each other;
#: its own messages have about 10.
MAX_LEVELS = 200
#: How an answer to a call of ours begins; what else comes is an event.
_ANSWER = re.compile(rb'\{"id":(\d{1,18}),')


class Link:
    """One connection to one driver.

    Args:
        ended: Called once when the driver can no longer be heard, unless it was stopped.
    """

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._transport: _Transport
        self._connection: Connection
        self._reading: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def open(self) -> bool:
        """Whether what the driver says is still read."""
        return self._reading is not None and not self._reading.done()

    async def start(self) -> Playwright:
        """Start the driver and return its Playwright; whoever gives up calls `stop()`."""
        loop = asyncio.get_running_loop()
        self._transport = _Transport(loop)
        self._connection = Connection(None, create_remote_object, self._transport, loop)
        self._reading = loop.create_task(self._connection.run())
        self._reading.add_done_callback(self._on_end)
        ready = self._connection.playwright_future
        await asyncio.wait(
            {ready, self._transport.on_error_future, self._reading},
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not ready.done():
            ready.cancel()
            if self._reading.done():
                self._reading.result()  # raises what went wrong, if it is known
            raise ConnectionError("the Playwright driver ended while it started")
        return Playwright(ready.result())

    async def stop(self) -> None:
        """Stop the driver in order, if it ever ran; calls that wait for it fail."""
        if self._stopped or self._reading is None:
            return
        self._stopped = True
        if self._transport.has_begun:
            await self._connection.stop_async()

    async def gone(self) -> None:
        """Return once the driver's process has ended, after `stop()` or by being killed."""
        await self._transport._proc.communicate()

    def _on_end(self, reading: asyncio.Task[None]) -> None:
        error = None if reading.cancelled() else reading.exception()
        failed = self._transport.on_error_future
        if not failed.done():
            # Without it, calls under way would wait for ever. Playwright's own reader says the same, by
            # a plain Exception, which nobody could tell from a bug.
            failed.set_exception(Error("Connection closed while reading from the driver"))
        failed.exception()  # retrieved: there may be no call under way
        if not self._stopped:
            if error is not None:
                logger.error("the link to the Playwright driver broke: %s", type(error).__name__)
            self._ended()


class _Transport(PipeTransport):
    @property
    def has_begun(self) -> bool:
        """Whether the driver's process was started."""
        return hasattr(self, "_output")

    async def run(self) -> None:
        stdout = self._proc.stdout
        assert stdout is not None  # noqa: S101 - connect() made it a pipe
        try:
            while not self._stopped:
                try:
                    length = int.from_bytes(await stdout.readexactly(4), "little")
                    if length > MAX_MESSAGE:
                        raise OverflowError(f"a message of {length} bytes")
                    data = await stdout.readexactly(length)
                except asyncio.IncompleteReadError:
                    break
                if not self._stopped:
                    await self._take(data)
                await asyncio.sleep(0)
            await self._proc.communicate()
        finally:
            if not self._stopped_future.done():
                self._stopped_future.set_result(None)

    async def _take(self, data: bytes) -> None:
        message: Any
        try:
            if len(data) < PARSE_ASIDE:
                message = self._read(data)
            else:
                message = await asyncio.to_thread(self._read, data)
        except (RecursionError, ValueError):
            answer = _ANSWER.match(data)
            if answer is None:
                raise
            reason = {"name": "Error", "message": "the answer cannot be read", "stack": ""}
            message = {"id": int(answer.group(1)), "error": {"error": reason}}
        if not self._stopped:
            self.on_message(message)

    def _read(self, data: bytes) -> Any:  # noqa: ANN401 - Playwright's own
        message = self.deserialize_message(data)
        if data.count(b"{") + data.count(b"[") >= MAX_LEVELS:
            _refuse_deep(message)
        return message


def _refuse_deep(message: Any) -> None:  # noqa: ANN401
    """Refuse what Playwright would fail to read halfway: newer Pythons parse any depth.

    Raises:
        RecursionError: it has more than MAX_LEVELS.
    """
    level = [message]
    for _ in range(MAX_LEVELS):
        inner = [each.values() if isinstance(each, dict) else each for each in level]
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
        if not level:
            return
    raise RecursionError
