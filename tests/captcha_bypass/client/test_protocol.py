"""What is asked, when and how often; no server, and no time passes but what a step takes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from captcha_bypass.client import RequestRefused, ServiceError, TaskFailed, protocol
from captcha_bypass.client.protocol import Protocol
from captcha_bypass.client.steps import Answer, run
from tests.support.clients import Clock, ScriptedService
from tests.support.native_tasks import SOLUTION

BODY = {"url": "http://site.test/", "no_challenge": True, "timeout": 60.0}
ASKED = Protocol("http://service.test")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("captcha_bypass.client.protocol.time.monotonic", made.monotonic)
    return made


def answer(status: int, body: object, **headers: str) -> Answer:
    return Answer(
        status, {k.replace("_", "-"): v for k, v in headers.items()}, json.dumps(body).encode()
    )


def refused(code: str, after: str = "5", status: int = 503) -> Answer:
    return answer(status, {"error": {"code": code, "message": "Told."}}, retry_after=after)


TAKEN = answer(202, {"task_id": "7"})
PENDING, RUNNING, LOST = (
    answer(404 if status == "not_found" else 200, {"status": status, "error": None, "data": None})
    for status in ("pending", "running", "not_found")
)
DONE = answer(200, {"status": "completed", "error": None, "data": SOLUTION})
STOPPED = answer(200, {"status": "error", "error": {"code": "shutting_down", "message": "Told."}})


def paths(service: ScriptedService) -> list[str]:
    return [f"{call.method} {call.path.partition('?')[0]}" for call in service.calls]


def waits(service: ScriptedService) -> list[float]:
    found = [re.search(r"/result/.*wait=([\d.]+)", call.path) for call in service.calls]
    return [float(match[1]) for match in found if match]


def test_a_full_queue_is_asked_again_when_it_says(clock: Clock) -> None:
    service = ScriptedService(clock, refused("queue_full"), refused("queue_full", "7"), TAKEN, DONE)
    assert run(ASKED.solve(BODY, 60), service).url == SOLUTION["url"]
    assert service.pauses == [5, 7]


def test_a_queue_that_stays_full_is_given_up_within_the_callers_time(clock: Clock) -> None:
    service = ScriptedService(clock, *[refused("queue_full")] * 9)
    with pytest.raises(RequestRefused) as raised:
        run(ASKED.solve(BODY, 22), service)
    assert (raised.value.code, sum(service.pauses)) == ("queue_full", 20)


def test_nothing_else_is_tried_again(clock: Clock) -> None:
    for code in ("shutting_down", "too_many_sessions", "internal_error"):
        service = ScriptedService(clock, refused(code))
        with pytest.raises(RequestRefused) as raised:
            run(ASKED.solve(BODY, 60), service)
        assert raised.value.code == code
        assert len(service.calls) == 1


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
    assert service.pauses == [protocol.ASK_SECONDS]


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


@pytest.mark.parametrize("lost", [LOST, STOPPED])
def test_a_task_that_a_restart_has_lost_is_handed_in_again_once(clock: Clock, lost: Answer) -> None:
    service = ScriptedService(clock, TAKEN, lost, None, TAKEN, DONE)
    assert run(ASKED.solve(BODY, 60), service).url == SOLUTION["url"]
    assert paths(service).count("POST /solve") == 3
    service = ScriptedService(clock, TAKEN, lost, TAKEN, lost)
    with pytest.raises(TaskFailed):
        run(ASKED.solve(BODY, 60), service)


def test_a_task_that_gets_no_browser_is_cancelled(clock: Clock) -> None:
    service = ScriptedService(clock, TAKEN, (30, PENDING), (10, PENDING), (0, PENDING), TAKEN)
    with pytest.raises(TaskFailed, match="queue_timeout") as raised:
        run(ASKED.solve(BODY, 40), service)
    assert raised.value.code == "timeout"
    assert paths(service)[-1] == "DELETE /task/7"


def test_time_in_the_queue_is_not_taken_from_the_browser(clock: Clock) -> None:
    service = ScriptedService(clock, TAKEN, (30, RUNNING), (30, RUNNING), (30, RUNNING), DONE)
    run(ASKED.solve(BODY, 31), service)


def test_waiting_for_a_place_is_part_of_a_fetchs_time(clock: Clock) -> None:
    fetched: dict[str, Any] = {"status": 200, "headers": [], "url": "http://site.test/", "body": ""}
    fetched |= {"decoded": None, "solved": None, "user_agent": "agent", "elapsed": 0.1}
    service = ScriptedService(clock, refused("too_many_waiting", "20"), answer(200, fetched))
    assert run(ASKED.fetch(BODY), service).content == b""
    assert [call.body["timeout"] for call in service.calls if call.body] == [60, 40]
    service = ScriptedService(clock, *[refused("too_many_waiting", "40")] * 3)
    with pytest.raises(RequestRefused):
        run(ASKED.fetch(BODY), service)
    assert len(service.calls) == 2


def test_a_fetch_that_breaks_off_is_never_sent_again(clock: Clock) -> None:
    service = ScriptedService(clock, None, None)
    with pytest.raises(ServiceError):
        run(ASKED.fetch(BODY), service)
    assert len(service.calls) == 1


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


def test_a_request_through_the_browser_may_last_as_long_as_a_person_takes(clock: Clock) -> None:
    error = {"error": {"code": "timeout", "message": "Told."}}
    service = ScriptedService(clock, answer(504, error), answer(504, error))
    for fields in ({}, {"on_challenge": "wait"}):
        with pytest.raises(TaskFailed):
            run(ASKED.fetch({**BODY, **fields}), service)
    short, long = (call.timeout for call in service.calls)
    assert long - short == protocol.HUMAN_SECONDS
    assert short < 80
