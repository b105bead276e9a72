"""How far a task is: for deadlines and for the log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from captcha_bypass_scrapy.errors import SolverUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds a browser gets beyond a task's timeout, to be stopped and to hand over the page.
GRACE_SECONDS = 15.0
#: Seconds without asking a service that was down, or did not answer like one.
DOWN_PAUSE = 10.0


@dataclass
class Progress:
    """Where a task stands.

    Attributes:
        timeout: Seconds the browser gets.
        slow: Seconds after which `on_slow` is called, once, with what is being waited for.
        patience: Seconds it may be in a queue in which nothing of ours moves.
        on_human: Called once, with the link to the page, where a person is waited for.
    """

    timeout: float
    slow: float
    patience: float
    on_slow: Callable[[str], None]
    on_human: Callable[[str], None] = lambda link: None
    started: float = field(default_factory=time.monotonic)
    running_since: float | None = None
    state: str = "the service's answer"
    told: bool = False
    told_human: bool = False

    def saw(self, status: str) -> bool:
        """Note the task's status as the service told it; returns whether it began to run."""
        began = status == "running" and self.running_since is None
        if status == "running":
            self.running_since = self.running_since or time.monotonic()
            self.state = f"the browser to get through (at most {self.timeout:g} s)"
        elif status == "waiting_for_human":  # for how long, the service alone knows
            self.running_since = time.monotonic()
            self.state = "a person to pass the challenge"
        elif status == "pending":
            self.running_since = None
            self.state = "a free browser: the task is in the service's queue"
        return began

    def tell_human(self, link: object) -> None:
        """Report once where a person is needed.

        Args:
            link: As the service told it; None: nobody is needed.
        """
        if isinstance(link, str) and not self.told_human:
            self.told_human = True
            self.on_human(link)

    def check(self, moved: float) -> None:
        """Report once that the task takes long, and give up when it takes too long.

        Args:
            moved: When any task of this crawl was last seen to get on: the queue is alive.
        """
        now = time.monotonic()
        if not self.told and now - self.started > self.slow:
            self.told = True
            self.on_slow(self.state)
        if self.running_since is not None:
            if now > self.running_since + self.timeout + GRACE_SECONDS:
                raise SolverUnavailable("the service let the task run past its timeout", DOWN_PAUSE)
        elif now > max(self.started, moved) + self.patience:
            raise SolverUnavailable(
                f"{self.patience:g} s were spent waiting for {self.state}", DOWN_PAUSE
            )
