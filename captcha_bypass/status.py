"""How the service stands: one object for /health, /metrics and whoever else shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, Protocol

from pydantic import Field

from captcha_bypass.errors import QueueUnavailable
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

#: How the wait for a person ends: the task's conditions hold; the person gives up; the time is up; the
#: task was cancelled; the page or its browser is gone. `no_room`: it never began.
Ending = Literal["solved", "left", "timeout", "cancelled", "failed", "no_room"]

# The next two are part of the API: names and descriptions are those of its documentation.


@dataclass(frozen=True)
class BrowserNow:
    """One browser that runs."""

    age: Annotated[float, Field(description="seconds")]
    tasks: Annotated[int, Field(description="tasks that have a page in it now")]
    served: Annotated[int, Field(description="tasks that it has taken")]
    bytes: Annotated[int, Field(description="memory when it was looked at last; 0: not yet")]
    sessions: Annotated[int, Field(description="sessions that live in it")]


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
    each: Annotated[list[BrowserNow], Field(description="those that run, the oldest first")] = (
        field(default_factory=list)
    )


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
class SessionNow:
    """A session of one owner.

    Attributes:
        name: What its user calls it; of a session that is kept for a site, the site's origin.
        idle: Seconds since it was last used; 0 while it is.
    """

    name: str
    idle: float


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
    #: Of the owner that it is for, the oldest first.
    sessions: tuple[SessionNow, ...] = ()
    #: Those that are kept for sites of that owner's.
    sites: tuple[SessionNow, ...] = ()
    #: Why the queue, which is shared with others, cannot be reached; None: it can.
    queue_failure: str | None = None

    @property
    def obstacle(self) -> str | None:
        """Why no task can run now; None if one can, or can once the first browser has started."""
        if self.stopping:
            return "the service is shutting down"
        if self.queue_failure is None and self.tasks.nodes and not self.tasks.slots:
            return "no node of the fleet runs tasks"
        return self.queue_failure or self.readiness.unavailable


class BrowserSource(Protocol):
    """Tells of the browsers at once, without asking them; browsers.startup.Startup does."""

    def readiness(self) -> Readiness:
        """Return whether there is a browser."""

    def browsers(self) -> Browsers:
        """Return how many there are."""


#: Returns an owner's sessions.
SessionSource = Callable[[str], tuple[SessionNow, ...]]


class StatusBoard:
    """Puts the status together.

    Args:
        egress: Where the service's guards count.
        fetches: Counts requests through the browser.
        sessions: Returns the sessions that an owner has begun.
        sites: Returns those that are kept for an owner's sites.
    """

    def __init__(
        self,
        queue: TaskQueue,
        source: BrowserSource,
        egress: Egress,
        fetches: Callable[[], Fetches] = Fetches,
        sessions: SessionSource = lambda owner: (),
        sites: SessionSource = lambda owner: (),
    ) -> None:
        self._fetches = fetches
        self._sessions = sessions
        self._sites = sites
        self._queue = queue
        self._source = source
        self._egress = egress

    async def now(self, owner: str | None = None) -> Status:
        """Return the status of this moment; what it holds does not change any more.

        Args:
            owner: With the sessions of this one; None: without any.
        """
        failure = None
        try:
            tasks = await self._queue.stats()
        except QueueUnavailable as error:
            tasks, failure = Stats(queued=0, running=0, slots=0), str(error)
        return Status(
            tasks=tasks,
            queue_failure=failure,
            stopping=self._queue.stopping,
            readiness=self._source.readiness(),
            browsers=self._source.browsers(),
            egress=replace(self._egress, failures=dict(self._egress.failures)),
            fetches=self._fetches(),
            sessions=() if owner is None else self._sessions(owner),
            sites=() if owner is None else self._sites(owner),
        )
