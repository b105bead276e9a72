"""What FlareSolverr's API answers; only the browser's outcome is scripted."""

from __future__ import annotations

import time

import pytest

from captcha_bypass import __version__
from tests.captcha_bypass.api.flaresolverr.scripted import (
    BLOCKED,
    DATA,
    GET,
    PREFIX,
    Scripted,
)
from tests.support.flaresolverr_service import Json

# GET /


async def test_index_has_three_fields(scripted: Scripted) -> None:
    response = await scripted.v1.client.get("/")
    assert response.status == 200
    assert response.content_type == "application/json"
    assert await response.json() == {
        "msg": "FlareSolverr is ready!",
        "version": __version__,
        "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    }
    assert (await scripted.v1.client.head("/")).status == 200


async def test_index_shows_the_user_agent_that_the_browser_sent_last(scripted: Scripted) -> None:
    await scripted.answer(DATA, **GET)
    body = await (await scripted.v1.client.get("/")).json()
    assert body["userAgent"] == DATA["user_agent"]


# Answers


async def test_answer_of_a_solved_page_is_the_whole_contract(scripted: Scripted) -> None:
    before = int(time.time() * 1000)
    answer = await scripted.answer(DATA | {"solved": "cloudflare"}, **GET)
    after = int(time.time() * 1000)
    started, ended = answer.pop("startTimestamp"), answer.pop("endTimestamp")
    assert type(started) is type(ended) is int
    assert before <= started <= ended <= after
    assert answer == {
        "status": "ok",
        "message": "Challenge solved!",
        "version": __version__,
        "solution": {
            "url": "http://site.test/final",
            "status": 404,
            "headers": {"content-type": "text/html", "vary": "a, b"},
            "response": "<p>Welcome \N{SNOWMAN}</p>",
            "cookies": [
                {
                    "name": "cf_clearance",
                    "value": "abc",
                    "domain": ".site.test",
                    "path": "/",
                    "expires": 1893456000,
                    "expiry": 1893456000,
                    "size": 15,
                    "session": False,
                    "httpOnly": True,
                    "secure": True,
                    "sameSite": "None",
                },
                {
                    "name": "a",
                    "value": "b\u00fc",
                    "domain": "site.test",
                    "path": "/",
                    "expires": -1,
                    "size": 4,
                    "session": True,
                    "httpOnly": False,
                    "secure": False,
                    "sameSite": "Lax",
                },
            ],
            "userAgent": "Mozilla/5.0 (the browser's)",
            "turnstile_token": None,
        },
    }
    assert all(
        type(c.get(k, 0)) is int
        for c in answer["solution"]["cookies"]
        for k in ("expires", "expiry")
    )


async def test_page_without_a_challenge_says_so(scripted: Scripted) -> None:
    answer = await scripted.answer(DATA, **GET)
    assert answer["message"] == "Challenge not detected!"


async def test_only_cookies_leaves_out_headers_and_response(scripted: Scripted) -> None:
    answer = await scripted.answer(DATA, **GET, returnOnlyCookies=True)
    assert set(answer["solution"]) == {"url", "status", "cookies", "userAgent", "turnstile_token"}


async def test_screenshot_is_there_if_asked_for(scripted: Scripted) -> None:
    shot = DATA | {"screenshot": "aGVsbG8="}
    for more in ({}, {"returnOnlyCookies": True}):
        answer = await scripted.answer(shot, **GET, returnScreenshot=True, **more)
        assert answer["solution"]["screenshot"] == "aGVsbG8="


async def test_user_agent_is_never_null(scripted: Scripted) -> None:
    answer = await scripted.answer(DATA | {"user_agent": None}, **GET)
    assert "Firefox/" in answer["solution"]["userAgent"]


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        (60000, "60.0"),
        (10, "0.01"),
        (1, "0.001"),
        (55000, "55.0"),
        ("60000", "60.0"),
        (1500.5, "1.5"),
        (None, "60.0"),
        (0, "60.0"),
        (-5, "60.0"),
        (300_000, "300.0"),
        (300_001, "300.0"),
        (10**400, "300.0"),
    ],
    ids=lambda value: repr(value)[:10],
)
async def test_timeout_is_told_in_seconds_and_never_longer_than_the_service_allows(
    scripted: Scripted, sent: object, seconds: str
) -> None:
    sent_answer, task = await scripted.running(**GET, maxTimeout=sent)
    assert task.timeout == float(seconds)
    scripted.end(DATA | {"timeout_reached": True})
    assert (await sent_answer)["message"] == f"{PREFIX}Timeout after {seconds} seconds."


@pytest.mark.parametrize(
    "outcome",
    [
        {"timeout_reached": True},
        {"timeout_reached": True, "challenge": "cloudflare"},
        {"challenge": "cloudflare"},
        {"challenge": "captcha", "solved": "cloudflare"},
        {"timeout_reached": True, "solved": "cloudflare"},
        {"timeout_reached": True, "status_code": None, "html": "", "cookies": []},
        {"status_code": None, "html": ""},
    ],
    ids=str,
)
async def test_challenge_still_there_or_no_page_in_time_is_a_timeout(
    scripted: Scripted, outcome: Json
) -> None:
    answer = await scripted.answer(DATA | outcome, **GET)
    assert answer["message"] == f"{PREFIX}Timeout after 60.0 seconds."


@pytest.mark.parametrize("more", [{}, {"timeout_reached": True}, {"solved": "cloudflare"}], ids=str)
async def test_refusal_is_told_in_the_words_of_the_original(scripted: Scripted, more: Json) -> None:
    answer = await scripted.answer(DATA | {"block": "akamai"} | more, **GET)
    assert answer["message"] == BLOCKED


async def test_error_of_a_task_keeps_its_message_which_names_the_remedy(
    scripted: Scripted,
) -> None:
    error = {"code": "proxy_error", "message": "The proxy cannot be reached;\ncheck proxy.server."}
    answer = await scripted.answer({"error": error}, **GET)
    message = "The proxy cannot be reached;\\ncheck proxy.server."
    assert answer["message"] == PREFIX + message
