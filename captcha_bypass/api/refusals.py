"""What is refused, for the operator: counted, and told in the log now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from captcha_bypass.errors import RequestError, ShuttingDown

logger = logging.getLogger(__name__)

#: Seconds between two lines of the log about one code.
QUIET_SECONDS = 60.0


class Refusals:
    """Told of every request that is refused, and of connections that are.

    Args:
        report: Called with each one's code.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._told_at: dict[str, float] = {}

    def count(self, error: RequestError) -> None:
        """Count a request; a bound that it reached is also told."""
        if error.status in (408, 413, 503) and not isinstance(error, ShuttingDown):
            self.count_bound(error.code, str(error))
        else:
            self._report(error.code)

    def count_bound(self, code: str, text: str) -> None:
        """Count a bound that was reached; one line a minute says so.

        Args:
            text: What happened, and what can be done; no secrets.
        """
        self._report(code)
        now = asyncio.get_running_loop().time()
        if now - self._told_at.get(code, -QUIET_SECONDS) >= QUIET_SECONDS:
            self._told_at[code] = now
            logger.warning("refused, %s: %s", code, text)
