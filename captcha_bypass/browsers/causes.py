"""Why browsers end, and what those who had a page in one are told."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from captcha_bypass.browsers.failures import CRASHED
from captcha_bypass.browsers.lease import Lease
from captcha_bypass.errors import TaskError, TaskErrorCode

#: Why a browser was replaced or closed: it had its number of tasks; it grew too large; it was idle;
#: its process died; a page's content process died; a page did not end in time; a page could not
#: be opened or closed in time; the driver died or hung; a page opened too many windows; a page kept it
#: so busy that the others starved.
Cause = Literal[
    "tasks",
    "memory",
    "idle",
    "crash",
    "page_crash",
    "popups",
    "hang",
    "open",
    "close",
    "driver",
    "busy",
]

_TOO_MUCH_MEMORY = (
    "The page took more memory than a browser may have; block what it need not load, or raise "
    "--max-browser-bytes."
)
_TOO_MUCH_WORK = (
    "The page kept the browser so busy that other tasks could not go on; block its scripts, or send "
    "it to a service of its own."
)
#: What a page is told that did it to its browser, as far as can be told alone.
FAULTS: dict[Cause, tuple[TaskErrorCode, str]] = {
    "crash": ("browser_crashed", CRASHED),
    "memory": ("too_much_memory", _TOO_MUCH_MEMORY),
    "busy": ("too_much_work", _TOO_MUCH_WORK),
}
#: Ends of a browser that any page in it may have brought about.
SUSPICIOUS: frozenset[Cause] = frozenset({"crash", "memory", "busy", "open", "close"})


def part(leases: Collection[Lease], cause: Cause, culprit: Lease | None = None) -> None:
    """Tell those who have a page of a dead browser whether to start again.

    Args:
        culprit: The page that hung, whose task ends otherwise.
    """
    # A page that has not gone anywhere yet cannot have done it.
    shown = [lease for lease in leases if lease.was_shown]
    alone = len(shown) == 1 and (cause != "crash" or len(leases) == 1)
    for lease in leases:
        if alone and lease in shown and cause in FAULTS:
            lease.fault = TaskError(*FAULTS[cause])
        lease.lost = lease is not culprit and not lease.crashed and lease.fault is None
        # Which of several it was cannot be told: each gets a browser for itself next.
        lease.suspect = cause in SUSPICIOUS and lease.was_shown
        lease.interrupt()
