"""Whether Redis can be reached, told once each time that changes."""

from __future__ import annotations

import logging

from captcha_bypass.errors import QueueUnavailable

logger = logging.getLogger(__name__)

#: Seconds between two tries to reach Redis.
RETRY_SECONDS = 0.5


class Outage:
    """Tells the log of the first failure, and of the first success after it."""

    def __init__(self) -> None:
        self._is_on = False

    def began(self, error: QueueUnavailable) -> None:
        """Note that Redis could not be reached."""
        if not self._is_on:
            self._is_on = True
            logger.error("%s Nothing is lost; tasks go on once it is back.", error)

    def over(self) -> None:
        """Note that it was."""
        if self._is_on:
            self._is_on = False
            logger.warning("the queue is back")
