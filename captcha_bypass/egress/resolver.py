"""From names to addresses, as this machine resolves them, with bounds."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from contextlib import suppress
from typing import Any

from captcha_bypass.egress.rules import Destination
from captcha_bypass.errors import TaskError

logger = logging.getLogger(__name__)

#: Lookups at once, for all tasks together. Each takes a thread, which stays as long as the system's
#: resolver does: 10 to 30 s where a name server does not answer.
MAX_LOOKUPS = 256
#: Lookups at once for one task; a page may name any number of hosts.
MAX_TASK_LOOKUPS = 8
#: Seconds until a name counts as one that cannot be resolved.
LOOKUP_SECONDS = 20.0

AddrInfo = tuple[Any, Any, int, str, Any]


class Resolver:
    """Threads that call the system's resolver, which knows hosts file, search domains and all else.

    They are daemons: a name server that does not answer cannot hold up the service's end.
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(MAX_LOOKUPS)

    def lookups(self) -> Lookups:
        """Return what one task looks names up with."""
        return Lookups(self._free)


class Lookups:
    """The lookups of one task, which wait for each other before they wait for other tasks'."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free
        self._own = asyncio.Semaphore(MAX_TASK_LOOKUPS)
        self._told = False

    async def resolve(self, destination: Destination) -> list[AddrInfo]:
        """Return the addresses of a destination.

        Raises:
            TaskError: `dns_error`: it has none, or they could not be had in time.
        """
        try:
            # An address needs no resolver, whatever that is doing.
            return _ask(destination, socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            pass
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                return await self._look_up(destination)
        except (OSError, UnicodeError) as error:
            if isinstance(error, TimeoutError):
                self._tell()
            message = "The host name cannot be resolved; check the URL."
            raise TaskError("dns_error", message) from None

    async def _look_up(self, destination: Destination) -> list[AddrInfo]:
        await self._own.acquire()
        try:
            await self._free.acquire()
        except BaseException:
            self._own.release()
            raise
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[AddrInfo]] = loop.create_future()

        def ended(outcome: list[AddrInfo] | Exception) -> None:
            # Only now, not when nobody waits any more: the thread was busy until now.
            self._own.release()
            self._free.release()
            if found.cancelled():
                return
            if isinstance(outcome, Exception):
                found.set_exception(outcome)
            else:
                found.set_result(outcome)

        def look_up() -> None:
            outcome: list[AddrInfo] | Exception
            try:
                outcome = _ask(destination)
            except (OSError, UnicodeError) as error:
                outcome = error
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(ended, outcome)

        try:
            threading.Thread(target=look_up, name="resolver", daemon=True).start()
        except RuntimeError:  # the system gives no more threads
            ended(OSError("no thread"))
        return await found

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            logger.warning(
                "names that a page asks for are not resolved within %.0f s", LOOKUP_SECONDS
            )


def _ask(destination: Destination, flags: int = 0) -> list[AddrInfo]:
    return list(socket.getaddrinfo(*destination, type=socket.SOCK_STREAM, flags=flags))
