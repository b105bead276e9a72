"""What was gathered of a page becomes one result."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from captcha_bypass.challenges import Challenge
from captcha_bypass.errors import TaskError
from captcha_bypass.logs import FIELDS
from captcha_bypass.solving.outcome import Exchange, Findings, Outcome, Reasons
from captcha_bypass.wire.results import Hint, ResultCookie, Solution

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
MET = Challenge("cloudflare", "automatic")
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
    hint = Hint(code="text_hidden", message="It is hidden.", value="words")
    reasons = Reasons(("success_text",), (hint,), {"http_404": 2})
    data = data_of(Outcome(found, met=MET, reasons=reasons))
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
        "challenge_kind": "automatic",
        "unmet": ["success_text"],
        "hints": [{"code": "text_hidden", "message": "It is hidden.", "value": "words"}],
        "failed_requests": {"http_404": 2},
        "screenshot": base64.b64encode(b"PNG").decode(),
        "elapsed": 1.5,
        "clearance": None,
    }
    assert list(data) == list(Solution.model_fields)
    assert Solution.model_validate(data).model_dump(mode="json") == data


@pytest.mark.parametrize(
    ("obstacle", "named"),
    [
        (None, (None, None, "cloudflare", "automatic")),
        (Challenge("anubis", "automatic"), ("anubis", None, None, "automatic")),
        (Challenge("human", "human"), ("human", None, None, "human")),
        (Challenge("sucuri", "block"), (None, "sucuri", "cloudflare", "block")),
    ],
)
def test_challenge_that_was_met_is_solved_once_the_page_is_none(
    obstacle: Challenge | None, named: tuple[str | None, ...]
) -> None:
    data = data_of(Outcome(Findings(URL, obstacle=obstacle), met=MET))
    names = ("challenge", "block", "solved", "challenge_kind")
    assert tuple(data[name] for name in names) == named


def test_log_line_of_an_unfinished_task_says_what_stood_in_its_way() -> None:
    found = Findings(URL, exchange=Exchange(403), obstacle=Challenge("datadome", "human"))
    hints = [Hint(code=code, message="") for code in ("text_hidden", "text_hidden", "page_busy")]
    reasons = Reasons(("success_text", "no_challenge"), tuple(hints))
    outcome = Outcome(found, timeout_reached=True, reasons=reasons)
    assert outcome.event == {
        "outcome": "timeout",
        "status": 403,
        "vendor": "datadome",
        "kind": "human",
        "unmet": "success_text,no_challenge",
        "hints": "text_hidden,page_busy",
    }
    assert set(outcome.event) <= set(FIELDS)


def test_log_line_of_a_task_that_is_done_has_no_reasons() -> None:
    outcome = Outcome(Findings(URL, exchange=EXCHANGE), met=MET, reasons=Reasons(("no_challenge",)))
    assert outcome.event == {"outcome": "completed"}


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
