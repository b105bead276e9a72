"""How an adapter asks the service for a clearance, which it may share with other programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from captcha_bypass.challenges import CLEARANCE_COOKIES
from captcha_bypass.client.bodies import Conditions, solve_body
from captcha_bypass.client.errors import ClientError

if TYPE_CHECKING:
    from captcha_bypass.challenges import Challenge
    from captcha_bypass.client.protocol import Protocol
    from captcha_bypass.client.results import SolveResult
    from captcha_bypass.client.sites import Clearance
    from captcha_bypass.client.steps import Steps
    from captcha_bypass.client.visits import Visit


@dataclass(frozen=True)
class Clearing:
    """Gets clearances.

    Args:
        timeout: Seconds for a solve.
        conditions: When a page is through.
        reuse: Seconds that another program's clearance may be old; None: none is shared.
    """

    protocol: Protocol
    timeout: float
    conditions: Conditions
    reuse: float | None

    def steps(
        self, visit: Visit, challenge: Challenge, refused: Clearance | None
    ) -> Steps[SolveResult]:
        """Return what the service has for a request that was challenged.

        Args:
            refused: What it was sent with; the service is told, so that no other program gets it.

        Raises:
            ClientError: there is nothing to be had.
        """
        reuse = self.reuse
        if challenge.vendor not in CLEARANCE_COOKIES and visit.own_cookies():
            reuse = None  # it may be the user's own session that gets through
        if reuse is not None and refused is not None and refused.key == visit.key:
            try:
                if refused.shared is not None:
                    yield from self.protocol.refuse(refused.shared.id)
            except ClientError:
                reuse = None  # or the same would come back
        body = solve_body(
            visit.page,
            self.timeout,
            {
                "proxy": visit.proxy,
                "cookies": visit.cookie_fields(),
                "reuse": reuse,
                **self.conditions,
            },
        )
        return (yield from self.protocol.solve(body, self.timeout))
