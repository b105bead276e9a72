"""An event loop whose clock jumps: a minute of waiting takes no time, and no test is flaky by it."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _Selector(selectors.DefaultSelector):
    """Advances the clock by what the loop would have slept."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everything waits for something that never comes")
        self.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs like any other loop, but `time()` is virtual. No threads, no real I/O."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.run_until_complete(asyncio.sleep(seconds))

    def shutdown(self) -> None:
        """Cancel what is left and close."""
        self.run_until_complete(_cancel_all())
        self.close()

    def run(self, work: Any) -> Any:  # noqa: ANN401 - whatever the coroutine returns
        return self.run_until_complete(work)


async def _cancel_all() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
