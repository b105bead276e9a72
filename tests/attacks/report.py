"""What is known after a run of attacks, as plain data that also crosses to another process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Report:
    """What the target saw, what was really tried, and how the tasks ended."""

    #: Names of the attacks that got through.
    hits: list[str] = field(default_factory=list)
    #: Attacks that the browser did not even try on the page's own site, where they are allowed.
    untried: list[str] = field(default_factory=list)
    #: TCP connections and UDP packets at the target, and the first lines of HTTP requests.
    connections: int = 0
    packets: int = 0
    requests: list[str] = field(default_factory=list)
    #: Where the target's secret was to be read: names of tasks or pages.
    told: list[str] = field(default_factory=list)
    #: How each task of the service ended: its result, by a name of its own.
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: In a namespace: where TCP connections were opened to and UDP packets sent, and which names
    #: were looked up.
    opened: list[list[Any]] = field(default_factory=list)
    sent: list[list[Any]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    #: Hosts that a task's own proxy was asked for.
    proxied: list[str] = field(default_factory=list)

    def ending(self, task: str) -> str:
        """Return a task's error code, or its status where it has none."""
        view = self.views[task]
        return str(view["error"]["code"] if view["error"] else view["status"])
