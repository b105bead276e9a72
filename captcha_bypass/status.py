"""How the service stands: one object for /health, /metrics and whoever else shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, Protocol

from pydantic import Field

from captcha_bypass.tasks.base import Stats, TaskQueue


@dataclass(frozen=True)
class Readiness:
    """Whether there is a browser for tasks, and which.

    Attributes:
        starting: None has passed its self-check yet, and nothing is known to be wrong.
        unavailable: Why no browser can be had now, or None.
        browser: Name and version of the browser; "" until it is known.
        version: Its version alone.
        warning: Why another browser than the default is in use, or None.
    """

    starting: bool = False
    unavailable: str | None = None
    browser: str = ""
    version: str = ""
    warning: str | None = None


#: Why a browser was replaced; browsers.retirement says what each means.
RestartCause = Literal[
    "tasks",
    "memory",
    "crash",
    "page_crash",
    "popups",
    "hang",
    "open",
    "close",
    "driver",
    "busy",
]
#: Why a page could not reach a host: what the guard says, as codes of task errors, and that the page
#: wanted too many connections.
EgressFailure = Literal[
    "blocked_address",
    "connection_refused",
    "dns_error",
    "navigation_error",
    "proxy_error",
    "too_many_connections",
]

# The next two are part of the API: names and descriptions are those of its documentation.


@dataclass(frozen=True)
class Browsers:
    """The browsers of the service, in numbers."""

    tasks: Annotated[
        list[int], Field(description="one number for each that runs: tasks it has taken")
    ]
    starting: int
    restarts: Annotated[
        dict[str, int],
        Field(
            description="browsers that are no more, by cause: tasks, memory, crash, page_crash, "
            "popups, hang, open, close, driver, busy"
        ),
    ]
    bytes: Annotated[
        list[int],
        Field(description="memory that each held when it was looked at last; 0: not yet"),
    ] = field(default_factory=list)


@dataclass
class Egress:
    """What the pages of all tasks have moved since the service started."""

    bytes_sent: int = 0
    bytes_received: int = 0
    connections: int = 0
    failures: Annotated[
        dict[str, int],
        Field(
            description="hosts a task's page could not reach, by task error code, such as "
            "blocked_address where the guard refused"
        ),
    ] = field(default_factory=dict)

    def failed(self, code: str) -> None:
        """Count a host that a task could not reach; each counts once a task."""
        self.failures[code] = self.failures.get(code, 0) + 1


@dataclass(frozen=True)
class Fetches:
    """Requests through the browser (POST /fetch), in numbers of now."""

    running: Annotated[int, Field(description="requests that have no answer yet")] = 0
    sites: Annotated[int, Field(description="sessions that the service keeps for sites")] = 0


@dataclass(frozen=True)
class Status:
    """How the service stands at one moment."""

    tasks: Stats
    #: Whether the service is shutting down, and takes no new work.
    stopping: bool
    readiness: Readiness
    browsers: Browsers
    egress: Egress
    fetches: Fetches = Fetches()

    @property
    def obstacle(self) -> str | None:
        """Why no task can run now; None if one can, or can once the first browser has started."""
        return "the service is shutting down" if self.stopping else self.readiness.unavailable


class BrowserSource(Protocol):
    """Tells of the browsers at once, without asking them; browsers.startup.Startup does."""

    def readiness(self) -> Readiness:
        """Return whether there is a browser."""

    def browsers(self) -> Browsers:
        """Return how many there are."""


class StatusBoard:
    """Puts the status together.

    Args:
        egress: Where the service's guards count.
        fetches: Counts requests through the browser.
    """

    def __init__(
        self,
        queue: TaskQueue,
        source: BrowserSource,
        egress: Egress,
        fetches: Callable[[], Fetches] = Fetches,
    ) -> None:
        self._fetches = fetches
        self._queue = queue
        self._source = source
        self._egress = egress

    async def now(self) -> Status:
        """Return the status of this moment; what it holds does not change any more."""
        tasks = await self._queue.stats()
        return Status(
            tasks=tasks,
            stopping=self._queue.stopping,
            readiness=self._source.readiness(),
            browsers=self._source.browsers(),
            egress=replace(self._egress, failures=dict(self._egress.failures)),
            fetches=self._fetches(),
        )
