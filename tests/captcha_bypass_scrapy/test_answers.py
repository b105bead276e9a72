"""What the service's answers say, and that anything else is told from them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from captcha_bypass_scrapy.answers import (
    DEFAULT_RETRY_AFTER,
    REFUSED_PAUSE,
    is_file,
    is_lost,
    is_view,
    json_object,
    message_of,
    retry_after,
    solution_of,
)
from captcha_bypass_scrapy.errors import SolverUnavailable
from tests.captcha_bypass_scrapy.fake_service import page_of

DATA = page_of({"url": "http://site.example/"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)
#: Objects with the fields that an answer may have, of any type.
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "status": JSON | st.sampled_from(["completed", "error", "pending", "not_found"]),
        "error": JSON
        | st.fixed_dictionaries({}, optional={"code": JSON, "message": JSON, "fields": JSON}),
        "data": JSON,
    },
)


# Reading


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": [1]}', {"a": [1]}),
        (' {"a": 1} \n', {"a": 1}),
        *((text, {}) for text in ("", "null", "5", "[]", '[{"a": 1}]', '"a"', "{", "<html>")),
        ("[" * 100_000, {}),
        ("1" * 10_000, {}),
        ('{"a": 1} trailing', {}),
        ("\ufeff{}", {}),
    ],
    ids=range(14),
)
def test_anything_but_an_object_is_read_as_an_empty_one(text: str, found: dict[str, Any]) -> None:
    assert json_object(text) == found


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    assert isinstance(json_object(text), dict)


# A task's result


@pytest.mark.parametrize(
    ("answer", "view"),
    [
        ({"status": "pending"}, True),
        ({"status": "completed", "error": None, "data": DATA}, True),
        ({"status": "error", "error": {"code": "a", "message": "b", "fields": []}}, True),
        ({}, False),
        ({"status": None}, False),
        ({"status": ["pending"]}, False),
        ({"status": "error", "error": "no"}, False),
        ({"status": "error", "error": {}}, False),
        ({"status": "error", "error": {"code": "a"}}, False),
        ({"status": "error", "error": {"message": "b"}}, False),
        ({"error": {"code": "a", "message": "b"}}, False),  # a refusal, and no task's
    ],
)
def test_view_of_a_task_is_told_from_other_answers(answer: dict[str, Any], *, view: bool) -> None:
    assert is_view(answer) is view


@given(ANSWERS)
def test_whatever_is_a_view_can_be_asked_everything(answer: dict[str, Any]) -> None:
    if is_view(answer):
        assert {is_file(answer), is_lost(answer)} <= {True, False}
    assert isinstance(message_of(answer), str)


@pytest.mark.parametrize(
    ("view", "lost", "file"),
    [
        ({"status": "not_found"}, True, False),
        ({"status": "error", "error": {"code": "shutting_down"}}, True, False),
        ({"status": "error", "error": {"code": "not_a_page"}, "data": DATA}, False, True),
        ({"status": "error", "error": {"code": "not_a_page"}, "data": None}, False, False),
        ({"status": "error", "error": {"code": "dns_error"}, "data": DATA}, False, False),
        ({"status": "completed", "error": None, "data": DATA}, False, False),
        ({"status": "cancelled"}, False, False),
    ],
)
def test_lost_tasks_and_files_are_told_from_failures(
    view: dict[str, Any], *, lost: bool, file: bool
) -> None:
    assert (is_lost(view), is_file(view)) == (lost, file)


def test_data_with_all_its_fields_is_a_solution() -> None:
    assert solution_of(DATA) is DATA
    more = {**DATA, "hints": []}
    assert solution_of(more) is more


@pytest.mark.parametrize("data", [None, [], "html", {}, {"html": "x"}], ids=repr)
def test_data_of_another_kind_is_another_services(data: object) -> None:
    with pytest.raises(SolverUnavailable, match="is CAPTCHA_BYPASS_URL right") as raised:
        solution_of(data)

    assert (raised.value.state, raised.value.pause) == ("refusing", REFUSED_PAUSE)


@pytest.mark.parametrize(
    "name", ["cookies", "headers", "status_code", "html", "url", "timeout_reached", "challenge"]
)
def test_every_field_is_needed(name: str) -> None:
    with pytest.raises(SolverUnavailable):
        solution_of({key: value for key, value in DATA.items() if key != name})


# What an error says


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"error": {"message": "No."}}, "No."),
        ({"error": {"message": "No.", "fields": []}}, "No."),
        (
            {"error": {"message": "No.", "fields": [{"field": "a", "message": "b"}]}},
            "a: b",
        ),
        (
            {"error": {"fields": [{"field": "a", "message": "b"}, 5, {"field": "c"}]}},
            "a: b; c: None",
        ),
        ({"error": "No."}, "not in the service's own words"),
        ({}, "not in the service's own words"),
        ({"error": {}}, "None"),
    ],
)
def test_message_is_the_services_field_by_field(answer: dict[str, Any], told: str) -> None:
    assert message_of(answer) == told


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, DEFAULT_RETRY_AFTER),
        ("30", 30.0),
        ("1.5", 1.5),
        ("0", 0.1),
        ("-3", 0.1),
        ("nan", 0.1),
        ("", DEFAULT_RETRY_AFTER),
        ("soon", DEFAULT_RETRY_AFTER),
        ("Fri, 31 Dec 2027 23:59:59 GMT", DEFAULT_RETRY_AFTER),
    ],
)
def test_full_service_says_when_to_come_back(header: str | None, seconds: float) -> None:
    headers = CIMultiDict({} if header is None else {"retry-after": header})

    assert retry_after(headers) == seconds


@given(st.text())
def test_whatever_it_says_there_is_a_pause(header: str) -> None:
    assert retry_after({"Retry-After": header}) >= 0.1
