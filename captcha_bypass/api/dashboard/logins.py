"""Who is logged in at the dashboard: random tokens in cookies, each standing for an API key."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256

#: Seconds that a login is good for: a working day, with some to spare.
LOGIN_SECONDS = 12 * 3600.0
#: Logins at once; one more ends the oldest.
MAX_LOGINS = 1000


class Login:
    """One login.

    Args:
        place: The place of its key among all, see api.access.which_key.
    """

    def __init__(self, place: int) -> None:
        self.place = place
        self._then: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def watched(self, then: Callable[[], None]) -> Iterator[None]:
        """Have `then` called if the login ends within the block."""
        self._then.append(then)
        try:
            yield
        finally:
            self._then.remove(then)

    def begin(self, seconds: float, expired: Callable[[], None]) -> None:
        """Have `expired` called after so many seconds, unless it has ended by then."""
        self._timer = asyncio.get_running_loop().call_later(seconds, expired)

    def end(self) -> None:
        """Tell all who watch."""
        if self._timer is not None:
            self._timer.cancel()
        for then in list(self._then):
            then()


class Logins:
    """All logins of a service; none outlives it."""

    def __init__(self) -> None:
        #: By the digest of its token: what is in memory lets nobody in.
        self._logins: OrderedDict[bytes, Login] = OrderedDict()

    def __len__(self) -> int:
        return len(self._logins)

    def begin(self, place: int) -> str:
        """Log a key in, and return the token that stands for it."""
        token = secrets.token_urlsafe(32)
        digest = _digest(token)
        while len(self._logins) >= MAX_LOGINS:
            self._end(next(iter(self._logins)))
        login = self._logins[digest] = Login(place)
        login.begin(LOGIN_SECONDS, lambda: self._end(digest))
        return token

    def find(self, token: str) -> Login | None:
        """Return what a token stands for; None: nothing, or no more."""
        return self._logins.get(_digest(token))

    def end(self, token: str) -> None:
        """Log out."""
        self._end(_digest(token))

    def close(self) -> None:
        """End all."""
        for digest in list(self._logins):
            self._end(digest)

    def _end(self, digest: bytes) -> None:
        login = self._logins.pop(digest, None)
        if login is not None:
            login.end()


def _digest(token: str) -> bytes:
    return sha256(token.encode(errors="surrogatepass")).digest()
