"""Why browsers end, and what the page that brought it about is told."""

from __future__ import annotations

from typing import Literal

from captcha_bypass.browsers.failures import CRASHED
from captcha_bypass.errors import TaskErrorCode
from captcha_bypass.status import RestartCause

#: Why a browser was replaced or closed: it had its number of tasks; it grew too large; it was idle;
#: its process died; a page's content process died; a page did not end in time; a page could not
#: be opened or closed in time; the driver died or hung; a page opened too many windows; a page kept it
#: so busy that the others starved.
Cause = Literal[RestartCause, "idle"]

#: For these a retired browser is asked to close by itself, as a healthy one does.
IN_ORDER: frozenset[Cause] = frozenset({"tasks", "memory", "idle", "page_crash", "popups"})
#: After these the browser may not have been what hung, but the driver.
HANGS: frozenset[Cause] = frozenset({"memory", "hang", "open", "close", "busy"})
#: Ends of a browser that any page in it may have brought about.
SUSPICIOUS: frozenset[Cause] = frozenset({"crash", "memory", "busy", "open", "close"})

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
