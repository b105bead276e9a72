"""Whether work on a text takes time in proportion to its length."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

GROWTH = 8
#: A quarter of what a quadratic search would need, and twice what a linear one does.
TOLERATED = 2 * GROWTH
#: Seconds below which a measurement says nothing.
TOO_SHORT = 1e-4


def grows_too_fast(
    work: Callable[[str], object], unit: str, length: int, start: str = "", end: str = ""
) -> bool:
    """Say whether time grows faster than length, on `start`, many times `unit`, and `end`.

    Each time it is measured: other programs on the machine disturb one measurement.
    """
    return all(_ratio(work, unit, length, start, end) > TOLERATED for _ in range(3))


def _ratio(work: Callable[[str], object], unit: str, length: int, start: str, end: str) -> float:
    def seconds(size: int) -> float:
        text = start + unit * (size // len(unit)) + end
        started = time.process_time()
        work(text)
        return time.process_time() - started

    longer = min(seconds(length * GROWTH) for _ in range(2))
    return longer / max(*(seconds(length) for _ in range(2)), TOO_SHORT)
