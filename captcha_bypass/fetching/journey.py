"""One request, from the solve that it may need to the site's answer."""

from __future__ import annotations

from captcha_bypass import challenges
from captcha_bypass.challenges import Challenge
from captcha_bypass.fetching.deadline import Deadline
from captcha_bypass.fetching.dispatcher import Dispatcher
from captcha_bypass.fetching.messages import Answer, ChallengeNotPassed, TimeIsUp
from captcha_bypass.fetching.sender import NotSent, Sent, Wanted
from captcha_bypass.fetching.site import Site
from captcha_bypass.wire.fetch import Fetched, FetchRequest, Obstacle

#: Solves that one request is worth.
MAX_SOLVES = 2
#: Answers that are challenges before it is given up: each but the last was solved, by it or by others.
MAX_CHALLENGES = 3
#: Sessions that may end before the request has left them.
MAX_LOST = 2


class Journey:
    """One request on its way.

    Args:
        wanted: What is sent, and what must be so then.
        deadline: On the event loop's clock, for the last byte.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        site: Site,
        request: FetchRequest,
        wanted: Wanted,
        deadline: float,
    ) -> None:
        self._dispatcher = dispatcher
        self._site = site
        self._request = request
        self._wanted = wanted
        self._deadline = Deadline(deadline)
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
            async with self._deadline.scope():
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
        while (needed := self._dispatcher.needs_solve(site)) or site.is_being_solved:
            self._waits_for = "its site to be solved"
            self._solves += self._is_due and needed
            self._is_due = False
            flight = self._dispatcher.flight_to(site, self._request, self._deadline.at)
            waits = self._request.waits_for_human
            outcome = await flight.outcome(self._deadline if waits else None)
            if outcome.failure is None:
                self._solved = outcome.solved or self._solved
                if not self._dispatcher.is_settled(site):
                    self._count_loss(NotSent("The session ended with its solve, again and again."))
                return
            # Somebody has begun it who is in a greater hurry, or has no person called.
            was_hurried = flight.until + 1.0 < self._deadline.at
            was_short = was_hurried or (waits and not flight.waits_for_human)
            was_short = was_short and outcome.is_late and not flight.has_waited
            if not was_short or self._solves >= MAX_SOLVES:
                outcome.raise_if_failed()
            self._is_due = True

    def _count_loss(self, error: NotSent) -> None:
        self._lost += 1
        if self._lost > MAX_LOST:
            raise error

    async def _sent(self) -> Sent | None:
        """Send the request; None if it must be sent again, or has not been sent."""
        site = self._site
        self._waits_for = "its turn, or the site's answer"
        try:
            found = await self._dispatcher.send(
                site, self._wanted, self._deadline.at, first=self._challenges > 0
            )
        except NotSent as error:
            self._count_loss(error)
            return None
        if found is None:
            return None
        sent, asked_at = found
        challenge = _challenge(sent.answer)
        if challenge is None:
            return sent
        self._challenges += 1
        self._is_due = True
        if self._solves >= MAX_SOLVES or self._challenges >= MAX_CHALLENGES:
            raise self._challenged_again(challenge)
        if site.solved_at is None or site.solved_at <= asked_at:
            site.is_refused = True
        return None

    def _challenged_again(self, challenge: Challenge) -> ChallengeNotPassed:
        message = (
            "The page was solved, but the site still answers the request with a challenge of "
            f"{challenge.vendor}."
        )
        why = Obstacle(
            challenge=challenge.vendor,
            challenge_kind=challenge.kind,
            unmet=["no_challenge"] if self._request.no_challenge else [],
        )
        return ChallengeNotPassed(message, why)


def _challenge(answer: Answer) -> Challenge | None:
    """Return the challenge that the answer is, if it is one that a browser can pass."""
    headers: dict[str, list[str]] = {}
    for name, value in answer.headers:
        headers.setdefault(name, []).append(value)
    found = challenges.detect(answer.status, headers, answer.body)
    return found if found is not None and found.solvable else None


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
        answer.seconds,
    )
