"""What is decided for a challenged request: wait, retry, solve, or give up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from captcha_bypass_scrapy import retries
from captcha_bypass_scrapy.errors import ChallengeNotSolved, CrawlEnding, SolveError
from captcha_bypass_scrapy.exits import Key, exit_of, origin_of
from captcha_bypass_scrapy.settings import Options, options_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.http import Response

    from captcha_bypass.challenges import Challenge
    from captcha_bypass_scrapy.clearance import Clearance, Clearances, Flight
    from captcha_bypass_scrapy.parking import Parking
    from captcha_bypass_scrapy.settings import Config
    from captcha_bypass_scrapy.solving import Solver
    from captcha_bypass_scrapy.telling import Teller

#: Seconds between two requests that try whether a clearance is still good for other pages.
PROBE_SECONDS = 1.0


class Desk:
    """Where challenged requests line up. It knows no hooks and no signals."""

    def __init__(
        self,
        config: Config,
        clearances: Clearances,
        parking: Parking,
        solver: Solver,
        tell: Teller,
        closing: Callable[[], bool],
    ) -> None:
        self._config = config
        self._clearances = clearances
        self._parking = parking
        self._solver = solver
        self._tell = tell
        self._closing = closing

    async def hold(self, request: Request) -> Request | None:
        """Keep a request from a host that is being solved: it would only be challenged too."""
        key = key_of(request)
        flight = self._clearances.flight(key)
        came_back = self._parking.turned_back(request)
        if flight is None or self._closing():
            return None
        if not came_back:
            if not flight.holds or retries.probing(request):
                return None
            self._tell.count("held/count")
            retries.unchallenged(request)
            return await self._parked(request, key)
        error = await flight.landed
        if error is not None and retries.challenged(request) and not self._closing():
            raise self.gave_up(request, flight.vendor, error)
        return None

    def parks(self, request: Request, key: Key) -> bool:
        """Whether a request on its way to the parking still has to wait there."""
        flight = self._clearances.flight(key)
        if flight is None or self._closing():
            return False
        return flight.holds or retries.challenged(request)

    async def see_off(
        self,
        request: Request,
        response: Response,
        challenge: Challenge,
        carried: tuple[int, ...],
    ) -> Request | Response:
        """Decide by what the request carried; the way of a challenged request in one place."""
        options = options_of(request, self._config)
        key = home_key(request)
        if self._closing():
            raise CrawlEnding
        if self._clearances.flight(key) is not None:
            self._tell.count("solve/joined")
            return await self._parked(retries.again(request), key)
        current = self._clearances.current(key)
        if current is not None and page_wanted(request, self._config):
            return await self._solver.page(request, key, options, current)
        if current is not None and current.generation not in carried:
            self._tell.count("retry/stale")
            return retries.again(request, stale=True)
        if current is not None and not self._expired(current, request):
            return await self._refused(request, key, options, current)
        if current is not None:
            self._tell.count("clearance/expired")
        if (reason := self._clearances.resting(key)) is not None:
            raise SolveError(f"not tried again so soon after: {reason}", "cooldown")
        return await self._lead(request, key, options, challenge)

    def _expired(self, clearance: Clearance, request: Request) -> bool:
        """Whether a challenged clearance has been good for something, or is old enough to doubt."""
        if retries.times(request) >= self._config.times:
            return False
        return clearance.successes > 0 or clearance.older_than(self._config.cooldown_seconds)

    async def _refused(
        self, request: Request, key: Key, options: Options, clearance: Clearance
    ) -> Response:
        """The site does not take a good clearance from Scrapy: show what the browser sees."""
        self._tell.count("clearance/refused")
        if options.mode == "cookies" or request.method != "GET":
            why = "mode is cookies" if options.mode == "cookies" else f"it is a {request.method}"
            raise SolveError(
                f"the site refuses the browser's cookies from Scrapy, and {why}", "refused"
            )
        return await self._solver.page(request, key, options, clearance)

    async def _lead(
        self, request: Request, key: Key, options: Options, challenge: Challenge
    ) -> Request | Response:
        """Solve for everybody at this key, then retry; the others are parked meanwhile."""
        doubtful = self._clearances.current(key) is not None
        flight = self._clearances.start(key, challenge.vendor)
        if doubtful:
            self._probe_later(key, flight)
        outcome: SolveError | None = SolveError("the crawl was stopped")
        try:
            solution = await self._solver.clear(request, key, options, challenge)
            outcome = None
        except SolveError as error:
            outcome = error
            raise
        finally:
            self._clearances.ended(key, outcome)
            released = await self._release(key, flight.vendor, outcome)
        answered = self._solver.answers(request, options)
        self._tell.retrying(released + (not answered), key)
        if answered:
            return self._solver.response(solution, request)
        return retries.again(request, counted=True)

    async def _release(self, key: Key, vendor: str, outcome: SolveError | None) -> int:
        """Send the parked on, and return how many of them were challenged.

        Those fail with the one that solved for them. The others were not sent yet.
        """
        challenged = 0

        def prepare(request: Request) -> bool:
            nonlocal challenged
            if self._closing():
                retries.forget(request)
            elif retries.challenged(request):
                challenged += 1
                if outcome is not None:
                    retries.condemn(request, vendor, outcome)
                    return False
            return True

        await self._parking.release(key, prepare, self._closing)
        return challenged

    def _probe_later(self, key: Key, flight: Flight) -> None:
        """Send one request a second to see whether the old clearance still opens other pages."""

        def probe() -> None:
            if flight.landed.done() or not flight.holds or self._closing():
                return
            self._parking.let_one_go(key, retries.unsent, retries.probe)
            self._probe_later(key, flight)

        asyncio.get_running_loop().call_later(PROBE_SECONDS, probe)

    async def acquit(self, key: Key) -> None:
        """A probe got its page: only some pages are challenged anew, so let the others go."""
        flight = self._clearances.flight(key)
        if flight is not None and flight.holds:
            flight.holds = False
            await self._parking.release(key, lambda request: True, self._closing)

    async def _parked(self, request: Request, key: Key) -> Request:
        if self._parking.full():
            # Back to the scheduler, slowly: the other hosts' requests get their turn between.
            await self._parking.pause(self._clearances.flight(key))
            return request.replace(dont_filter=True)
        self._tell.count("parked/count")
        return self._parking.send(request, key)

    def gave_up(
        self, request: Request, vendor: str, error: SolveError, response: Response | None = None
    ) -> ChallengeNotSolved:
        """Return the exception for a request that stays without its page."""
        retries.forget(request)
        self._tell.gave_up(request, vendor, str(error), error.kind)
        return ChallengeNotSolved(vendor, str(error), response)


def key_of(request: Request) -> Key:
    """Return what clearance the request can use."""
    return Key(origin_of(request.url), exit_of(request))


def home_key(request: Request) -> Key:
    """Return the key a challenge is solved for: not the vendor's host it may be shown on."""
    return Key(origin_of(retries.home_url(request)), exit_of(request))


def page_wanted(request: Request, config: Config) -> bool:
    """Whether a challenge is answered with the browser's page without trying the cookies."""
    return options_of(request, config).mode == "html" and request.method == "GET"
