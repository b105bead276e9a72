"""What is done for one request of a user's HTTP library, step by step: directly first, then past a challenge.

Nothing here sends anything: a generator says what to do next, and the library's own adapter does it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Unpack

from captcha_bypass.client.actions import Ask, Content, Failed, Reply, Send, Wait
from captcha_bypass.client.bodies import Conditions
from captcha_bypass.client.clearing import Clearing
from captcha_bypass.client.errors import (
    ClientError,
    NotSolved,
    TaskFailed,
)
from captcha_bypass.client.fetching import Fetching
from captcha_bypass.client.sites import Clearance, Flight, Site, Sites, chosen

if TYPE_CHECKING:
    from collections.abc import Callable

    from captcha_bypass.challenges import Challenge
    from captcha_bypass.client.protocol import Protocol
    from captcha_bypass.client.results import FetchResult, SolveResult
    from captcha_bypass.client.steps import Steps
    from captcha_bypass.client.visits import Visit

logger = logging.getLogger("captcha_bypass.client")
#: Times that one request is sent directly, at most.
MAX_SENDS = 4
#: Seconds that others wait until the first request with a new clearance has its answer.
PROBE_SECONDS = 10.0
#: Outcome of what was broken off by who began it; the next one begins it anew.
_ABANDONED = object()


class Passing:
    """Gets the requests of one adapter past challenges.

    Args:
        timeout: Seconds for a solve.
        reuse: Seconds that a clearance of another program may be old; None: it shares none.
        conditions: When a page is through; by default, when it is no challenge.
    """

    def __init__(
        self,
        protocol: Protocol,
        timeout: float,
        *,
        reuse: float | None = None,
        **conditions: Unpack[Conditions],
    ) -> None:
        self._protocol = protocol
        self._clearing = Clearing(protocol, timeout, conditions, reuse)
        self._fetching = Fetching(protocol, timeout, conditions)
        self._sites = Sites()

    def steps(self, visit: Visit) -> Steps[Any]:
        """Return the site's answer to a request; the result of `Content` and of each answer is its.

        Raises:
            Failed: there is none.
        """
        yield from self._checked()
        site, held, by_fetch = self._sites.at(visit.key), None, False
        for _ in range(MAX_SENDS):
            if site.by_fetch or by_fetch:
                return (yield from self._by_fetch(visit, site, held))
            carried = self._sites.clearance(visit.key)
            probing = carried is not None and self._sites.take_probe(carried)
            if carried is not None and not probing and not carried.proven.done():
                yield Wait(carried.proven, PROBE_SECONDS)
                if site.by_fetch:
                    continue
            try:
                reply: Reply = yield Send(carried)
                self._sites.saw(site, reply.set_cookies)
                if reply.challenge is None:
                    self._passed(visit, site, carried, reply, was_challenged=held is not None)
                    return reply.response
                held = reply.response
                by_fetch = self._is_refused(visit, site, carried)
            finally:
                if carried is not None and probing:
                    self._sites.proven(carried)
            if not visit.repeatable:
                logger.warning(
                    "%s: challenged, and its body cannot be sent again", visit.key.origin
                )
                return held
            if not by_fetch and not (
                yield from self._cleared(visit, reply.challenge, carried, held)
            ):
                return held
        return held

    def _checked(self) -> Steps[None]:
        """See to it, before anything is sent to a site, that address and key are right."""
        if self._sites.checked:
            return

        def check() -> Steps[None]:
            yield Ask(self._protocol.check())
            self._sites.checked = True

        try:
            yield from self._once(self._sites.check, check)
        except ClientError as error:
            raise Failed(error) from error

    def _passed(
        self,
        visit: Visit,
        site: Site,
        carried: Clearance | None,
        reply: Reply,
        *,
        was_challenged: bool,
    ) -> None:
        if carried is None:
            return
        if was_challenged:  # an open page says nothing of what its site takes
            carried.worked = site.takes_cookies = True
        self._sites.rotate(carried, visit.url, reply.set_cookies)

    def _is_refused(self, visit: Visit, site: Site, carried: Clearance | None) -> bool:
        """Whether the site takes a clearance that is its own and new from no client but the browser."""
        current = self._sites.clearance(visit.key)
        if carried is None or current is not carried or carried.worked:
            return False
        if carried.key != visit.key or carried.borrowed:
            return False
        if not site.takes_cookies:
            logger.info("%s refuses the cookies; the browser sends requests", visit.key.origin)
            site.by_fetch = True
        return True

    def _cleared(
        self, visit: Visit, challenge: Challenge, carried: Clearance | None, held: object
    ) -> Steps[bool]:
        """See to a clearance that is another than the one carried; False: there is none to be had."""
        site = self._sites.at(visit.key)

        def solve() -> Steps[None]:
            if self._sites.clearance(visit.key) is not carried:
                return  # somebody else has got it meanwhile
            if (failure := site.failure()) is not None:
                raise failure
            try:
                steps = self._clearing.steps(visit, challenge, carried)
                result: SolveResult = yield Ask(steps)
            except TaskFailed as error:
                if error.code != "not_a_page" or error.result is None:
                    if not error.about_service:
                        site.failed(error)
                    raise
                result = error.result  # the browser had to pass the challenge for the file
            cookies = chosen(result.cookie_list, challenge.vendor, visit.own_cookies())
            shared = result.clearance
            self._sites.add(Clearance(visit.key, cookies, result.user_agent, shared))
            logger.info(
                "%s: %s challenge solved in %.1f s",
                *(visit.key.origin, challenge.vendor, result.elapsed),
            )

        try:
            yield from self._once(site.solve, solve)
        except ClientError as error:
            if error.about_service:
                raise Failed(error, held) from error
            logger.warning("%s: not passed: %s", visit.key.origin, error)
            return False
        return True

    def _by_fetch(self, visit: Visit, site: Site, held: object) -> Steps[Any]:
        """Have the browser send the request; where it does not get through, return the site's answer."""
        clearance = self._sites.clearance(visit.key)
        if site.failure() is not None:
            return held if held is not None else (yield Send(clearance)).response
        content: bytes = yield Content()
        steps = self._fetching.steps(visit, content, site, clearance)
        try:
            result: FetchResult = yield Ask(steps)
        except NotSolved as error:
            site.opened = False
            site.failed(error)
            logger.warning("%s: %s", visit.key.origin, error)
            return held if held is not None else (yield Send(clearance)).response
        except ClientError as error:
            site.opened = False
            raise Failed(error, held) from error
        site.opened = True
        headers = (value for name, value in result.headers if name.lower() == "set-cookie")
        self._sites.saw(site, headers)
        return result

    def _once(self, flight: Flight, work: Callable[[], Steps[None]]) -> Steps[None]:
        """Do some work once for all who ask for it at the same time."""
        while (waited := self._sites.begin(flight)) is not None:
            outcome = yield Wait(waited)
            if isinstance(outcome, ClientError):
                raise outcome
            if outcome is not _ABANDONED:
                return
        outcome = _ABANDONED
        try:
            yield from work()
            outcome = None
        except ClientError as error:
            outcome = error
            raise
        finally:
            self._sites.end(flight, outcome)
