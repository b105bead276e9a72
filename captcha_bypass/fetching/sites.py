"""Requests for the sites that they are for: which session serves which, and when one must be solved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from captcha_bypass.concurrency import Background
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.errors import InvalidRequest, ShuttingDown
from captcha_bypass.fetching.dispatcher import Dispatcher, Keeper, Sending
from captcha_bypass.fetching.flights import Flights
from captcha_bypass.fetching.headers import refusals
from captcha_bypass.fetching.journey import Journey
from captcha_bypass.fetching.messages import Request, origin_of
from captcha_bypass.fetching.sender import Wanted
from captcha_bypass.fetching.site import Site
from captcha_bypass.solving.blocked_ports import check_port
from captcha_bypass.solving.cookies import browser_cookie
from captcha_bypass.status import Fetches, SessionNow
from captcha_bypass.tasks.base import TaskQueue
from captcha_bypass.wire.fetch import Fetched, FetchRequest
from captcha_bypass.wire.task import SessionKey


class _Identity(NamedTuple):
    owner: str
    session: str | None
    jar: str | None
    origin: str
    proxy: Upstream | None


class Sites:
    """Sends requests, each in the session of its site, and has sites solved that ask for it.

    Args:
        sessions: Where they are sent.
        sender: Sends them there.
        permit_of: Says what a request may reach.
        at_once: Requests to one host at once.
        max_per_host: See Config.
        name: What the names of its sessions begin with; another one in each of several services that
            share the queue.
    """

    def __init__(
        self,
        queue: TaskQueue,
        sessions: Keeper,
        sender: Sending,
        permit_of: Callable[[FetchRequest], Permit],
        *,
        at_once: int,
        max_per_host: int,
        name: str = "site",
    ) -> None:
        self._name = name
        self._queue = queue
        self._sessions = sessions
        self._permit_of = permit_of
        self._background = Background()
        flights = Flights(queue, self._background, max_per_host)
        self._dispatcher = Dispatcher(sessions, sender, flights, at_once)
        self._sites: dict[_Identity, Site] = {}
        self._numbers = count(1)
        self._idle = asyncio.Event()
        self._idle.set()
        self._running = 0

    def status(self) -> Fetches:
        """Count requests under way, and sites that have a session."""
        return Fetches(running=self._running, sites=self._sessions.sites)

    def now(self, owner: str) -> tuple[SessionNow, ...]:
        """Return the sites of an owner that have a session of their own, by their origins."""
        return tuple(
            SessionNow(identity.origin, self._sessions.idle(site.key))
            for identity, site in self._sites.items()
            if identity.owner == owner and site.key.of_site and self._sessions.is_settled(site.key)
        )

    async def drain(self, seconds: float) -> None:
        """Return once no request is under way, or so many seconds later."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            pass

    async def close(self) -> None:
        """End all solves that are under way."""
        await self._background.close()

    async def fetch(self, request: FetchRequest, owner: str) -> Fetched:
        """Return what a site answers, once no challenge is in the way; see api.fetch_places.Fetching."""
        if self._queue.stopping:
            raise ShuttingDown
        asked = Request(
            request.url, request.method, tuple(request.headers.items()), request.content
        )
        if fields := refusals(asked):
            raise InvalidRequest(fields)
        wanted = Wanted(asked, [browser_cookie(item, request.url) for item in request.cookies])
        deadline = asyncio.get_running_loop().time() + request.timeout
        site = self._site(request, owner)
        check_port(site.permit.named)
        self._begin(site)
        try:
            with self._sessions.keep(site.key):
                return await Journey(self._dispatcher, site, request, wanted, deadline).run()
        finally:
            self._end(site)

    def _begin(self, site: Site) -> None:
        site.requests += 1
        self._running += 1
        self._idle.clear()

    def _end(self, site: Site) -> None:
        site.requests -= 1
        self._running -= 1
        if not self._running:
            self._idle.set()

    def _site(self, request: FetchRequest, owner: str) -> Site:
        permit = self._permit_of(request)
        identity = _Identity(
            owner, request.session, request.jar, origin_of(request.url), permit.upstream
        )
        site = self._sites.get(identity)
        # Requests that are under way go on in a session whose browser waits for them to end.
        if site is None or (site.key.of_site and self._sessions.is_retiring(site.key)):
            self._forget_unused()
            if request.session is None:
                key = SessionKey(owner, f"{self._name}-{next(self._numbers)}", of_site=True)
            else:
                key = SessionKey(owner, request.session)
            site = self._sites[identity] = Site(key, permit)
        return site

    def _forget_unused(self) -> None:
        """Forget sites whose sessions are over, before there is one more."""
        for identity, site in list(self._sites.items()):
            if not site.requests and not self._sessions.is_settled(site.key):
                del self._sites[identity]
