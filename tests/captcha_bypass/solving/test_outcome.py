"""What was gathered of a page becomes one result."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from captcha_bypass.challenges import Challenge
from captcha_bypass.errors import TaskError
from captcha_bypass.solving.outcome import Exchange, Findings, Outcome
from captcha_bypass.wire.results import ResultCookie, Solution

URL = "http://site.test/"
COOKIE = {
    "name": "a",
    "value": "b",
    "domain": "site.test",
    "path": "/",
    "expires": -1.0,
    "httpOnly": False,
    "secure": False,
    "sameSite": "Lax",
    "partitionKey": "https://top.test",
}
EXCHANGE = Exchange(200, {"server": "s"}, {"user-agent": "u"}, "u")


def data_of(outcome: Outcome) -> dict[str, Any]:
    result = outcome.result(1.5)
    assert set(result) == {"data"}
    data: dict[str, Any] = result["data"]
    return data


def test_all_that_was_found_is_in_the_result() -> None:
    found = Findings(
        URL,
        exchange=EXCHANGE,
        cookies=[ResultCookie.model_validate(COOKIE)],
        html="<p>page",
        screenshot=b"PNG",
    )
    data = data_of(Outcome(found, met="cloudflare"))
    assert data == {
        "cookies": [COOKIE],
        "headers": {"server": "s"},
        "status_code": 200,
        "html": "<p>page",
        "url": URL,
        "timeout_reached": False,
        "user_agent": "u",
        "request_headers": {"user-agent": "u"},
        "challenge": None,
        "solved": "cloudflare",
        "block": None,
        "screenshot": base64.b64encode(b"PNG").decode(),
        "elapsed": 1.5,
    }
    assert list(data) == list(Solution.model_fields)
    assert Solution.model_validate(data).model_dump(mode="json") == data


@pytest.mark.parametrize(
    ("obstacle", "challenge", "block", "solved"),
    [
        (None, None, None, "met"),
        (Challenge("anubis", "challenge"), "anubis", None, None),
        (Challenge("human", "captcha"), "human", None, None),
        (Challenge("sucuri", "block"), None, "sucuri", "met"),
    ],
)
def test_challenge_that_was_met_is_solved_once_the_page_is_none(
    obstacle: Challenge | None, challenge: str | None, block: str | None, solved: str | None
) -> None:
    data = data_of(Outcome(Findings(URL, obstacle=obstacle), met="met"))
    assert (data["challenge"], data["block"], data["solved"]) == (challenge, block, solved)


def test_text_that_is_no_unicode_is_handed_over_as_the_page_has_it() -> None:
    data = data_of(Outcome(Findings(URL, html="<p>\ud800")))
    assert data["html"] == "<p>\ud800"
    assert json.loads(json.dumps(data)) == data


def test_timeout_is_a_result() -> None:
    outcome = Outcome(Findings(URL), timeout_reached=True)
    data = data_of(outcome)
    assert outcome.name == "timeout"
    assert not outcome.has_document
    assert (data["timeout_reached"], data["status_code"], data["html"]) == (True, None, "")


def test_file_in_place_of_a_page_is_an_error_with_data() -> None:
    outcome = Outcome(Findings(URL, exchange=EXCHANGE), error=TaskError("not_a_page", "A file."))
    result = outcome.result(1.5)
    assert outcome.name == "not_a_page"
    assert result["error"] == {"code": "not_a_page", "message": "A file."}
    assert result["data"]["headers"] == {"server": "s"}


def test_error_without_a_page_has_no_data() -> None:
    outcome = Outcome(error=TaskError("dns_error", "No such host."))
    assert not outcome.has_document
    error = {"code": "dns_error", "message": "No such host."}
    assert outcome.result(1.5) == {"error": error}


def test_page_without_an_error_is_completed() -> None:
    assert Outcome(Findings(URL, exchange=EXCHANGE)).name == "completed"
    assert Outcome(Findings(URL, exchange=EXCHANGE)).has_document
