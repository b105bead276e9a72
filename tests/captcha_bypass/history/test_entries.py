"""What is remembered of a task: what was asked without its secrets, and why it failed."""

from __future__ import annotations

import json
from typing import Any

from captcha_bypass.history.entries import (
    MOST_NAMES,
    TEXT_CHARS,
    asked_of,
    end_of,
    entry_of,
    name_of,
)
from captcha_bypass.wire.models import SolveRequest
from captcha_bypass.wire.task import Task
from tests.support.native_tasks import SOLUTION

SECRET = "s3cret"
REQUEST: dict[str, Any] = {
    "url": "https://site.test/page",
    "success_text": ["Welcome", "x" * 4000],
    "success_selector": "#in",
    "timeout": 10,
    "session": "mine",
    "block": ["image"],
    "proxy": {"server": "http://proxy.test:8080", "username": SECRET, "password": SECRET},
    "cookies": [{"name": "sid", "value": SECRET}],
    "headers": {"X-Token": SECRET},
}


def payload(**fields: object) -> dict[str, Any]:
    task = Task.of(SolveRequest.model_validate(REQUEST), "key 0")
    return task.model_copy(update=fields).to_payload()


def test_what_was_asked_is_remembered_without_values_of_cookies_headers_logins_and_forms() -> None:
    given = payload(form=f"password={SECRET}")
    assert json.dumps(given).count(SECRET) == 5  # or nothing would be left out here
    asked = asked_of(given)
    assert SECRET not in json.dumps(asked)
    assert asked == {
        "url": "https://site.test/page",
        "success_text": ["Welcome", "x" * (TEXT_CHARS - 1) + "…"],
        "success_selector": "#in",
        "no_challenge": False,
        "timeout": 10,
        "session": "mine",
        "block": ["image"],
        "on_challenge": None,
        "proxy": "http://proxy.test:8080",
        "cookies": ["sid"],
        "headers": ["X-Token"],
    }


def test_the_session_of_a_site_is_none_that_was_asked_for() -> None:
    assert asked_of(payload(of_site=True))["session"] is None


def test_of_many_cookies_the_first_names_are_remembered() -> None:
    cookies = [{"name": f"c{n}", "value": "v"} for n in range(3000)]
    assert asked_of({"cookies": cookies})["cookies"] == [f"c{n}" for n in range(MOST_NAMES)]


def test_a_host_is_that_of_the_url() -> None:
    assert entry_of("id", payload(), "", 1.0).host == "site.test"
    assert entry_of("id", {}, "", 1.0).host == ""


def test_how_a_task_ended_is_remembered_without_its_page() -> None:
    data = {
        **SOLUTION,
        "html": SECRET,
        "timeout_reached": True,
        "challenge": "datadome",
        "challenge_kind": "human",
        "unmet": ["success_text"],
        "hints": [{"code": "captcha_widget", "message": "A captcha.", "value": None}],
        "failed_requests": {f"http_{n}": n for n in range(1000)},
        "url": "https://site.test/" + "x" * 100_000,
    }
    outcome = {"data": data}
    end = end_of(outcome)
    assert SECRET not in json.dumps(end)
    assert len(json.dumps(end)) < 4000
    assert (end["vendor"], end["kind"], end["status_code"]) == ("datadome", "human", 200)
    assert len(end["failed_requests"]) == MOST_NAMES
    assert name_of(outcome) == "timeout"
    assert name_of({"data": SOLUTION}) == "completed"
    assert name_of({"error": {"code": "dns_error", "message": "m"}}) == "dns_error"


def test_the_short_text_says_why() -> None:
    entry = entry_of("id", payload(), "", 1.0)
    assert entry.summary(has_evidence=False)["why"] is None
    hint = {"code": "text_hidden", "message": "m", "value": "v" * 4000}
    data = {"timeout_reached": True, "unmet": ["success_text", "no_challenge"], "hints": [hint] * 2}
    entry.end, entry.outcome = end_of({"data": data}), "timeout"
    assert len(entry.end["hints"][0]["value"]) == TEXT_CHARS
    why = entry.summary(has_evidence=False)["why"]
    assert why == "success_text, no_challenge: text_hidden"
    entry.end = end_of({"error": {"code": "dns_error", "message": "No such host. " * 100}})
    why = entry.summary(has_evidence=False)["why"]
    assert why is not None
    assert why.startswith("No such host.")
    assert len(why) == TEXT_CHARS
