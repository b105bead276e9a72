"""How a task is handed in, waited for and given up; no server, and no time passes but what a step takes."""

from __future__ import annotations

import pytest

from captcha_bypass.client import RequestRefused, ServiceError, TaskFailed, tasks
from captcha_bypass.client.protocol import Protocol
from captcha_bypass.client.steps import Answer, run
from tests.support.client_answers import (
    ASKED,
    BODY,
    DONE,
    PENDING,
    RUNNING,
    TAKEN,
    answer,
    paths,
    refused,
    waits,
)
from tests.support.clients import Clock, ScriptedService
from tests.support.native_tasks import SOLUTION


def test_a_full_queue_is_asked_again_when_it_says(clock: Clock) -> None:
    service = ScriptedService(clock, refused("queue_full"), refused("queue_full", "7"), TAKEN, DONE)
    assert run(ASKED.solve(BODY, 60), service).url == SOLUTION["url"]
    assert service.pauses == [5, 7]


def test_a_queue_that_stays_full_is_given_up_within_the_callers_time(clock: Clock) -> None:
    service = ScriptedService(clock, *[refused("queue_full")] * 9)
    with pytest.raises(RequestRefused) as raised:
        run(ASKED.solve(BODY, 22), service)
    assert (raised.value.code, sum(service.pauses)) == ("queue_full", 20)


def test_a_question_lasts_30_seconds_and_is_asked_until_the_task_ends(clock: Clock) -> None:
    service = ScriptedService(clock, TAKEN, (30, PENDING), (30, RUNNING), (30, RUNNING), DONE)
    run(ASKED.solve(BODY, 100), service)
    assert waits(service) == [30, 30, 30, 30]
    assert all(call.timeout > 30 for call in service.calls[1:])


def test_an_answer_that_a_proxy_cuts_off_is_asked_for_in_shorter_pieces(clock: Clock) -> None:
    gateway = Answer(504, {}, b"<h1>Gateway Timeout</h1>")
    service = ScriptedService(clock, TAKEN, (20, None), (12, gateway), (7, RUNNING), DONE)
    run(ASKED.solve(BODY, 60), service)
    assert waits(service)[:3] == [30, 15, 7.5]


def test_a_service_that_holds_no_more_answers_is_asked_all_the_same(clock: Clock) -> None:
    service = ScriptedService(clock, TAKEN, refused("too_many_waiting"), RUNNING, DONE)
    run(ASKED.solve(BODY, 60), service)
    assert service.pauses == [tasks.ASK_SECONDS]


def test_a_task_that_ends_at_once_is_asked_for_once(clock: Clock) -> None:
    service = ScriptedService(clock, DONE)
    assert run(ASKED.solve(BODY, 60), service).url == SOLUTION["url"]
    assert [call.path for call in service.calls] == ["/solve?wait=1.000"]


def test_a_service_that_holds_no_more_answers_takes_tasks_all_the_same(clock: Clock) -> None:
    service = ScriptedService(clock, refused("too_many_waiting", "1"), TAKEN, DONE)
    run(ASKED.solve(BODY, 60), service)
    assert [call.path for call in service.calls[:2]] == ["/solve?wait=1.000", "/solve"]


def test_a_service_that_stays_away_is_given_up_and_the_task_not_forgotten(clock: Clock) -> None:
    service = ScriptedService(clock, TAKEN, *[(2.0, None)] * 30)
    with pytest.raises(ServiceError, match=r"service\.test") as raised:
        run(ASKED.solve(BODY, 60), service)
    assert raised.value.code == "unreachable"
    assert paths(service)[-1] == "DELETE /task/7"
    assert clock.now < 1000 + 60


def test_a_task_that_gets_no_browser_is_cancelled(clock: Clock) -> None:
    service = ScriptedService(clock, TAKEN, (30, PENDING), (10, PENDING), (0, PENDING), TAKEN)
    with pytest.raises(TaskFailed, match="queue_timeout") as raised:
        run(ASKED.solve(BODY, 40), service)
    assert raised.value.code == "timeout"
    assert paths(service)[-1] == "DELETE /task/7"


def test_time_in_the_queue_is_not_taken_from_the_browser(clock: Clock) -> None:
    service = ScriptedService(clock, TAKEN, (30, RUNNING), (30, RUNNING), (30, RUNNING), DONE)
    run(ASKED.solve(BODY, 31), service)


# A person is waited for

LINK = "http://service.test/dashboard#/task/7"
WAITING = answer(200, {"status": "waiting_for_human", "error": None, "data": None, "link": LINK})


def test_a_person_is_waited_for_as_long_as_the_service_does_and_told_once(clock: Clock) -> None:
    links: list[str] = []
    asked = Protocol("http://service.test", on_human=links.append)
    polls = [(5.0, RUNNING)] * 3 + [(30.0, WAITING)] * 30
    service = ScriptedService(clock, TAKEN, *polls, DONE)
    assert run(asked.solve({**BODY, "on_challenge": "wait"}, 60), service).url == SOLUTION["url"]
    assert links == [LINK]
    assert waits(service)[:4] == [5, 5, 5, 5]
    assert set(waits(service)[4:]) == {30}


def test_a_service_whose_default_it_is_is_waited_for_too(clock: Clock) -> None:
    service = ScriptedService(clock, TAKEN, *[(30.0, WAITING)] * 30, DONE)
    assert run(ASKED.solve(BODY, 60), service).url == SOLUTION["url"]
