"""What becomes of a command's parameters, and of sessions."""

from __future__ import annotations

import logging
from uuid import UUID

import pytest

from captcha_bypass.egress.rules import Destination
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.errors import RequestError
from captcha_bypass.wire.task import SessionKey, Task
from tests.captcha_bypass.api.flaresolverr.scripted import (
    CANARY,
    DATA,
    GET,
    POST,
    URL,
    Make,
    Scripted,
)
from tests.support.flaresolverr_service import Json

# What becomes of the parameters


async def test_get_is_a_task_that_waits_until_no_challenge_is_left(scripted: Scripted) -> None:
    task = await scripted.task(**GET)
    assert task == Task(url=URL, timeout=60, no_challenge=True)


async def test_every_parameter_reaches_the_task(scripted: Scripted) -> None:
    task = await scripted.task(
        **POST,
        maxTimeout=5000,
        session="s",
        session_ttl_minutes=2.5,
        proxy={"url": "socks5://proxy.test:1080", "username": "u", "password": CANARY},
        cookies=[{"name": "a", "value": "b"}],
        returnScreenshot=True,
        waitInSeconds=1.5,
        disableMedia=True,
    )
    expected = Task.model_validate(
        {
            "url": URL,
            "timeout": 5.0,
            "no_challenge": True,
            "form": "a=b",
            "session": "s",
            "session_ttl": 150.0,
            "proxy": {"server": "socks5://proxy.test:1080", "username": "u", "password": CANARY},
            "cookies": [{"name": "a", "value": "b"}],
            "screenshot": True,
            "settle": 1.5,
            "block": ["image", "media", "font", "stylesheet"],
        }
    )
    assert task == expected


EMPTY: list[Json] = [
    {"proxy": {}, "headers": {"contentType": "application/x-www-form-urlencoded"}},
    {"proxy": {"url": None, "username": None, "password": None}},
    {"proxy": {"url": "", "username": "", "password": ""}},
    {"proxy": [], "cookies": {}, "headers": []},
    dict.fromkeys(
        (
            *("maxTimeout", "session", "session_ttl_minutes", "proxy", "cookies", "disableMedia"),
            *("returnOnlyCookies", "returnScreenshot", "waitInSeconds", "tabs_till_verify"),
            *("headers", "userAgent", "download", "returnRawHtml", "postData"),
        )
    ),
    {"session": "", "session_ttl_minutes": 0, "cookies": [], "waitInSeconds": 0},
    {"waitInSeconds": -1, "returnScreenshot": False, "disableMedia": False},
    {"returnOnlyCookies": True, "waitInSeconds": 5},
    {"userAgent": "x", "download": False, "returnRawHtml": True, "headers": {"a": "b"}},
    {"postDataContentType": "application/json", "postDataRaw": None},
    {"tabs_till_verify": 3, "anything": {"else": [1]}, "": None},
]


@pytest.mark.parametrize("more", EMPTY, ids=str)
async def test_what_is_empty_or_not_known_changes_nothing(scripted: Scripted, more: Json) -> None:
    assert await scripted.task(**GET, **more) == await scripted.task(**GET)


async def test_names_of_ignored_parameters_are_in_the_debug_log_and_no_values(
    scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "captcha_bypass")
    await scripted.task(**GET, userAgent=CANARY, tabs_till_verify=1, **{"new\nline": 5})
    (line,) = [m for m in caplog.messages if "ignores" in m]
    assert "['new\\nline', 'tabs_till_verify', 'userAgent']" in line
    assert CANARY not in caplog.text
    caplog.clear()
    await scripted.task(**GET)
    assert "ignores" not in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        [{"name": "Referer", "value": "http://a.test/"}, {"name": "X-One", "value": 1}],
        ["Referer: http://a.test/", "X-One:1"],
        ["Referer:http://a.test/", {"name": " X-One", "value": "1", "more": None}],
    ],
    ids=str,
)
async def test_headers_of_the_forks_are_those_of_the_first_request(
    scripted: Scripted, headers: list[object]
) -> None:
    task = await scripted.task(**GET, headers=headers)
    assert task.headers == {"Referer": "http://a.test/", "X-One": "1"}


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (["Cookie: a=b"], "'headers.Cookie' is invalid: is set by the browser"),
        ([{"name": "X\n", "value": "b"}, {"name": "b c", "value": "d"}], "is not a header name"),
        ([{"name": "a"}], "'headers' is invalid: must be a list"),
        ([5], "'headers' is invalid: must be a list"),
        ([["a", "b"]], "'headers' is invalid: must be a list"),
        ([{"name": "X-One", "value": f"{CANARY}\n"}], "'headers.X-One' is invalid"),
    ],
    ids=str,
)
async def test_header_that_cannot_be_sent_is_refused_by_its_name(
    scripted: Scripted, headers: list[object], message: str
) -> None:
    refused = await scripted.v1.message(**GET, headers=headers)
    assert message in refused
    assert CANARY not in refused


@pytest.mark.parametrize(
    ("sent", "form"),
    [("a=b&c", "a=b&c"), ("?a=b", "a=b"), ("??a", "?a"), ("", ""), ("a=%C3%BC+x", "a=%C3%BC+x")],
)
async def test_form_is_sent_as_it_is_without_a_leading_question_mark(
    scripted: Scripted, sent: str, form: str
) -> None:
    assert (await scripted.task(**POST | {"postData": sent})).form == form


@pytest.mark.parametrize(
    ("sent", "opened"),
    [
        ("http://site.test/search?q=two words", "http://site.test/search?q=two%20words"),
        (" http://site.test/a b/ \n", "http://site.test/a%20b/"),
        ('http://site.test/?q="\u00fc"', "http://site.test/?q=%22%C3%BC%22"),
        ("http://b\u00fccher.test", "http://xn--bcher-kva.test/"),
    ],
)
async def test_url_may_be_written_as_dotnet_writes_it(
    scripted: Scripted, sent: str, opened: str
) -> None:
    assert (await scripted.task(cmd="request.get", url=sent)).url == opened


async def test_cookies_of_an_answer_can_be_sent_back(scripted: Scripted) -> None:
    answer = await scripted.answer(DATA, **GET)
    task = await scripted.task(**GET, cookies=answer["solution"]["cookies"])
    assert [(c.name, c.value, c.expires, c.secure) for c in task.cookies] == [
        ("cf_clearance", "abc", 1893456000, True),
        ("a", "b\u00fc", -1, False),
    ]


async def test_cookie_of_a_class_with_its_defaults_is_one_of_the_session(
    scripted: Scripted,
) -> None:
    cookie = {
        "name": "a",
        "value": "",
        "domain": "",
        "path": None,
        "sameSite": "",
        "size": 0,
        "expires": 0,
        "httpOnly": False,
        "secure": False,
        "session": False,
    }
    (found,) = (await scripted.task(**GET, cookies=[cookie])).cookies
    assert (found.value, found.domain, found.path, found.expires) == ("", None, "/", -1)


@pytest.mark.parametrize("name", ["expiry", "expires"])
async def test_cookie_may_name_its_end_in_either_way(scripted: Scripted, name: str) -> None:
    cookie = {"name": "a", "value": "b", "domain": None, "sameSite": None, name: 2e9}
    (found,) = (await scripted.task(**GET, cookies=[cookie])).cookies
    assert found.expires == 2e9


@pytest.mark.parametrize(
    ("setting", "sent", "blocked"),
    [
        (False, None, False),
        (False, True, True),
        (True, None, True),
        (True, False, False),
        (True, True, True),
    ],
)
async def test_media_are_loaded_unless_the_request_or_else_the_setting_says_no(
    make: Make, setting: bool, sent: bool | None, blocked: bool
) -> None:
    scripted = await make(disable_media=setting)
    more = {} if sent is None else {"disableMedia": sent}
    assert bool((await scripted.task(**GET, **more)).block) is blocked


# Sessions


async def test_session_is_made_once_listed_and_removed(scripted: Scripted) -> None:
    v1 = scripted.v1
    made = await v1.ok(cmd="sessions.create", session="one")
    assert made["message"] == "Session created successfully."
    assert made["session"] == "one"
    again = await v1.ok(cmd="sessions.create", session="one")
    assert again["message"] == "Session already exists."
    assert again["session"] == "one"
    listed = await v1.ok(cmd="sessions.list")
    assert (listed["message"], listed["sessions"]) == ("", ["one"])
    gone = await v1.ok(cmd="sessions.destroy", session="one")
    assert gone["message"] == "The session has been removed."
    tail = {"status", "message", "startTimestamp", "endTimestamp", "version"}
    assert set(made) == set(again) == tail | {"session"}
    assert set(listed) == tail | {"sessions"}
    assert set(gone) == tail
    assert (await v1.ok(cmd="sessions.list"))["sessions"] == []
    assert await v1.message(cmd="sessions.destroy", session="one") == (
        "Error: The session doesn't exist."
    )


@pytest.mark.parametrize("more", [{}, {"session": None}, {"session": ""}], ids=str)
async def test_session_without_a_name_gets_one(scripted: Scripted, more: Json) -> None:
    first = await scripted.v1.ok(cmd="sessions.create", **more)
    second = await scripted.v1.ok(cmd="sessions.create", **more)
    names = [first["session"], second["session"]]
    assert [str(UUID(name)) for name in names] == names
    assert scripted.v1.sessions.names() == names


async def test_session_gets_the_proxy_it_is_made_with(scripted: Scripted) -> None:
    proxy = {"url": "http://proxy.test:3128", "username": "u", "password": CANARY}
    await scripted.v1.ok(cmd="sessions.create", session="proxied", proxy=proxy)
    await scripted.v1.ok(cmd="sessions.create", session="direct", proxy={})
    destination = Destination("proxy.test", 3128)
    assert scripted.v1.sessions.made == {
        SessionKey("", "proxied"): Upstream("http", destination, "u", CANARY),
        SessionKey("", "direct"): None,
    }


async def test_number_is_taken_for_a_name(scripted: Scripted) -> None:
    assert (await scripted.v1.ok(cmd="sessions.create", session=5))["session"] == "5"
    assert (await scripted.task(**GET, session=5)).session == "5"


async def test_too_many_sessions_is_said_so(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bool:
        raise RequestError("There are 3 sessions; destroy one, or raise --max-sessions.")

    monkeypatch.setattr(scripted.v1.sessions, "create", full)
    assert await scripted.v1.message(cmd="sessions.create") == (
        "Error: There are 3 sessions; destroy one, or raise --max-sessions."
    )
