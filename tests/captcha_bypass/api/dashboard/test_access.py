"""Who gets into the dashboard, what its cookie is good for, and what pages of other origins get."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiohttp import ClientResponse
from yarl import URL

from captcha_bypass.api.dashboard import logins, routes
from captcha_bypass.wire.task import SessionKey
from tests.support.dashboard_service import A, B, Dashboard, MakeDashboard

SESSION = "/dashboard/api/session"
KEYS = {"api_key": (A, B)}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "FAILED_SECONDS", 0.0)


async def code_of(response: ClientResponse) -> tuple[int, str]:
    return response.status, (await response.json())["error"]["code"]


async def authenticated(response: ClientResponse) -> bool:
    assert response.status == 200
    found: bool = (await response.json())["authenticated"]
    return found


# Login


async def test_key_once_and_then_its_cookie_is_that_key(make_dashboard: MakeDashboard) -> None:
    dashboard = await make_dashboard(**KEYS)
    task = await dashboard.submit(X_API_Key=B)
    assert not await authenticated(await dashboard.ask("GET", SESSION))
    mine, other = await dashboard.log_in(B), await dashboard.log_in(A)
    assert await authenticated(await dashboard.ask("GET", SESSION, mine))
    own = {"Origin": dashboard.origin}
    assert (await dashboard.ask("DELETE", f"/task/{task}", other, **own)).status == 404
    assert (await dashboard.ask("DELETE", f"/task/{task}", mine, **own)).status == 200
    answer = await dashboard.ask("GET", f"/task/{task}/evidence", mine)
    assert await code_of(answer) == (404, "no_evidence")
    dashboard.sessions.create(SessionKey("key 1", "mine"), None)
    assert (await dashboard.ask("DELETE", "/sessions/mine", other, **own)).status == 404
    assert (await dashboard.ask("DELETE", "/sessions/mine", mine, **own)).status == 200


@pytest.mark.parametrize(
    ("sent", "secure"),
    [
        ({}, False),
        ({"X_Forwarded_Proto": "https"}, True),
        ({"Origin": "https://captcha.example", "Sec_Fetch_Site": "same-origin"}, True),
    ],
)
async def test_cookie_is_out_of_reach_of_scripts_and_other_sites(
    make_dashboard: MakeDashboard, sent: dict[str, str], secure: bool
) -> None:
    dashboard = await make_dashboard(**KEYS)
    response = await dashboard.ask("POST", "/dashboard/login", json={"key": A}, **sent)
    (morsel,) = response.cookies.values()
    assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "Strict", "/")
    assert (morsel["max-age"], bool(morsel["secure"])) == ("43200", secure)
    assert len(morsel.value) >= 43
    assert A not in str(response.headers)


@pytest.mark.parametrize("key", ["", "wrong", A.lower(), f"{A} ", "\N{SNOWMAN}"])
async def test_wrong_key_gets_no_cookie_and_is_a_refusal_in_the_log(
    make_dashboard: MakeDashboard, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    dashboard = await make_dashboard(**KEYS)
    response = await dashboard.ask("POST", "/dashboard/login", json={"key": key})
    assert await code_of(response) == (401, "unauthorized")
    assert not response.cookies
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "/dashboard/login" in record.getMessage()
    assert record.__dict__["code"] == "unauthorized"
    assert "CANARY" not in caplog.text


async def test_wrong_keys_wait_for_one_another_and_few_may(
    make_dashboard: MakeDashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "FAILED_SECONDS", 0.02)
    dashboard = await make_dashboard(**KEYS)
    tries = [dashboard.ask("POST", "/dashboard/login", json={"key": "guess"}) for _ in range(30)]
    answers = [await code_of(response) for response in await asyncio.gather(*tries)]
    assert answers.count((401, "unauthorized")) == routes.MAX_FAILED
    assert answers.count((503, "too_many_waiting")) == 30 - routes.MAX_FAILED
    await dashboard.log_in(A)  # whoever has a key is not held up


@pytest.mark.parametrize("body", ["", "[]", '"x"', "{}", '{"key": 1}', '{"key": "a", "b": 1}'])
async def test_bad_login_is_told_what_is_wrong(make_dashboard: MakeDashboard, body: str) -> None:
    dashboard = await make_dashboard(**KEYS)
    json, plain = {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}
    response = await dashboard.client.post("/dashboard/login", data=body, headers=json)
    assert await code_of(response) == (400, "invalid_request")
    response = await dashboard.client.post("/dashboard/login", data=body, headers=plain)
    assert await code_of(response) == (415, "unsupported_media_type")


async def test_logout_ends_the_login(make_dashboard: MakeDashboard) -> None:
    dashboard = await make_dashboard(**KEYS)
    cookie, other = await dashboard.log_in(A), await dashboard.log_in(A)
    response = await dashboard.ask("POST", "/dashboard/logout", cookie, Origin=dashboard.origin)
    assert not await authenticated(response)
    assert [morsel["max-age"] for morsel in response.cookies.values()] == ["0"]
    assert not await authenticated(await dashboard.ask("GET", SESSION, cookie))
    assert await authenticated(await dashboard.ask("GET", SESSION, other))


async def test_login_ends_by_its_time(
    make_dashboard: MakeDashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "LOGIN_SECONDS", 0.05)
    dashboard = await make_dashboard(**KEYS)
    cookie = await dashboard.log_in(A)
    async with asyncio.timeout(10):
        while await authenticated(await dashboard.ask("GET", SESSION, cookie)):
            pass


async def test_logins_without_number_end_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "MAX_LOGINS", 3)
    table = logins.Logins()
    tokens = [table.begin(place) for place in range(5)]
    assert len(table) == 3
    assert [login and login.place for login in map(table.find, tokens)] == [None, None, 2, 3, 4]
    ended: list[int] = []
    login = table.find(tokens[4])
    assert login is not None
    with login.watched(lambda: ended.append(4)):
        table.close()
    assert ended == [4]


async def test_two_services_of_one_host_do_not_take_each_others_cookies(
    make_dashboard: MakeDashboard,
) -> None:
    dashboards = [await make_dashboard(**KEYS) for _ in range(2)]
    cookie = "; ".join([await dashboard.log_in(A) for dashboard in dashboards])
    for dashboard in dashboards:
        assert await authenticated(await dashboard.ask("GET", SESSION, cookie))


# What the cookie is good for


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[("POST", "/solve"), ("POST", "/fetch"), ("GET", "/result/x"), ("GET", "/metrics")],
        *[("GET", "/sessions"), ("GET", "/openapi.json"), ("POST", "/task/x")],
        *[("GET", "/task/x/evidence/more"), ("DELETE", "/sessions/a/b"), ("GET", "/")],
    ],
)
async def test_cookie_is_good_for_nothing_but_the_dashboard(
    make_dashboard: MakeDashboard, method: str, path: str
) -> None:
    dashboard = await make_dashboard(**KEYS)
    cookie = await dashboard.log_in(A)
    response = await dashboard.ask(method, path, cookie, Origin=dashboard.origin)
    assert await code_of(response) == (401, "unauthorized")


@pytest.mark.parametrize("value", ["", "x", A, "\N{SNOWMAN}", "x" * 4000])
async def test_made_up_cookie_stands_for_nothing(make_dashboard: MakeDashboard, value: str) -> None:
    dashboard = await make_dashboard(**KEYS)
    name, _, _ = (await dashboard.log_in(A)).partition("=")
    response = await dashboard.ask("GET", SESSION, f"{name}={value}")
    assert not await authenticated(response)


@pytest.mark.parametrize(
    "path",
    [
        *["/dashboard/api/events", "/dashboard/api/tasks/x", "/dashboard/api/tasks/x/live"],
        *["/dashboard/%61pi/events", "/dashboard/api%2Fevents", "/dashboard//api/events"],
        *["/dashboard/static/../api/events", "/dashboard/static/..%2Fapi/events"],
    ],
)
async def test_nothing_of_a_task_is_open(make_dashboard: MakeDashboard, path: str) -> None:
    dashboard = await make_dashboard(**KEYS)
    url = URL(f"{dashboard.origin}{path}", encoded=True)
    async with dashboard.client.session.get(url) as response:
        assert response.status in (401, 404)


# Other origins


def foreign(dashboard: Dashboard) -> list[dict[str, str]]:
    other = f"http://{dashboard.client.host}:1"
    origins = ["https://evil.test", "null", "", other, dashboard.origin + ".evil.test"]
    sites = ["cross-site", "same-site", "SAME-ORIGIN", ""]
    return [
        *({"Origin": origin} for origin in origins),
        *({"Sec_Fetch_Site": site} for site in sites),
        {"Origin": dashboard.origin, "Sec_Fetch_Site": "same-site"},
    ]


async def test_cookie_changes_nothing_unless_our_own_page_asks(
    make_dashboard: MakeDashboard,
) -> None:
    dashboard = await make_dashboard(**KEYS)
    cookie, task = await dashboard.log_in(A), await dashboard.submit(X_API_Key=A)
    for headers in [*foreign(dashboard), {}, {"Sec_Fetch_Site": "none"}]:
        for method, path in [
            ("DELETE", f"/task/{task}"),
            ("DELETE", "/sessions/x"),
            ("POST", "/dashboard/logout"),
        ]:
            response = await dashboard.ask(method, path, cookie, **headers)
            assert await code_of(response) == (403, "origin_not_allowed"), (path, headers)
    assert await dashboard.queue.get(task) is not None
    assert await authenticated(await dashboard.ask("GET", SESSION, cookie))
    by_browser = {"Sec_Fetch_Site": "same-origin", "Origin": "https://behind.a.proxy"}
    response = await dashboard.ask("DELETE", f"/task/{task}", cookie, **by_browser)
    assert response.status == 200


async def test_proxy_that_changes_the_host_is_known_by_the_dashboards_url(
    make_dashboard: MakeDashboard,
) -> None:
    dashboard = await make_dashboard(dashboard_url="https://captcha.example:8443/a", **KEYS)
    cookie = await dashboard.log_in(A)
    for origin, status in [
        ("https://captcha.example:8443", 404),
        (dashboard.origin, 404),
        ("https://captcha.example", 403),
    ]:
        answer = await dashboard.ask("DELETE", "/task/none", cookie, Origin=origin)
        assert answer.status == status


@pytest.mark.parametrize("settings", [{}, KEYS], ids=["open", "with keys"])
async def test_page_of_another_origin_gets_nothing_of_the_dashboard(
    make_dashboard: MakeDashboard, settings: dict[str, tuple[str, ...]]
) -> None:
    dashboard = await make_dashboard(**settings)
    for headers in foreign(dashboard):
        for method, path in [
            ("GET", SESSION),
            ("GET", "/dashboard/api/events"),
            ("GET", "/dashboard/api/tasks/x/live"),
            ("POST", "/dashboard/login"),
        ]:
            response = await dashboard.ask(method, path, json={"key": A}, X_API_Key=A, **headers)
            assert await code_of(response) == (403, "origin_not_allowed"), (path, headers)
            assert not [name for name in response.headers if name.lower().startswith("access-")]


# Without keys


async def test_without_keys_all_is_there_on_loopback(dashboard: Dashboard) -> None:
    response = await dashboard.ask("GET", SESSION)
    assert (await response.json()).keys() == {"authenticated", "needs_key", "version"}
    assert await authenticated(response)
    response = await dashboard.ask("POST", "/dashboard/login", json={"key": "any"})
    assert await authenticated(response)
    assert not response.cookies
    response = await dashboard.ask("GET", SESSION, Host="evil.test")
    assert await code_of(response) == (403, "host_not_allowed")


async def test_beyond_loopback_there_is_no_dashboard_without_a_key(
    make_dashboard: MakeDashboard,
) -> None:
    dashboard = await make_dashboard(host="0.0.0.0")
    for path in ("/dashboard", "/dashboard/", "/dashboard/static/index.html", SESSION):
        response = await dashboard.ask("GET", path)
        assert await code_of(response) == (403, "dashboard_closed")
        assert "--api-key" in await response.text()
    dashboard = await make_dashboard(host="0.0.0.0", **KEYS)
    assert (await dashboard.ask("GET", "/dashboard")).status == 200
