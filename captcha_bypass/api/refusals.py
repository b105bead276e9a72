"""What is refused, for the operator: counted, and told in the log, but only so many lines of it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping

from aiohttp import web

from captcha_bypass.errors import ConnectionErrorCode, RequestError, UnexpectedError

logger = logging.getLogger(__name__)

#: So many lines in so many seconds at most; what is left out is told in one more.
MAX_LINES, WINDOW_SECONDS = 20, 10.0
#: Characters of a message that are told; names of fields may be as long as a request.
MAX_MESSAGE_CHARS = 300


class Refusals:
    """Told of every request that is refused, and of connections that are.

    Args:
        report: Called with each one's code.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._window_ends = 0.0
        self._lines = 0
        #: By code, since the last line about them.
        self._left_out: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def request(self, error: RequestError, request: web.Request) -> None:
        """Count a request, and tell its route, its client's address and what was wrong."""
        self._report(error.code)
        if isinstance(error, UnexpectedError):
            return  # it has a line already, with its traceback
        resource = request.match_info.route.resource
        # Not the path itself: that may hold anything, and what no route has may be a secret.
        route = "a path that there is not" if resource is None else resource.canonical
        fields = {"status": error.status, "client": request.remote}
        self._tell(error.code, f"request refused: {request.method} {route}: {error}", fields)

    def connection(self, code: ConnectionErrorCode, text: str, client: str) -> None:
        """Count a connection that was refused or closed, and tell of it.

        Args:
            text: What happened; no secrets.
            client: Its address.
        """
        self._report(code)
        self._tell(code, text, {"client": client})

    def close(self) -> None:
        """Tell what was left out and not told yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._tell_left_out()

    def _tell(self, code: str, text: str, fields: Mapping[str, object]) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._window_ends:
            self._window_ends, self._lines = loop.time() + WINDOW_SECONDS, 0
        if self._lines < MAX_LINES:
            self._lines += 1
            logger.warning("%s", _printable(text), extra={"code": code, **fields})
            return
        self._left_out[code] += 1
        if self._timer is None:
            self._timer = loop.call_at(self._window_ends, self._tell_left_out)

    def _tell_left_out(self) -> None:
        self._timer = None
        codes = ", ".join(f"{code} {count}" for code, count in self._left_out.most_common())
        logger.warning("%d more were refused, without a line: %s", self._left_out.total(), codes)
        self._left_out.clear()


def _printable(text: str) -> str:
    """Return the beginning of a text, of which no part can look like another line."""
    short = text if len(text) <= MAX_MESSAGE_CHARS else text[:MAX_MESSAGE_CHARS] + "..."
    return "".join(char if char.isprintable() else "?" for char in short)
