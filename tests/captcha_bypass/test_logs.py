"""Log lines: for people, for machines, one an event."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from captcha_bypass import logs

EVENT = {"task_id": "1234", "host": "site.test", "outcome": "completed", "seconds": 1.5}
logger = logging.getLogger("captcha_bypass.tests")


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("captcha_bypass")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    root.handlers = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == "", "stdout is for the line that says where the service listens"
    return captured.err.splitlines()


def json_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(capsys)]


def fail() -> None:
    raise ValueError("inner\nworkings")


def test_text_line_has_time_level_message_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text")
    logger.info("task %s", "ended", extra=EVENT)
    (line,) = lines(capsys)
    assert line.endswith(
        " INFO    task ended task_id=1234 host=site.test outcome=completed seconds=1.5"
    )
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO ", line)


def test_text_line_without_fields_is_just_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text")
    logger.warning("no browser")
    (line,) = lines(capsys)
    assert line.endswith(" WARNING no browser")


def test_text_fields_stand_on_the_message_line_before_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("info", "text")
    try:
        fail()
    except ValueError:
        logger.exception("task failed", extra={"task_id": "1234"})
    first, *rest = lines(capsys)
    assert first.endswith(" ERROR   task failed task_id=1234")
    assert rest[0] == "Traceback (most recent call last):"


def test_json_line_has_time_level_logger_message_and_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("info", "json")
    before = datetime.now(UTC).timestamp()
    logger.info("task %s", "ended", extra=EVENT)
    (line,) = json_lines(capsys)
    time = datetime.fromisoformat(line.pop("time"))
    assert time.utcoffset() is not None
    assert before - 0.001 <= time.timestamp() <= datetime.now(UTC).timestamp()
    assert line == {
        "level": "info",
        "logger": "captcha_bypass.tests",
        "message": "task ended",
        **EVENT,
    }


def test_json_holds_a_traceback_within_its_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    try:
        fail()
    except ValueError:
        logger.exception("task failed", extra={"task_id": "1234"})
    (line,) = json_lines(capsys)
    assert line["level"] == "error"
    assert line["task_id"] == "1234"
    assert line["traceback"].startswith("Traceback (most recent call last):")
    assert line["traceback"].endswith("ValueError: inner\nworkings")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_errors_tell_no_more_of_a_url_than_its_host(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    logs.configure("info", log_format)
    try:
        try:
            raise OSError("socks5://user:CANARY@proxy.test:1080 said no")
        except OSError as error:
            raise ValueError(
                'navigating to "https://site.test:8443/CANARY?token=CANARY#CANARY", waiting until '
                "load, then http://other.test?CANARY"
            ) from error
    except ValueError:
        logger.exception("task failed: %r", OSError("http://third.test/CANARY"))
    text = "\n".join(lines(capsys))
    assert "CANARY" not in text
    for part in (
        "socks5://proxy.test:1080 said no",
        "https://site.test:8443",
        "http://other.test",
        "task failed: OSError('http://third.test')",
    ):
        assert part in text
    assert "waiting until load" in text


@pytest.mark.parametrize("text", ['"quotes"', "two\nlines", "\u2603 \u00fc", "back\\slash", "\x00"])
def test_json_is_one_line_an_event_whatever_the_message_holds(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    logs.configure("info", "json")
    logger.info("before")
    logger.info(text, extra={"host": text})
    logger.info("after")
    messages = json_lines(capsys)
    assert [line["message"] for line in messages] == ["before", text, "after"]
    assert messages[1]["host"] == text


def test_fields_that_are_not_ours_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    for log_format in ("text", "json"):
        logs.configure("info", log_format)
        logger.info("event", extra={"password": "CANARY", "task_id": "1234"})
    first, second = lines(capsys)
    assert "CANARY" not in first + second
    assert first.endswith("event task_id=1234")
    assert json.loads(second)["task_id"] == "1234"


def test_field_without_a_value_is_left_out_and_zero_is_a_value(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for log_format in ("text", "json"):
        logs.configure("info", log_format)
        logger.info("event", extra={"host": None, "seconds": 0})
    first, second = lines(capsys)
    assert first.endswith(" event seconds=0")
    assert json.loads(second)["seconds"] == 0
    assert "host" not in json.loads(second)


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_level_says_what_is_logged(
    capsys: pytest.CaptureFixture[str], log_format: str, level: str, seen: list[str]
) -> None:
    logs.configure(level, log_format)
    for name in ("debug", "info", "warning", "error"):
        getattr(logger, name)("event")
    assert [
        name
        for line in lines(capsys)
        for name in ("debug", "info", "warning", "error")
        if name in line.lower()
    ] == seen


def test_other_libraries_speak_from_warning_up(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "text")
    other = logging.getLogger("some.package")
    other.info("chatter")
    other.warning("trouble")
    (line,) = lines(capsys)
    assert line.endswith("trouble")


def test_configuring_again_does_not_double_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    logs.configure("info", "text")
    logger.info("event")
    (line,) = lines(capsys)
    assert line.endswith("event")
