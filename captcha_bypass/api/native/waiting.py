"""Long-polls: how long a request may wait for a result, and how many may at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from captcha_bypass.errors import FieldError, InvalidRequest, TooManyWaiting

#: Longest `wait` of a long-poll, in seconds; proxies between us and the client give up at 60.
MAX_WAIT = 30.0


class WaitingPlaces:
    """Places of the requests that wait for results.

    Args:
        most: So many there are.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Have a place within the block.

        Raises:
            TooManyWaiting: there is none.
        """
        if self._waiting >= self._most:
            raise TooManyWaiting(
                f"{self._waiting} requests are waiting for results; ask without wait, "
                "try again later or raise --max-waiting."
            )
        self._waiting += 1
        try:
            yield
        finally:  # a client that hangs up cancels what it does here
            self._waiting -= 1


def wait_of(request: web.Request) -> float:
    """Return for how many seconds a request's client would wait; 0: it would not.

    Raises:
        InvalidRequest: it does not say so as a number, or would wait for too long.
    """
    text = request.query.get("wait", "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= MAX_WAIT:
        message = f"must be a number of seconds from 0 to {MAX_WAIT:g}"
        raise InvalidRequest([FieldError("wait", message)])
    return seconds
