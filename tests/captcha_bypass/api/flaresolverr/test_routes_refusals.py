"""Bad commands are answered with 500, and change nothing."""

from __future__ import annotations

import asyncio
import json
import logging
from unittest.mock import patch

import pytest

from captcha_bypass.api.application import MAX_BODY_BYTES
from captcha_bypass.status import Readiness
from captcha_bypass.tasks.base import Stats
from tests.captcha_bypass.api.flaresolverr.scripted import (
    CANARY,
    DATA,
    GET,
    POST,
    PREFIX,
    URL,
    Make,
    Scripted,
)
from tests.support.flaresolverr_service import failure_of
from tests.support.scripted_queue import until

# Refused

URL_MANDATORY = "Error: Request parameter 'url' is mandatory in 'request.get' command."
CMD_MANDATORY = "Error: Request parameter 'cmd' is mandatory."
NO_POST_DATA = "Error: Request parameter 'postData' is mandatory in 'request.post' command."
#: Command -> FlareSolverr's own message.
ORIGINAL: dict[str, tuple[object, str]] = {
    "no cmd": ({"url": URL}, CMD_MANDATORY),
    "null cmd": ({"cmd": None, "url": URL}, CMD_MANDATORY),
    "empty object": ({}, CMD_MANDATORY),
    "array": ([GET], CMD_MANDATORY),
    "null": (None, CMD_MANDATORY),
    "string": ("request.get", CMD_MANDATORY),
    "no body": (b"", CMD_MANDATORY),
    "bad cmd": (
        GET | {"cmd": "request.bad"},
        "Error: Request parameter 'cmd' = 'request.bad' is invalid.",
    ),
    "empty cmd": ({"cmd": ""}, "Error: Request parameter 'cmd' = '' is invalid."),
    "cmd in other case": (
        {"cmd": "Request.Get", "url": URL},
        "Error: Request parameter 'cmd' = 'Request.Get' is invalid.",
    ),
    "number as cmd": ({"cmd": 5}, "Error: Request parameter 'cmd' = '5' is invalid."),
    "list as cmd": ({"cmd": ["x"]}, "Error: Request parameter 'cmd' = '['x']' is invalid."),
    "get without url": ({"cmd": "request.get"}, URL_MANDATORY),
    "get with null url": ({"cmd": "request.get", "url": None}, URL_MANDATORY),
    "get with post data": (
        GET | {"postData": "a=b"},
        "Error: Cannot use 'postBody' when sending a GET request.",
    ),
    "get with empty post data": (
        GET | {"postData": ""},
        "Error: Cannot use 'postBody' when sending a GET request.",
    ),
    "get with raw post data": (
        GET | {"postDataRaw": ""},
        "Error: Cannot use 'postDataRaw' when sending a GET request.",
    ),
    "post with data of both kinds": (
        POST | {"postDataRaw": "a"},
        "Error: Cannot use both 'postData' and 'postDataRaw'.",
    ),
    "post without data": ({"cmd": "request.post", "url": URL}, NO_POST_DATA),
    "post with null data": (POST | {"postData": None}, NO_POST_DATA),
    "post without anything": ({"cmd": "request.post"}, NO_POST_DATA),
    "destroy without a name": ({"cmd": "sessions.destroy"}, "Error: The session doesn't exist."),
    "destroy with an empty name": (
        {"cmd": "sessions.destroy", "session": ""},
        "Error: The session doesn't exist.",
    ),
    "destroy of none": (
        {"cmd": "sessions.destroy", "session": "none"},
        "Error: The session doesn't exist.",
    ),
}
INVALID_JSON = "Error: Invalid JSON"


def bad(name: str, message: str) -> str:
    return f"Error: Request parameter '{name}' is invalid: {message}"


BAD_TIMEOUTS: tuple[object, ...] = ("abc", "1500.5", [], {}, "")
#: Command -> the start of a message of our own, where the original repeats what Python or Chrome say.
OURS: dict[str, tuple[object, str]] = {
    "truncated": (json.dumps(GET).encode()[:-1], INVALID_JSON),
    "trailing text": (json.dumps(GET).encode() + b"x", INVALID_JSON),
    "invalid UTF-8": (b'{"cmd": "\xff"}', INVALID_JSON),
    "UTF-16": (json.dumps(GET).encode("utf-16"), INVALID_JSON),
    "lone surrogate": (b'{"cmd": "\\ud800"}', INVALID_JSON),
    "deeply nested": (b"[" * 100_000, INVALID_JSON),
    "form": (b"cmd=request.get", INVALID_JSON),
    "post without url": (
        {"cmd": "request.post", "postData": "a=b"},
        "Error: Request parameter 'url' is mandatory in 'request.post' command.",
    ),
    **{
        f"url {url!r}": ({"cmd": "request.get", "url": url}, bad("url", ""))
        for url in (
            *("", " ", "x", "site.test", "ftp://site.test/", "file:///etc/passwd", "about:config"),
            *("javascript:alert(1)", "data:text/html,x", f"http://u:{CANARY}@site.test/"),
            *("http://si te.test/", "http://site.test/\nx", "http://[::1/", ["x"], {"a": 1}),
        )
    },
    "url too long": ({"cmd": "request.get", "url": URL + "x" * 2100}, bad("url", "")),
    **{
        f"maxTimeout {value!r}": (GET | {"maxTimeout": value}, bad("maxTimeout", "must be a whole"))
        for value in BAD_TIMEOUTS
    },
    "maxTimeout NaN": (b'{"cmd": "request.get", "maxTimeout": NaN}', bad("maxTimeout", "")),
    "maxTimeout Infinity": (
        b'{"cmd": "request.get", "maxTimeout": Infinity}',
        bad("maxTimeout", ""),
    ),
    "proxy: text": (GET | {"proxy": "http://proxy.test:1"}, bad("proxy", "")),
    "proxy: list": (GET | {"proxy": ["http://proxy.test:1"]}, bad("proxy", "")),
    **{
        f"proxy {url!r}": (GET | {"proxy": {"url": url}}, bad("proxy.url", ""))
        for url in (
            *("proxy", "proxy.test:3128", "socks4://proxy.test:1080", "http://proxy.test"),
            *(f"http://u:{CANARY}@proxy.test:3128", "ftp://proxy.test:21", 5, ["x"]),
        )
    },
    "proxy: login without proxy": (
        GET | {"proxy": {"username": "u", "password": CANARY}},
        bad("proxy.url", ""),
    ),
    "proxy: password without username": (
        GET | {"proxy": {"url": "http://proxy.test:1", "password": CANARY}},
        bad("proxy.password", "needs a username"),
    ),
    "session's proxy": (
        {"cmd": "sessions.create", "proxy": {"url": "socks4://proxy.test:1080"}},
        bad("proxy.url", ""),
    ),
    "session: list": (GET | {"session": ["a"]}, bad("session", "")),
    "session: too long": ({"cmd": "sessions.create", "session": "x" * 129}, bad("session", "")),
    "session: newline": ({"cmd": "sessions.create", "session": "a\nb"}, bad("session", "")),
    "ttl: negative": (GET | {"session_ttl_minutes": -1}, bad("session_ttl_minutes", "")),
    "ttl: text": (GET | {"session_ttl_minutes": "x"}, bad("session_ttl_minutes", "")),
    "cookies: text": (GET | {"cookies": f"a={CANARY}"}, bad("cookies", "")),
    "cookies: object": (GET | {"cookies": {"a": CANARY}}, bad("cookies", "")),
    "cookies: text inside": (GET | {"cookies": ["a=b"]}, bad("cookies.0", "")),
    "cookie: no name": (GET | {"cookies": [{"value": CANARY}]}, bad("cookies.0.name", "")),
    "cookie: no value": (GET | {"cookies": [{"name": "a"}]}, bad("cookies.0.value", "")),
    "cookie: bad value": (
        GET | {"cookies": [{"name": "a", "value": f"{CANARY};x"}]},
        bad("cookies.0.value", ""),
    ),
    "cookie: bad end": (
        GET | {"cookies": [{"name": "a", "value": "b", "expiry": "soon"}]},
        bad("cookies.0.expires", ""),
    ),
    "3001 cookies": (GET | {"cookies": [{"name": "a", "value": "b"}] * 3001}, bad("cookies", "")),
    "postData: object": (POST | {"postData": {"a": CANARY}}, bad("postData", "")),
    "returnOnlyCookies: word": (GET | {"returnOnlyCookies": "x"}, bad("returnOnlyCookies", "")),
    "returnScreenshot: list": (GET | {"returnScreenshot": []}, bad("returnScreenshot", "")),
    "disableMedia: word": (GET | {"disableMedia": "x"}, bad("disableMedia", "")),
    "waitInSeconds: word": (GET | {"waitInSeconds": "x"}, bad("waitInSeconds", "")),
}


async def refuse(scripted: Scripted, body: object) -> str:
    """Send what must be refused; return the message once it is sure that nothing changed."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    response = await scripted.v1.client.post("/v1", data=data, headers=headers)
    message = await failure_of(response)
    assert await scripted.v1.queue.stats() == Stats(queued=0, running=0, slots=2)
    assert scripted.script.started == []
    assert scripted.v1.sessions.names() == []
    return message


@pytest.mark.parametrize("case", ORIGINAL, ids=str)
async def test_bad_command_is_refused_in_the_words_of_the_original(
    scripted: Scripted, case: str
) -> None:
    body, message = ORIGINAL[case]
    assert await refuse(scripted, body) == message


@pytest.mark.parametrize("case", OURS, ids=str)
async def test_bad_parameter_is_refused_by_name_and_its_value_is_not_repeated(
    scripted: Scripted, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    caplog.set_level(logging.DEBUG)
    body, start = OURS[case]
    message = await refuse(scripted, body)
    assert message.startswith(start)
    assert CANARY not in message
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "nonsense"],
)
async def test_body_that_is_not_declared_as_json_counts_as_empty(
    scripted: Scripted, content_type: str | None
) -> None:
    response = await scripted.v1.client.post(
        "/v1",
        data=json.dumps({"cmd": "sessions.create"}).encode(),
        headers={} if content_type is None else {"Content-Type": content_type},
        skip_auto_headers=["Content-Type"],
    )
    assert await failure_of(response) == CMD_MANDATORY
    assert scripted.v1.sessions.names() == []


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json-rpc"],
)
async def test_json_may_be_declared_in_several_ways(scripted: Scripted, content_type: str) -> None:
    data = json.dumps({"cmd": "sessions.list"}).encode()
    headers = {"Content-Type": content_type}
    response = await scripted.v1.client.post("/v1", data=data, headers=headers)
    assert response.status == 200


async def test_body_that_is_too_large_or_broken_is_500(scripted: Scripted) -> None:
    response = await scripted.v1.post(**GET, userAgent="x" * MAX_BODY_BYTES)
    assert f"{MAX_BODY_BYTES} bytes" in await failure_of(response)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = await scripted.v1.client.post("/v1", data=b"not gzip", headers=headers)
    assert "cannot be read" in await failure_of(response)


async def test_full_queue_is_500_and_recovers(make: Make) -> None:
    scripted = await make(workers=1, max_queue=1)
    first, _ = await scripted.running(**GET)
    second = asyncio.create_task(scripted.v1.ok(**GET))
    await until(lambda: len(scripted.v1.queue._entries) == 2)
    message = await scripted.v1.message(**GET)
    assert message.startswith("Error: 1 tasks are pending")
    scripted.end(DATA)
    await first
    await until(lambda: len(scripted.script.started) == 2)
    scripted.end(DATA)
    await second
    assert scripted.idle()


async def test_stopping_service_takes_nothing_new(scripted: Scripted) -> None:
    await scripted.v1.queue.stop(0)
    for command in (GET, POST, {"cmd": "sessions.create"}):
        assert "stopping" in await scripted.v1.message(**command)


async def test_task_that_a_shutdown_ends_is_told_so(scripted: Scripted) -> None:
    sent, _ = await scripted.running(**GET)
    await scripted.v1.queue.stop(0)
    answer = await sent
    assert answer["message"].startswith(PREFIX + "The service stopped before the task ended")


async def test_bug_is_500_that_tells_the_log_and_not_the_client(
    scripted: Scripted, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(owner: str) -> list[str]:
        raise RuntimeError("inner workings")

    monkeypatch.setattr(scripted.v1.sessions, "names", broken)
    message = await scripted.v1.message(cmd="sessions.list")
    assert message == "Error: Unexpected error; see the service's log."
    assert "inner workings" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1", 405), ("PUT", "/v1", 405), ("PUT", "/", 405), ("POST", "/v1/", 404)],
)
async def test_other_paths_and_methods_are_answered_as_everywhere(
    scripted: Scripted, method: str, path: str, status: int
) -> None:
    response = await scripted.v1.client.request(method, path)
    assert response.status == status
    assert set(await response.json()) == {"error"}


async def test_too_many_cookies_are_refused_before_each_is_looked_at(scripted: Scripted) -> None:
    with patch("captcha_bypass.api.flaresolverr.commands._cookie") as looked_at:
        message = await scripted.v1.message(
            cmd="request.get", url="http://site.test/", cookies=[{}] * 60_000
        )
    assert "'cookies'" in message
    assert not looked_at.called


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (Readiness(), "Timeout after 1.0 seconds."),
        (Readiness(starting=True), "no page: why"),
        (Readiness(unavailable="broken"), "no page: why"),
    ],
    ids=str,
)
async def test_task_without_a_page_says_why_there_is_no_browser_or_that_time_was_up(
    scripted: Scripted, now: Readiness, said: str
) -> None:
    scripted.v1.browsers.now = now
    outcome = {"error": {"code": "browser_unavailable", "message": "no page: why"}}
    command = {"cmd": "request.get", "url": "http://site.test/", "maxTimeout": 1000}
    answer = await scripted.answer(outcome, **command)
    assert answer["message"] == f"Error: Error solving the challenge. {said}"
