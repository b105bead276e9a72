"""A queue in this process, and an event loop whose time a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from captcha_bypass.tasks.memory import MemoryQueue

T = TypeVar("T")
TTL = 100.0
#: A task's timeout where the clock is moved: the queue must not cut it off.
AGES = 1e9


class ClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__()

    def time(self) -> float:
        return self.now

    def settle(self) -> None:
        """Run all that is ready, and what that makes ready."""

        async def turns() -> None:
            for _ in range(10):
                await asyncio.sleep(0)

        self.run_until_complete(turns())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        result = self.run_until_complete(work)
        self.settle()
        return result

    def move(self, seconds: float) -> None:
        self.now += seconds
        self.settle()


def quick(**options: Any) -> MemoryQueue:  # noqa: ANN401 - MemoryQueue's own keywords
    defaults = {"max_pending": 10_000, "result_ttl": 60.0, "max_results_bytes": 2**28}
    return MemoryQueue(**{**defaults, **options})
