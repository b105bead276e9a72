"""Requests for the sites that they are for: which session serves which, and when one must be solved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count
from typing import NamedTuple, Protocol

from captcha_bypass import challenges
from captcha_bypass.concurrency import Background
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.errors import InvalidRequest, ShuttingDown
from captcha_bypass.fetching.flights import Flight, Flights
from captcha_bypass.fetching.headers import refusals
from captcha_bypass.fetching.messages import (
    Answer,
    ChallengeNotPassed,
    Request,
    TimeIsUp,
    origin_of,
)
from captcha_bypass.fetching.sender import NotSent, Sent, Wanted
from captcha_bypass.fetching.turns import Turns
from captcha_bypass.solving.blocked_ports import check_port
from captcha_bypass.solving.cookies import browser_cookie
from captcha_bypass.status import Fetches
from captcha_bypass.tasks.base import TaskQueue
from captcha_bypass.wire.fetch import Fetched, FetchRequest
from captcha_bypass.wire.models import SessionKey, Task

#: Solves that one request is worth.
MAX_SOLVES = 2
#: Answers that are challenges before it is given up: each but the last was solved, by it or by others.
MAX_CHALLENGES = 3
#: Sessions that may end before the request has left them.
MAX_LOST = 2
#: What a solve leaves of a request's time, so that there is time to say how it ended: seconds at most,
#: and a part of what is left.
TELL_SECONDS, TELL_PART = 2.0, 0.1


class Keeper(Protocol):
    """Browser contexts that outlive their tasks; browsers.sessions has them."""

    @property
    def sites(self) -> int:
        """See Sessions."""

    def keep(self, key: SessionKey) -> AbstractContextManager[None]:
        """See Sessions."""

    def is_settled(self, key: SessionKey) -> bool:
        """See Sessions."""


class Sending(Protocol):
    """Sends a request once, in a session; see Sender."""

    async def send(self, key: SessionKey, permit: Permit, wanted: Wanted, deadline: float) -> Sent:
        """See Sender."""


class _Identity(NamedTuple):
    owner: str
    session: str | None
    jar: str | None
    origin: str
    proxy: Upstream | None


class _Site:
    """A site as one owner's requests through one proxy see it."""

    def __init__(self, key: SessionKey, permit: Permit) -> None:
        self.key = key
        self.permit = permit
        #: Requests that are not answered yet.
        self.requests = 0
        self.flight: Flight | None = None
        #: When it was last solved, on the event loop's clock.
        self.solved_at: float | None = None
        #: It has answered with a challenge since.
        self.is_refused = False

    def clear(self) -> None:
        """Note that it has been solved just now."""
        self.flight = None
        self.solved_at = asyncio.get_running_loop().time()
        self.is_refused = False

    @property
    def is_being_solved(self) -> bool:
        """Whether a solve is under way."""
        return self.flight is not None and not self.flight.is_over


class Sites:
    """Sends requests, each in the session of its site, and has sites solved that ask for it.

    Args:
        sessions: Where they are sent.
        sender: Sends them there.
        permit_of: Says what a task may reach.
        at_once: Requests to one host at once.
        max_per_host: See Config.
    """

    def __init__(
        self,
        queue: TaskQueue,
        sessions: Keeper,
        sender: Sending,
        permit_of: Callable[[Task], Permit],
        *,
        at_once: int,
        max_per_host: int,
    ) -> None:
        self._queue = queue
        self._sessions = sessions
        self._permit_of = permit_of
        self._background = Background()
        self._sender = sender
        self._flights = Flights(queue, self._background, max_per_host)
        self._turns = Turns(at_once)
        self._sites: dict[_Identity, _Site] = {}
        self._numbers = count(1)
        self._idle = asyncio.Event()
        self._idle.set()
        self._running = 0

    def status(self) -> Fetches:
        """Count requests under way, and sites that have a session."""
        return Fetches(running=self._running, sites=self._sessions.sites)

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
        """Return what a site answers, once no challenge is in the way; see api.fetch.Fetching."""
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
                return await _Journey(self, site, request, wanted, deadline).run()
        finally:
            self._end(site)

    def _begin(self, site: _Site) -> None:
        site.requests += 1
        self._running += 1
        self._idle.clear()

    def _end(self, site: _Site) -> None:
        site.requests -= 1
        self._running -= 1
        if not self._running:
            self._idle.set()

    def _site(self, request: FetchRequest, owner: str) -> _Site:
        task = request.to_task(owner, request.session or "", of_site=False, timeout=request.timeout)
        permit = self._permit_of(task)
        identity = _Identity(
            owner, request.session, request.jar, origin_of(request.url), permit.upstream
        )
        site = self._sites.get(identity)
        if site is None:
            self._forget_unused()
            if request.session is None:
                key = SessionKey(owner, f"site-{next(self._numbers)}", of_site=True)
            else:
                key = SessionKey(owner, request.session)
            site = self._sites[identity] = _Site(key, permit)
        return site

    def _forget_unused(self) -> None:
        """Forget sites whose sessions are over, before there is one more."""
        for identity, site in list(self._sites.items()):
            if not site.requests and not self._sessions.is_settled(site.key):
                del self._sites[identity]

    # What a request's journey needs.

    def needs_solve(self, site: _Site) -> bool:
        """Whether a request would be sent in vain."""
        unsolved = site.key.of_site and site.solved_at is None
        return site.is_refused or unsolved or not self._sessions.is_settled(site.key)

    def flight_to(self, site: _Site, request: FetchRequest, deadline: float) -> Flight:
        """Return the solve of a site that is under way, or begin one."""
        if site.flight is None or site.flight.is_over:
            left = max(0.1, deadline - asyncio.get_running_loop().time())
            timeout = left - min(TELL_SECONDS, TELL_PART * left)
            task = request.to_task(
                site.key.owner,
                site.key.name,
                of_site=site.key.of_site,
                timeout=timeout,
                begins=not self._sessions.is_settled(site.key),
            )
            site.flight = self._flights.start(task, deadline, site.clear)
        return site.flight

    async def send(
        self, site: _Site, wanted: Wanted, deadline: float, *, first: bool
    ) -> tuple[Sent, float] | None:
        """Send a request when its turn has come, unless the site must be solved by then.

        Returns:
            The answer, and when it was asked for; None: it was not.
        """
        async with self._turns.turn(site.permit.named.host, first=first):
            if self.needs_solve(site) or site.is_being_solved:
                return None
            now = asyncio.get_running_loop().time()
            return await self._sender.send(site.key, site.permit, wanted, deadline), now


class _Journey:
    """One request, from its solve to its answer."""

    def __init__(
        self, sites: Sites, site: _Site, request: FetchRequest, wanted: Wanted, deadline: float
    ) -> None:
        self._sites = sites
        self._site = site
        self._request = request
        self._wanted = wanted
        self._deadline = deadline
        self._solved: str | None = None
        self._solves = self._challenges = self._lost = 0
        #: The next solve is one that this request needs, and does not just wait for.
        self._is_due = True
        self._waits_for = "its site to be solved"

    async def run(self) -> Fetched:
        """Return the answer.

        Raises:
            TimeIsUp: it is not there in time.
        """
        try:
            async with asyncio.timeout_at(self._deadline):
                while True:
                    await self._until_clear()
                    sent = await self._sent()
                    if sent is not None:
                        return _fetched(sent, self._solved)
        except TimeoutError:
            raise TimeIsUp(
                f"There was no answer within {self._request.timeout:g} seconds; the request still "
                f"waited for {self._waits_for}."
            ) from None

    async def _until_clear(self) -> None:
        """Have the site solved if that is needed, or wait for whoever does."""
        site = self._site
        while (needed := self._sites.needs_solve(site)) or site.is_being_solved:
            self._waits_for = "its site to be solved"
            self._solves += self._is_due and needed
            self._is_due = False
            flight = self._sites.flight_to(site, self._request, self._deadline)
            outcome = await flight.outcome()
            if outcome.failure is None:
                self._solved = outcome.solved or self._solved
                return
            # Somebody in a greater hurry has begun it.
            was_short = outcome.is_late and flight.until + 1.0 < self._deadline
            if not was_short or self._solves >= MAX_SOLVES:
                outcome.raise_if_failed()
            self._is_due = True

    async def _sent(self) -> Sent | None:
        """Send the request; None if it must be sent again, or has not been sent."""
        site = self._site
        self._waits_for = "its turn, or the site's answer"
        try:
            found = await self._sites.send(
                site, self._wanted, self._deadline, first=self._challenges > 0
            )
        except NotSent:
            self._lost += 1
            if self._lost > MAX_LOST:
                raise
            return None
        if found is None:
            return None
        sent, asked_at = found
        vendor = _challenge(sent.answer)
        if vendor is None:
            return sent
        self._challenges += 1
        self._is_due = True
        if self._solves >= MAX_SOLVES or self._challenges >= MAX_CHALLENGES:
            raise ChallengeNotPassed.of(vendor)
        if site.solved_at is None or site.solved_at <= asked_at:
            site.is_refused = True
        return None


def _challenge(answer: Answer) -> str | None:
    """Return the vendor of a challenge that a browser can pass, if the answer is one."""
    headers: dict[str, list[str]] = {}
    for name, value in answer.headers:
        headers.setdefault(name, []).append(value)
    found = challenges.detect(answer.status, headers, answer.body)
    return found.vendor if found is not None and found.solvable else None


def _fetched(sent: Sent, solved: str | None) -> Fetched:
    answer = sent.answer
    return Fetched(
        answer.status,
        answer.headers,
        answer.url,
        answer.body,
        answer.decoded,
        solved,
        sent.user_agent,
    )
