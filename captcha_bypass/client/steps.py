"""The protocol as steps without I/O: a generator says what to do next, and a client does it.

So both clients have one implementation of all that is decided, and each its own way of doing it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
#: Yields what to do, is sent what came of it, and returns the outcome.
Steps = Generator[Any, Any, T]


@dataclass(frozen=True)
class Call:
    """Ask the service; what comes of it is an Answer, or NoAnswer is raised.

    Attributes:
        body: JSON; None: none is sent.
        timeout: Seconds to the last byte of the answer.
    """

    method: str
    path: str
    timeout: float
    body: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        headers: Names in lower case.
    """

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)


class NoAnswer(Exception):
    """There was none: no connection, it broke, or it took too long."""


def run(steps: Steps[T], do: Callable[[Any], Any]) -> T:
    """Do steps one after the other; what doing one raises is raised within the generator."""
    try:
        step = next(steps)
        while True:
            try:
                outcome = do(step)
            except BaseException as error:  # noqa: BLE001 - the generator gets it, and passes it on
                step = steps.throw(error)
            else:
                step = steps.send(outcome)
    except StopIteration as end:
        found: T = end.value
        return found


async def run_async(steps: Steps[T], do: Callable[[Any], Awaitable[Any]]) -> T:
    """Do steps as `run` does, on an event loop."""
    try:
        step = next(steps)
        while True:
            try:
                outcome = await do(step)
            except BaseException as error:  # noqa: BLE001 - the generator gets it, and passes it on
                step = steps.throw(error)
            else:
                step = steps.send(outcome)
    except StopIteration as end:
        found: T = end.value
        return found
