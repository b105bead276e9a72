"""What is asked, when and how often; no server, and no time passes but what a step takes."""

from __future__ import annotations

from typing import Any

import pytest

from captcha_bypass.client import RequestRefused, ServiceError, TaskFailed, protocol
from captcha_bypass.client.steps import Answer, run
from tests.support.client_answers import (
    ASKED,
    BODY,
    DONE,
    LOST,
    STOPPED,
    TAKEN,
    answer,
    paths,
    refused,
)
from tests.support.clients import Clock, ScriptedService
from tests.support.native_tasks import SOLUTION


def test_nothing_else_is_tried_again(clock: Clock) -> None:
    for code in ("shutting_down", "too_many_sessions", "internal_error"):
        service = ScriptedService(clock, refused(code))
        with pytest.raises(RequestRefused) as raised:
            run(ASKED.solve(BODY, 60), service)
        assert raised.value.code == code
        assert len(service.calls) == 1


@pytest.mark.parametrize("lost", [LOST, STOPPED])
def test_a_task_that_a_restart_has_lost_is_handed_in_again_once(clock: Clock, lost: Answer) -> None:
    service = ScriptedService(clock, TAKEN, lost, None, TAKEN, DONE)
    assert run(ASKED.solve(BODY, 60), service).url == SOLUTION["url"]
    assert paths(service).count("POST /solve") == 3
    service = ScriptedService(clock, TAKEN, lost, TAKEN, lost)
    with pytest.raises(TaskFailed):
        run(ASKED.solve(BODY, 60), service)


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


def test_a_request_through_the_browser_may_last_as_long_as_a_person_takes(clock: Clock) -> None:
    error = {"error": {"code": "timeout", "message": "Told."}}
    service = ScriptedService(clock, answer(504, error), answer(504, error))
    for fields in ({}, {"on_challenge": "wait"}):
        with pytest.raises(TaskFailed):
            run(ASKED.fetch({**BODY, **fields}), service)
    short, long = (call.timeout for call in service.calls)
    assert long - short == protocol.HUMAN_SECONDS
    assert short < 80
