"""A proxy endpoint on loopback for one browser context."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from captcha_bypass import status
from captcha_bypass.concurrency import Background
from captcha_bypass.egress.connections import MAX_CONNECTIONS, has_room
from captcha_bypass.egress.gate import Gate
from captcha_bypass.egress.relay import Relay
from captcha_bypass.egress.resolver import Resolver
from captcha_bypass.egress.routes import HEAD_BYTES, Journey, Permit, Router
from captcha_bypass.egress.rules import Destination, Rules
from captcha_bypass.egress.traffic import Traffic
from captcha_bypass.egress.upstream import Streams
from captcha_bypass.errors import TaskError

logger = logging.getLogger(__name__)

#: Seconds after which requests that no task sends have names resolved anew.
RESOLVE_AGAIN_SECONDS = 60.0
#: Destinations of which a guard knows why they were not reached; a page may try any number.
MAX_FAILURES = 1000


class Common(Protocol):
    """What the guards of a service share; see Egress."""

    rules: Rules
    resolver: Resolver
    max_task_bytes: int
    guards: set[Guard]
    open_connections: int


class Guard:
    """All that one browser context can reach: an HTTP proxy that looks at where it goes.

    Until `admit()` it refuses what is not public, and knows no proxy.
    """

    def __init__(self, common: Common, counts: status.Egress) -> None:
        self._common = common
        self._counts = counts
        self._router = Router(common.rules, common.resolver)
        #: What its user may do now; None until there is one.
        self._permit: Permit | None = None
        #: When names were last resolved anew.
        self._admitted_at = 0.0
        self._background = Background()
        self._server: asyncio.Server
        self._closed = False
        self._open = 0
        #: Whether it has been told that the task wants too many connections.
        self._crowded = False
        self.traffic = Traffic(common.max_task_bytes)
        self._failures: dict[Destination, TaskError] = {}
        #: Whether any task of its session has reached the public internet.
        self._journey = Journey()
        #: Called once the task has moved more than it may; it is cut off by then.
        self.on_overrun: Callable[[], None] = lambda: None
        #: Why the task was cut off.
        self.overrun: TaskError | None = None
        #: Holds back connections to other hosts while the task wants that.
        self.gate = Gate()
        #: Its address, as browsers take a proxy.
        self.url = ""

    async def listen(self) -> None:
        """Open the endpoint."""
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, limit=HEAD_BYTES, backlog=MAX_CONNECTIONS
        )
        self._common.guards.add(self)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"

    def admit(self, permit: Permit) -> None:
        """Give the context to a task.

        What an earlier one of its session has opened is cut if its permit was another: it may lead
        through another proxy, or to a host that only that task could name.
        """
        self._give_to(permit, self._router_for(permit))

    async def admit_again(self, permit: Permit) -> bool:
        """Give the context to its session's next task; False if that must get another context.

        A site's worker outlives its task. It must not find a private host that a later task names.
        Where the next may do just what the last could, its connections go on.
        """
        router = self._router_for(permit)
        if self._journey.was_abroad and await router.names_private():
            return False
        self._give_to(permit, router)
        return True

    def serves(self, permit: Permit) -> bool:
        """Whether its user may do now just what a permit says."""
        return permit == self._permit

    async def admit_beside(self, permit: Permit) -> bool:
        """Let one request be sent that no task sends; False if it must get another context.

        Nothing changes for whoever uses the context by the same permit; names are resolved anew now
        and then.
        """
        age = asyncio.get_running_loop().time() - self._admitted_at
        if permit != self._permit or age > RESOLVE_AGAIN_SECONDS:
            return await self.admit_again(permit)
        return True

    def _router_for(self, permit: Permit) -> Router:
        return Router(self._common.rules, self._common.resolver, permit, self._journey)

    def _give_to(self, permit: Permit, router: Router) -> None:
        if permit != self._permit:
            self._background.cancel()
        self.traffic.begin()
        self._crowded = False
        self._failures.clear()
        self.gate = Gate()
        self._router = router
        self._permit = permit
        self._admitted_at = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Cut everything that goes through it."""
        self._common.guards.discard(self)
        self._shut()
        await self._background.close()

    def failure(self, url: str) -> TaskError | None:
        """Return why the last connection to a URL's host was not made; None if it was."""
        return self._failures.get(Destination.of(url))

    async def admits(self, destination: Destination) -> bool:
        """Whether a connection may be made now; returns once that is decided."""
        return await self.gate.admits(destination)

    async def connect(self, destination: Destination, opening: Awaitable[Streams]) -> Streams:
        """Wait for a connection to a destination, and keep in mind why there is none.

        Raises:
            TaskError: there is none.
        """
        try:
            streams = await opening
        except TaskError as error:
            self.failed(destination, error)
            raise
        self._failures.pop(destination, None)
        self._counts.connections += 1
        return streams

    def failed(self, destination: Destination, error: TaskError) -> None:
        """Keep in mind why a destination cannot be reached."""
        before = self._failures.pop(destination, None)
        # Without the frames that the error itself went through, and holds.
        self._failures[destination] = TaskError(error.code, str(error))
        if len(self._failures) > MAX_FAILURES:
            del self._failures[next(iter(self._failures))]
        if before is None or before.code != error.code:  # browsers try again and again
            self._counts.failed(error.code)
            logger.debug("not connected", extra={"host": str(destination), "outcome": error.code})

    def count_sent(self, size: int) -> None:
        """Account for bytes to a site, before they are sent.

        Raises:
            ConnectionAbortedError: the task may not move them.
        """
        self._counts.bytes_sent += size
        self._count(size)

    def count_received(self, size: int) -> None:
        """Account for bytes from a site, likewise."""
        self._counts.bytes_received += size
        self._count(size)

    def _count(self, size: int) -> None:
        if not self.traffic.is_too_much(size):
            return
        if self.overrun is None:
            self.overrun = TaskError(
                "too_much_traffic",
                f"The page moved more than {self.traffic.most} bytes (--max-task-bytes); block what it "
                "need not load.",
            )
            self._shut()
            self._background.cancel()
            self.on_overrun()
        raise ConnectionAbortedError

    def _shut(self) -> None:
        self._closed = True
        self._server.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:  # taken from the backlog just before
            writer.transport.abort()
            return
        common = self._common
        if not has_room(self._open, common.open_connections, len(common.guards)):
            self._refuse_connection()
            writer.transport.abort()
            return
        self._open += 1
        common.open_connections += 1
        relay = Relay(self, self._router, (reader, writer))
        self._background.run(relay.run(), then=lambda: self._served(writer))

    def _refuse_connection(self) -> None:
        if not self._crowded:
            self._crowded = True
            self._counts.failed("too_many_connections")
            message = "a page wants too many connections; it has %d, of %d for all pages"
            logger.warning(message, self._open, self._common.open_connections)

    def _served(self, writer: asyncio.StreamWriter) -> None:
        self._open -= 1
        self._common.open_connections -= 1
        writer.transport.abort()
