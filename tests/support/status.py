"""What the API tells of browsers, without browsers."""

from __future__ import annotations

from dataclasses import dataclass, field

from captcha_bypass.status import Browsers, Egress, Readiness, Status
from captcha_bypass.tasks.base import Stats

#: Some numbers, each of its own.
BROWSERS = Browsers(tasks=[3, 1], starting=1, restarts={"tasks": 2, "hang": 1}, bytes=[100, 200])
EGRESS = Egress(
    bytes_sent=5,
    bytes_received=7,
    connections=3,
    failures={"dns_error": 2, "blocked_address": 1},
)


#: A service with nothing to do and nothing to do it with.
NOTHING = Status(
    tasks=Stats(0, 0, 0),
    stopping=False,
    readiness=Readiness(),
    browsers=Browsers([], 0, {}),
    egress=Egress(),
)


@dataclass
class ToldBrowsers:
    """Browsers that stand as a test says."""

    now: Readiness = field(default_factory=Readiness)
    numbers: Browsers = field(default_factory=lambda: Browsers([], 0, {}))

    def readiness(self) -> Readiness:
        return self.now

    def browsers(self) -> Browsers:
        return self.numbers
