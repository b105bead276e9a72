"""What one node writes of a fetch another reads as it was, errors with their kind and code."""

from __future__ import annotations

import string
from base64 import b64encode
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captcha_bypass.errors import (
    CaptchaBypassError,
    FieldError,
    InvalidRequest,
    QueueFull,
    QueueUnavailable,
    ShuttingDown,
    TaskError,
    TooManySessions,
    TooManyWaiting,
    UnexpectedError,
)
from captcha_bypass.fetching.messages import (
    AnswerTooLarge,
    AnswerUnreadable,
    ChallengeNotPassed,
    TimeIsUp,
)
from captcha_bypass.nodes import letters
from captcha_bypass.wire.fetch import Fetched, FetchRequest, Obstacle

PRINTABLE = st.text(string.ascii_letters + string.digits + "-_.~ /;=", min_size=1, max_size=20)
NAMES = st.text(string.ascii_letters, min_size=1, max_size=10)
VALUES = PRINTABLE.map(str.strip).filter(bool)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
PROXIES = st.sampled_from(
    [
        None,
        {"server": "http://proxy.test:1"},
        {"server": "http://proxy.test:1", "username": "u", "password": "p\N{SNOWMAN}:@"},
    ]
)
COOKIES = st.lists(
    st.builds(
        lambda name, value, where: {"name": name, "value": value, **where},
        NAMES,
        NAMES,
        st.sampled_from(
            [{}, {"url": "https://x.test/"}, {"domain": "x.test", "secure": False, "expires": 5}]
        ),
    ),
    max_size=3,
)
REQUESTS = st.builds(
    lambda body, **fields: FetchRequest.model_validate({**fields, **body}),
    body=st.just({}) | st.text().map(lambda text: {"body": text}),
    url=st.sampled_from(["https://x.test/", "http://[::1]:8080/a?b=\N{SNOWMAN}"]),
    method=st.sampled_from(["GET", "post", "X-OWN"]),
    headers=st.dictionaries(NAMES, VALUES, max_size=4),
    timeout=st.floats(0.1, 600),
    proxy=PROXIES,
    cookies=COOKIES,
    first_cookies=COOKIES,
    jar=st.none() | NAMES,
    success_text=st.none() | VALUES,
    no_challenge=st.just(True),
)
ANSWERS = st.builds(
    Fetched,
    status=st.integers(200, 599),
    headers=st.lists(st.tuples(st.text(), st.text())).map(tuple),
    url=st.text(),
    body=st.binary(),
    decoded=st.none() | st.text(),
    solved=st.none() | st.text(),
    user_agent=st.text(),
    page_seconds=st.floats(0, 1000),
)


def is_value_error(unpack: Callable[[bytes], object], letter: bytes) -> bool:
    try:
        unpack(letter)
    except ValueError:
        return True
    return False


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), JSON), st.binary())
def test_letter_is_unpacked_as_it_was_packed(about: dict[str, object], body: bytes) -> None:
    assert letters.unpack(letters.pack(about, body)) == (about, body)


@settings(max_examples=100, deadline=None)
@given(REQUESTS, st.text())
def test_request_arrives_as_it_was_sent_its_secrets_too(request: FetchRequest, owner: str) -> None:
    found, whose = letters.unpack_request(letters.pack_request(request, owner))
    assert whose == owner
    assert found.content == request.content
    bodies = {"body": None, "body_base64": None}
    assert found.model_copy(update=bodies) == request.model_copy(update=bodies)


def test_body_that_is_no_text_and_one_that_is_empty_arrive_as_they_are() -> None:
    for body in (b"\xff\x00", b""):
        told = {"url": "https://x.test/", "timeout": 5, "body_base64": b64encode(body).decode()}
        request = FetchRequest.model_validate(told)
        assert letters.unpack_request(letters.pack_request(request, ""))[0].content == body


@settings(max_examples=50, deadline=None)
@given(ANSWERS)
def test_answer_arrives_as_the_site_gave_it(answer: Fetched) -> None:
    assert letters.unpack_answer(letters.pack_answer(answer)) == answer


@settings(max_examples=100, deadline=None)
@given(st.binary() | st.builds(letters.pack, st.dictionaries(st.text(), JSON), st.binary()))
def test_garbage_is_a_value_error_and_nothing_else(letter: bytes) -> None:
    for unpack in (letters.unpack_request, letters.unpack_answer):
        assert is_value_error(unpack, letter)


@pytest.mark.parametrize(
    "about",
    [{"request": []}, {"request": [], "has_body": True}, {"headers": 1}, {"headers": [["a"]]}, {}],
)
def test_letter_with_something_else_in_it_is_a_value_error(about: dict[str, object]) -> None:
    for unpack in (letters.unpack_request, letters.unpack_answer):
        assert is_value_error(unpack, letters.pack(about, b""))


OBSTACLE = Obstacle(challenge="cloudflare")
ERRORS = [
    InvalidRequest([FieldError("headers.x", "a page cannot send it")]),
    ShuttingDown(),
    QueueFull("full"),
    QueueUnavailable("away"),
    TooManySessions("many"),
    TooManyWaiting("many"),
    UnexpectedError("a bug"),
    AnswerTooLarge("large"),
    AnswerUnreadable("unreadable"),
    ChallengeNotPassed("no", OBSTACLE),
    ChallengeNotPassed("no"),
    TimeIsUp("late", OBSTACLE),
    # Codes that requests are refused with, too.
    *[
        TaskError(code, "why")
        for code in ("dns_error", "invalid_request", "shutting_down", "too_many_sessions")
    ],
    TaskError("internal_error", "why"),
]


@pytest.mark.parametrize(
    "error", ERRORS, ids=[f"{number} {error.code}" for number, error in enumerate(ERRORS)]
)
def test_error_is_of_the_same_kind_code_and_words(error: CaptchaBypassError) -> None:
    found = letters.error_of(letters.tell(error))
    assert type(found) is type(error)
    assert (found.code, str(found)) == (error.code, str(error))
    for more in ("obstacle", "fields", "status", "headers"):
        assert getattr(found, more, None) == getattr(error, more, None)
