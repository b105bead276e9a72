"""What the API asks of this service and of those that share its queue, as one."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from socket import gethostname

from aiohttp import web

from captcha_bypass.api.fetch_places import Fetching
from captcha_bypass.config import Config, is_loopback
from captcha_bypass.egress.routes import Permit
from captcha_bypass.nodes.fetches import NodeFetches
from captcha_bypass.nodes.queue import Queues
from captcha_bypass.nodes.sessions import Local, NodeSessions
from captcha_bypass.wire.fetch import FetchRequest
from captcha_bypass.wire.task import SessionKey

logger = logging.getLogger(__name__)


class Nodes:
    """This service, and where it has a queue with others, those.

    Args:
        node_url: By which others reach this one; None: by the address that it listens at.
    """

    def __init__(
        self, queues: Queues, sessions: Local, fetching: Fetching, node_url: str | None
    ) -> None:
        self._queues = queues
        self._here = sessions
        self._node_url = node_url
        self.sessions = NodeSessions(sessions, queues.homes)
        self.fetching = fetching
        self.routes: list[web.RouteDef] = []
        self.is_peer: Callable[[web.Request], bool] = lambda request: False
        self._opening: list[AbstractAsyncContextManager[None]] = [queues.opening]

    @classmethod
    def of(
        cls,
        config: Config,
        queues: Queues,
        sessions: Local,
        fetching: Fetching,
        permit_of: Callable[[FetchRequest], Permit],
    ) -> Nodes:
        """Return those of the settings.

        Args:
            sessions: Of this service.
            fetching: By this service.
        """
        found = cls(queues, sessions, fetching, config.node_url)
        if queues.homes is not None:
            fetches = NodeFetches(
                fetching,
                queues.homes,
                lambda request: permit_of(request).upstream,
                max_bytes=config.max_fetch_bytes,
            )
            found.fetching, found.routes = fetches, fetches.routes()
            found.is_peer = fetches.is_peer
            found._opening.append(fetches.opened())
            queues.homes.on_end = found._end_home
        return found

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Have the queue, and a way to the others, within the block."""
        async with AsyncExitStack() as stack:
            for opening in self._opening:
                await stack.enter_async_context(opening)
            yield

    def listening_at(self, host: str, port: int) -> None:
        """Note where this service listens; where that is all its addresses, Redis' view of it counts."""
        homes = self._queues.homes
        if homes is None:
            return
        # Not known, Redis is mostly on this machine, as the other nodes then are.
        is_alone = homes.seen_at is None or is_loopback(homes.seen_at)
        if self._node_url is None and is_loopback(host) and not is_alone:
            logger.warning(
                "NOT REACHED BY OTHER NODES: this one listens on %s, and its sessions serve no fetch that "
                "another node is asked for; set --host or --node-url",
                host,
            )
        if host in ("0.0.0.0", "::"):  # noqa: S104 - not listened on, but looked for
            host = homes.seen_at or gethostname()
        host = f"[{host}]" if ":" in host else host
        homes.url = self._node_url or f"http://{host}:{port}"

    async def _end_home(self, home: str) -> None:
        owner, _, name = home.removeprefix("session:").partition(":")
        await self._here.destroy(SessionKey(owner, name))
