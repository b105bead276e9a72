"""How far a task is: what people are told, and when it is given up."""

from __future__ import annotations

import time

import pytest

from captcha_bypass_scrapy.errors import SolverUnavailable
from captcha_bypass_scrapy.progress import DOWN_PAUSE, GRACE_SECONDS, Progress


class Told(list[str]):
    """What was said of a slow task."""


def progress(
    told: Told | None = None,
    *,
    age: float = 0.0,
    timeout: float = 10.0,
    slow: float = 60.0,
    patience: float = 60.0,
) -> Progress:
    """A task that began `age` seconds ago."""
    made = Progress(timeout, slow, patience, (Told() if told is None else told).append)
    made.started -= age
    return made


def test_nothing_is_said_of_a_quick_task() -> None:
    told = Told()
    task = progress(told, age=4.0, slow=5.0)

    task.check(0.0)

    assert told == []


def test_slow_task_is_told_once_with_what_it_waits_for_then() -> None:
    told = Told()
    task = progress(told, age=6.0, slow=5.0)

    task.check(0.0)
    task.saw("running")
    task.check(0.0)

    assert told == ["the service's answer"]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending", "a free browser: the task is in the service's queue"),
        ("running", "the browser to get through (at most 12.5 s)"),
        ("completed", "the service's answer"),  # it is over: nothing is waited for
    ],
)
def test_state_is_in_words_that_people_understand(status: str, state: str) -> None:
    task = progress(timeout=12.5)

    task.saw(status)

    assert task.state == state


def test_task_begins_to_run_once() -> None:
    task = progress()

    assert [task.saw(status) for status in ("pending", "running", "running", "pending")] == [
        *(False, True, False, False)
    ]


def test_task_that_starts_again_begins_again() -> None:
    """As one whose browser died with another task's page."""
    task = progress()
    task.saw("running")
    assert task.running_since is not None
    task.saw("pending")

    assert task.running_since is None
    assert task.saw("running")


def test_running_task_has_its_timeout_and_some_grace() -> None:
    task = progress(age=1000.0, patience=1.0)
    task.saw("running")
    assert task.running_since is not None
    task.running_since -= 10.0 + GRACE_SECONDS - 1.0
    task.check(0.0)
    task.running_since -= 2.0

    with pytest.raises(SolverUnavailable, match="let the task run past its timeout") as raised:
        task.check(time.monotonic())

    assert (raised.value.state, raised.value.pause) == ("away", DOWN_PAUSE)


@pytest.mark.parametrize("status", ["pending", None])
def test_task_that_does_not_run_is_waited_for_with_patience(status: str | None) -> None:
    task = progress(age=4.0, patience=5.0)
    if status is not None:
        task.saw(status)
    task.check(0.0)
    task.started -= 2.0

    with pytest.raises(SolverUnavailable, match=r"^5 s were spent waiting for ") as raised:
        task.check(0.0)

    assert str(raised.value).endswith(task.state)
    assert (raised.value.state, raised.value.pause) == ("away", DOWN_PAUSE)


def test_queue_that_moves_is_waited_for_as_long_as_it_does() -> None:
    task = progress(age=1000.0, patience=5.0)

    task.check(time.monotonic() - 4.0)
    with pytest.raises(SolverUnavailable):
        task.check(time.monotonic() - 6.0)


def test_people_are_told_before_it_is_given_up() -> None:
    told = Told()
    task = progress(told, age=100.0, slow=5.0, patience=5.0)

    with pytest.raises(SolverUnavailable):
        task.check(0.0)

    assert len(told) == 1
