"""Large JSON, made piece by piece as its reader takes it: no copy of it is ever held."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiohttp import hdrs, web

from captcha_bypass.errors import TooManyWaiting
from captcha_bypass.tasks.base import weigh

#: Bytes of memory from which an answer counts as large: below, making all of it takes about 1 ms.
LARGE_BYTES = 128 * 1024
#: Characters of a string that are encoded at once, and bytes that are sent at once.
PIECE_CHARS, CHUNK_BYTES = 16 * 1024, 32 * 1024


class Outbox:
    """The large answers that are being sent.

    What they are made of stays in memory until they are sent, also where its task is gone.

    Args:
        most: Answers at once.
        most_bytes: What they may hold together, each task's result once.
    """

    def __init__(self, *, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        #: By task: its readers, and the bytes.
        self._sending: dict[str, tuple[int, int]] = {}

    def answer(self, task_id: str, value: dict[str, Any]) -> web.Response:
        """Return a response with a task's result.

        Raises:
            TooManyWaiting: too much is being sent already.
        """
        size = weigh(value)
        if size < LARGE_BYTES:
            return web.json_response(value)
        self._check(task_id, size)
        return _response(self._send(task_id, size, value))

    def body(self, name: str, body: bytes, headers: Mapping[str, str]) -> web.Response:
        """Return a response with a body that is there already.

        Args:
            name: Whose it is: a task, and what of it.

        Raises:
            TooManyWaiting: see `answer`.
        """
        if len(body) < LARGE_BYTES:
            return web.Response(body=body, headers=headers)
        self._check(name, len(body))
        return web.Response(body=self._send_body(name, body), headers=headers)

    async def _send_body(self, name: str, body: bytes) -> AsyncGenerator[bytes, None]:
        with self._hold(name, len(body)):
            for start in range(0, len(body), CHUNK_BYTES):
                yield body[start : start + CHUNK_BYTES]

    def _check(self, task_id: str, size: int) -> None:
        readers = sum(count for count, _ in self._sending.values())
        held = sum(size for _, size in self._sending.values())
        is_new = task_id not in self._sending
        if readers >= self._most or (is_new and held and held + size > self._most_bytes):
            raise TooManyWaiting(
                f"{readers} large results are being read; read them one after the other, try again "
                "later or raise --max-waiting and --max-results-bytes."
            )

    @contextmanager
    def _hold(self, task_id: str, size: int) -> Iterator[None]:
        count, _ = self._sending.get(task_id, (0, size))
        self._sending[task_id] = count + 1, size
        try:
            yield
        finally:
            count, _ = self._sending.pop(task_id)
            if count > 1:
                self._sending[task_id] = count - 1, size

    async def _send(
        self, task_id: str, size: int, value: dict[str, Any]
    ) -> AsyncGenerator[bytes, None]:
        with self._hold(task_id, size):
            for chunk in chunks(value):
                yield chunk


def json_response(value: dict[str, Any], *, status: int) -> web.Response:
    """Return a response with any JSON object."""
    if weigh(value) < LARGE_BYTES:
        return web.json_response(value, status=status)
    return _response(_all(value), status)


def _response(body: AsyncIterator[bytes], status: int = 200) -> web.Response:
    headers = {hdrs.CONTENT_TYPE: "application/json; charset=utf-8"}
    return web.Response(body=body, status=status, headers=headers)


async def _all(value: object) -> AsyncIterator[bytes]:
    for chunk in chunks(value):
        yield chunk


def chunks(value: object) -> Iterator[bytes]:
    """Yield the JSON of a value in chunks of at least CHUNK_BYTES but the last."""
    waiting = bytearray()
    for piece in _pieces(value):
        waiting += piece.encode("ascii")
        if len(waiting) >= CHUNK_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


def _pieces(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield '"'
        for start in range(0, len(value), PIECE_CHARS):
            yield json.dumps(value[start : start + PIECE_CHARS])[1:-1]
        yield '"'
    elif isinstance(value, dict):
        yield "{"
        for number, (key, item) in enumerate(value.items()):
            yield f"{', ' if number else ''}{json.dumps(key)}: "
            yield from _pieces(item)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, item in enumerate(value):
            yield ", " if number else ""
            yield from _pieces(item)
        yield "]"
    else:
        yield json.dumps(value)
