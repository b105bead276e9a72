"""FlareSolverr's own list of tests (src/tests.py of 3.5.0), against local sites instead of live ones."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from uuid import UUID

import aiohttp
import pytest

from captcha_bypass import __version__
from tests.captcha_bypass.api.flaresolverr.conftest import World
from tests.captcha_bypass.api.flaresolverr.scripted import BLOCKED, PREFIX
from tests.captcha_bypass.api.flaresolverr.socks import socks_proxy
from tests.support.flaresolverr_service import Json, failure_of
from tests.support.proxies import running_proxies


class Api:
    """Sends commands, and checks what all answers have in common."""

    def __init__(self, http: aiohttp.ClientSession, world: World) -> None:
        self._http = http
        self.world = world

    async def get(self, path: str) -> tuple[int, Json]:
        async with self._http.get(self.world.service + path) as response:
            return response.status, await response.json()

    async def ok(self, cmd: str, **fields: object) -> Json:
        began = time.time() * 1000
        command = {"cmd": cmd, **fields}
        async with self._http.post(f"{self.world.service}/v1", json=command) as response:
            body: Json = await response.json()
            assert response.status == 200, body
        assert body["status"] == "ok"
        assert began - 1 <= body["startTimestamp"] <= body["endTimestamp"]
        assert body["version"] == __version__
        return body

    async def error(self, cmd: str, **fields: object) -> str:
        command = {"cmd": cmd, **fields}
        async with self._http.post(f"{self.world.service}/v1", json=command) as response:
            return await failure_of(response)

    async def page(self, path: str, **fields: object) -> Json:
        """Get a page of the site."""
        return await self.ok("request.get", url=self.world.page(path), **fields)

    async def post(self, path: str, data: str, **fields: object) -> Json:
        """Post a form to a page of the site."""
        url = self.world.page(path)
        return await self.ok("request.post", url=url, postData=data, **fields)


@pytest.fixture
async def api(world: World, http: aiohttp.ClientSession) -> AsyncIterator[Api]:
    api = Api(http, world)
    await end_sessions(api)  # which others may have left in the service that is shared
    yield api
    await end_sessions(api)


async def end_sessions(api: Api) -> None:
    for name in (await api.ok("sessions.list"))["sessions"]:
        await api.ok("sessions.destroy", session=name)


def names(answer: Json) -> list[str]:
    return [cookie["name"] for cookie in answer["solution"]["cookies"]]


# Not /v1


async def test_wrong_endpoint(api: Api) -> None:
    assert (await api.get("/wrong"))[0] == 404


async def test_index(api: Api) -> None:
    status, body = await api.get("/")
    assert status == 200
    assert set(body) == {"msg", "version", "userAgent"}
    assert body["msg"] == "FlareSolverr is ready!"
    assert body["version"] == __version__
    assert "Firefox/" in body["userAgent"]


async def test_health(api: Api) -> None:
    status, body = await api.get("/health")
    assert status == 200
    assert body["status"] == "ok"


# request.get


async def test_wrong_command(api: Api) -> None:
    message = await api.error("request.bad", url=api.world.page("/open/1"))
    assert message == "Error: Request parameter 'cmd' = 'request.bad' is invalid."


async def test_page_without_a_challenge(api: Api) -> None:
    answer = await api.page("/open/1")
    assert answer["message"] == "Challenge not detected!"
    solution = answer["solution"]
    assert solution["url"] == api.world.page("/open/1")
    assert solution["status"] == 200
    assert solution["headers"]["server"] == "cloudflare"
    assert "<title>Page 1</title>" in solution["response"]
    assert "Firefox/" in solution["userAgent"]


async def test_page_without_media(api: Api) -> None:
    answer = await api.page("/open/1", disableMedia=True)
    assert "<title>Page 1</title>" in answer["solution"]["response"]


async def test_challenge(api: Api) -> None:
    answer = await api.page("/page/1")
    assert answer["message"] == "Challenge solved!"
    solution = answer["solution"]
    assert solution["status"] == 200
    assert "<title>Page 1</title>" in solution["response"]
    (clearance,) = [c for c in solution["cookies"] if c["name"] == "cf_clearance"]
    assert len(clearance["value"]) > 30


async def test_challenge_before_a_redirect(api: Api) -> None:
    answer = await api.page("/redirect/3")
    assert answer["message"] == "Challenge solved!"
    assert answer["solution"]["url"] == api.world.page("/page/3")


async def test_blocked(api: Api) -> None:
    assert await api.error("request.get", url=api.world.page("/banned")) == BLOCKED


async def test_cookies_that_are_sent_are_returned(api: Api) -> None:
    cookies = [
        {"name": "testcookie1", "value": "testvalue1"},
        {"name": "testcookie2", "value": "testvalue2"},
    ]
    answer = await api.page("/open/1", cookies=cookies)
    found = {c["name"]: c["value"] for c in answer["solution"]["cookies"]}
    assert found == {"testcookie1": "testvalue1", "testcookie2": "testvalue2"}


async def test_clearance_that_is_sent_back_saves_the_challenge(api: Api) -> None:
    first = await api.page("/page/1")
    again = await api.page("/page/2", cookies=first["solution"]["cookies"])
    assert again["message"] == "Challenge not detected!"
    assert "<title>Page 2</title>" in again["solution"]["response"]


async def test_only_cookies(api: Api) -> None:
    answer = await api.page("/page/1", returnOnlyCookies=True)
    assert "headers" not in answer["solution"]
    assert "response" not in answer["solution"]
    assert "cf_clearance" in names(answer)


async def test_screenshot(api: Api) -> None:
    answer = await api.page("/open/1", returnScreenshot=True)
    assert base64.b64decode(answer["solution"]["screenshot"]).startswith(b"\x89PNG")


async def test_wait(api: Api) -> None:
    answer = await api.page("/open/1", waitInSeconds=1)
    assert answer["endTimestamp"] - answer["startTimestamp"] >= 1000


async def test_timeout(api: Api) -> None:
    for path in ("/slow/1?seconds=1", "/never/1"):
        message = await api.error("request.get", url=api.world.page(path), maxTimeout=10)
        assert message == f"{PREFIX}Timeout after 0.01 seconds."


async def test_wait_beyond_the_timeout(api: Api) -> None:
    url = api.world.page("/open/1")
    message = await api.error("request.get", url=url, maxTimeout=1500, waitInSeconds=30)
    assert message == f"{PREFIX}Timeout after 1.5 seconds."


async def test_bad_domain(api: Api) -> None:
    message = await api.error("request.get", url="https://nowhere.invalid")
    assert message.startswith(PREFIX)
    assert "resolve" in message


async def test_deprecated_parameters(api: Api) -> None:
    answer = await api.page("/headers", userAgent="Test User-Agent", headers={"X-A": "b"})
    assert answer["message"] == "Challenge not detected!"
    assert "Test User-Agent" not in answer["solution"]["response"]


async def test_get_with_post_data(api: Api) -> None:
    message = await api.error("request.get", url=api.world.page("/open/1"), postData="a=b")
    assert message == "Error: Cannot use 'postBody' when sending a GET request."


# Proxies


@pytest.mark.parametrize("wants_login", [False, True])
async def test_http_proxy(api: Api, wants_login: bool) -> None:
    async with running_proxies(1) as (proxy,):
        proxy.wants_login = wants_login
        login = {"username": proxy.username, "password": proxy.password} if wants_login else {}
        given = {"url": f"http://127.0.0.1:{proxy.port}", **login}
        answer = await api.page("/page/1", proxy=given)
        assert answer["message"] == "Challenge solved!"
        assert proxy.served >= 3
        # And with a session that was made with it.
        await api.ok("sessions.create", session="proxied", proxy=given)


async def test_socks5_proxy(api: Api) -> None:
    if not api.world.has_browser:
        pytest.skip("only browsers go through it")
    async with socks_proxy() as proxy:
        given = {"url": f"socks5://127.0.0.1:{proxy.port}"}
        answer = await api.page("/page/1", proxy=given)
        assert answer["message"] == "Challenge solved!"
        assert proxy.served >= 1


async def test_dead_proxy(api: Api) -> None:
    proxy = {"url": "http://127.0.0.1:1"}
    message = await api.error("request.get", url=api.world.page("/open/1"), proxy=proxy)
    assert message.startswith(PREFIX + "The proxy cannot be reached; check proxy.server")


# request.post


async def test_post(api: Api) -> None:
    answer = await api.post("/post/1", "param1=value1&param2=value%202&param3")
    assert answer["message"] == "Challenge solved!"
    fields = '[["param1", "value1"], ["param2", "value 2"], ["param3", ""]]'
    assert fields in answer["solution"]["response"]


async def test_post_of_a_field_called_submit(api: Api) -> None:
    answer = await api.post("/post/1", "?submit=now&a=%22%3Cb%3E%26%22")
    expected = '[["submit", "now"], ["a", "\\"&lt;b&gt;&amp;\\""]]'
    assert expected in answer["solution"]["response"]


async def test_post_with_cookies_and_a_session(api: Api) -> None:
    cookies = [{"name": "testcookie1", "value": "testvalue1"}]
    answer = await api.post("/post/1", "a=b", cookies=cookies, session="s", disableMedia=True)
    assert '[["a", "b"]]' in answer["solution"]["response"]
    assert set(names(answer)) == {"cf_clearance", "testcookie1"}


async def test_post_without_data(api: Api) -> None:
    message = await api.error("request.post", url=api.world.page("/post/1"))
    assert message == "Error: Request parameter 'postData' is mandatory in 'request.post' command."


# sessions


async def test_session_without_a_name(api: Api) -> None:
    answer = await api.ok("sessions.create")
    assert answer["message"] == "Session created successfully."
    assert str(UUID(answer["session"])) == answer["session"]


async def test_session_with_a_name(api: Api) -> None:
    assert (await api.ok("sessions.create", session="one"))["session"] == "one"
    again = await api.ok("sessions.create", session="one")
    assert again["message"] == "Session already exists."


async def test_list_of_sessions(api: Api) -> None:
    for name in ("one", "two"):
        await api.ok("sessions.create", session=name)
    answer = await api.ok("sessions.list")
    assert answer["message"] == ""
    assert set(answer["sessions"]) == {"one", "two"}


async def test_end_of_a_session(api: Api) -> None:
    await api.ok("sessions.create", session="one")
    answer = await api.ok("sessions.destroy", session="one")
    assert answer["message"] == "The session has been removed."
    message = await api.error("sessions.destroy", session="one")
    assert message == "Error: The session doesn't exist."


async def test_session_keeps_its_cookies(api: Api) -> None:
    await api.ok("sessions.create", session="one")
    first = await api.page("/page/1", session="one")
    again = await api.page("/page/2", session="one")
    other = await api.page("/page/2", session="two")
    messages = [answer["message"] for answer in (first, again, other)]
    assert messages == ["Challenge solved!", "Challenge not detected!", "Challenge solved!"]
    assert set((await api.ok("sessions.list"))["sessions"]) == {"one", "two"}


async def test_session_past_its_time_is_made_anew(api: Api) -> None:
    first = await api.page("/page/1", session="one", session_ttl_minutes=5)
    within = await api.page("/page/1", session="one", session_ttl_minutes=5)
    await asyncio.sleep(0.05)
    past = await api.page("/page/1", session="one", session_ttl_minutes=0.0001)
    messages = [answer["message"] for answer in (first, within, past)]
    assert messages == ["Challenge solved!", "Challenge not detected!", "Challenge solved!"]


async def test_session_that_was_destroyed_has_forgotten_all(api: Api) -> None:
    await api.page("/page/1", session="one")
    await api.ok("sessions.destroy", session="one")
    assert (await api.page("/page/1", session="one"))["message"] == "Challenge solved!"
