"""All guards of a service: opened here, and what they have in common."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from captcha_bypass import status
from captcha_bypass.egress.guard import Guard
from captcha_bypass.egress.resolver import Resolver
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Rules
from captcha_bypass.errors import TaskError


class Egress:
    """Opens them, and has what they share. Used as `async with Egress(...) as egress`.

    Args:
        max_task_bytes: What one task may move, both directions together.
    """

    def __init__(self, rules: Rules, max_task_bytes: int = 100 * 1024**2) -> None:
        self.rules = rules
        self.max_task_bytes = max_task_bytes
        #: What their tasks have moved.
        self.counts = status.Egress()
        self.resolver = Resolver()
        #: Guards that are open.
        self.guards: set[Guard] = set()
        #: Connections that browsers have to all of them.
        self.open_connections = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for guard in list(self.guards):
            await guard.close()

    def check(self, permit: Permit) -> None:
        """Refuse a private address that a task itself spells, before a page is opened for it.

        Names are for its guard, which alone looks them up.

        Raises:
            TaskError: `blocked_address`.
        """
        try:
            self.rules.check_literal(permit.named)
            if permit.upstream is not None and not permit.upstream.trusted:
                self.rules.check_literal(permit.upstream.destination, what="The proxy: ")
        except TaskError as error:
            self.counts.failed(error.code)
            raise

    async def guard(self, *, counts: status.Egress | None = None) -> Guard:
        """Open a guard; whoever asked closes it, or the end of the service.

        Args:
            counts: Where it counts; default: where the service's tasks count.
        """
        guard = Guard(self, counts or self.counts)
        await guard.listen()
        return guard
