"""Prowlarr 2.3.6: what its indexer proxy FlareSolverr sends, and how it reads the answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
import pytest
from pydantic import BaseModel, ConfigDict, StrictBool, StrictInt, StrictStr
from yarl import URL

from tests.captcha_bypass.api.flaresolverr.conftest import World
from tests.captcha_bypass.api.flaresolverr.scripted import DATA, GET, Make
from tests.support.flaresolverr_service import Json
from tests.support.proxies import running_proxies

CHALLENGED_SERVERS = {"cloudflare", "cloudflare-nginx", "ddos-guard"}
OWN_AGENT = "Prowlarr/2.3.6 (ubuntu 24.04)"
#: Newtonsoft writes numbers into strings, and whole numbers into doubles; nothing else is alike.
Text = StrictStr | StrictInt | None
Double = float | StrictInt


class Dto(BaseModel):
    """A class that Newtonsoft fills: what is not there keeps its default, a null only where it may."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Headers(Dto):
    status: Text = None
    date: Text = None


class Cookie(Dto):
    name: Text = None
    value: Text = None
    domain: Text = None
    path: Text = None
    expires: Double = 0.0
    size: StrictInt = 0
    httpOnly: StrictBool = False
    secure: StrictBool = False
    session: StrictBool = False
    sameSite: Text = None


class Solution(Dto):
    url: Text = None
    status: Text = None
    headers: Headers | None = None
    response: Text = None
    cookies: list[Cookie] | None = None
    userAgent: Text = None


class Answer(Dto):
    status: Text = None
    message: Text = None
    startTimestamp: StrictInt = 0
    endTimestamp: StrictInt = 0
    version: Text = None
    solution: Solution | None = None


class NullReference(Exception):
    """What Prowlarr ends in where the answer has no solution."""


@dataclass
class Response:
    status: int
    server: str
    text: str

    def is_challenge(self) -> bool:
        return (
            self.server.lower() in CHALLENGED_SERVERS
            and self.status in (403, 503)
            and "<title>Just a moment...</title>" in self.text
        )


@dataclass
class Prowlarr:
    """The proxy's PreRequest, PostResponse and Test.

    Args:
        host: As in its settings.
        seconds: Setting "Request Timeout".
        proxy: Prowlarr's own; the service is told to use it too.
    """

    http: aiohttp.ClientSession
    host: str
    seconds: int = 60
    proxy: dict[str, str] = field(default_factory=dict)
    user_agents: dict[str, str] = field(default_factory=dict)
    solves: int = 0

    async def fetch(self, url: str, form: str | None = None) -> Response:
        """Do what an indexer asks for."""
        host = urlsplit(url).hostname or ""
        agent = self.user_agents.get(host, OWN_AGENT)
        first = await self._direct(url, form, {"User-Agent": agent})
        if not first.is_challenge():
            return first
        answer = await self._ask(url, form)
        if answer.solution is None or answer.solution.cookies is None:
            raise NullReference(answer.message)
        agent = self.user_agents[host] = str(answer.solution.userAgent)
        cookies = "; ".join(f"{c.name}={c.value}" for c in answer.solution.cookies)
        return await self._direct(url, form, {"User-Agent": agent, "Cookie": cookies})

    async def test(self, ping: str) -> list[str]:
        """Press the button: returns what it would show as errors."""
        status, _ = await self._post(self._command(ping, None))
        return [] if status == 200 else [f"Proxy Health Check failed: {status}"]

    def _command(self, url: str, form: str | None) -> Json:
        # Nulls are dropped, so of a proxy that is not set nothing is left but the braces.
        command: Json = {"url": url, "maxTimeout": self.seconds * 1000, "proxy": self.proxy}
        if form is None:
            return {"cmd": "request.get", **command}
        headers = {"contentType": "application/x-www-form-urlencoded"}
        return {"cmd": "request.post", "postData": form, "headers": headers, **command}

    async def _ask(self, url: str, form: str | None) -> Answer:
        self.solves += 1
        status, answer = await self._post(self._command(url, form))
        if status not in (200, 500):
            raise AssertionError(f"HTTP StatusCode not 200 or 500. Status is: {status}")
        return answer

    async def _post(self, command: Json) -> tuple[int, Answer]:
        timeout = aiohttp.ClientTimeout(total=self.seconds + 5)
        url = f"{self.host.rstrip('/')}/v1"
        async with self.http.post(url, json=command, timeout=timeout) as response:
            return response.status, Answer.model_validate_json(await response.read())

    async def _direct(self, url: str, form: str | None, headers: dict[str, str]) -> Response:
        proxy: URL | None = None
        if self.proxy:
            login = self.proxy["username"], self.proxy["password"]
            proxy = URL(self.proxy["url"]).with_user(login[0]).with_password(login[1])
        if form is not None:
            headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        method = "GET" if form is None else "POST"
        data = None if form is None else form.encode()
        sent = self.http.request(method, url, data=data, headers=headers, proxy=proxy)
        async with sent as response:
            server = response.headers.get("Server", "")
            return Response(response.status, server, await response.text())


@pytest.fixture
def prowlarr(world: World, http: aiohttp.ClientSession) -> Prowlarr:
    return Prowlarr(http, world.service + "/")


async def test_test_button_is_green(world: World, prowlarr: Prowlarr) -> None:
    # As Prowlarr's own ping, an open page of JSON.
    assert await prowlarr.test(world.page("/headers")) == []


async def test_challenged_indexer_is_read_with_cookies_and_user_agent(
    world: World, prowlarr: Prowlarr
) -> None:
    response = await prowlarr.fetch(world.page("/page/1"))
    assert response.status == 200
    assert "Page 1" in response.text
    assert prowlarr.solves == 1
    assert list(prowlarr.user_agents) == ["127.0.0.1"]
    assert "Firefox/" in prowlarr.user_agents["127.0.0.1"]


async def test_open_indexer_is_read_without_the_service(world: World, prowlarr: Prowlarr) -> None:
    assert (await prowlarr.fetch(world.page("/open/1"))).status == 200
    assert prowlarr.solves == 0


async def test_login_form_is_posted_through_a_challenge(world: World, prowlarr: Prowlarr) -> None:
    response = await prowlarr.fetch(world.page("/post/1"), "username=me&password=p%26w")
    assert response.status == 200
    assert '[["username", "me"], ["password", "p&amp;w"]]' in response.text


async def test_proxy_of_prowlarr_is_used_by_the_browser_too(
    world: World, http: aiohttp.ClientSession
) -> None:
    async with running_proxies(1) as (running,):
        url = f"http://127.0.0.1:{running.port}"
        proxy = {"url": url, "username": running.username, "password": running.password}
        prowlarr = Prowlarr(http, world.service, proxy=proxy)
        # The clearance is good for one address: both must have come through the proxy.
        response = await prowlarr.fetch(world.page("/page/1"))
        assert response.status == 200
        assert prowlarr.solves == 1
        assert running.served >= 4


async def test_challenge_that_does_not_end_is_what_it_was_with_the_original(
    world: World, http: aiohttp.ClientSession
) -> None:
    prowlarr = Prowlarr(http, world.service, seconds=1)
    with pytest.raises(NullReference, match=r"Timeout after 1\.0 seconds"):
        await prowlarr.fetch(world.page("/never/1"))


async def test_test_button_is_red_where_a_page_cannot_be_had(prowlarr: Prowlarr) -> None:
    assert await prowlarr.test("http://nowhere.invalid/") == ["Proxy Health Check failed: 500"]


async def test_any_answer_fits_its_classes(make: Make) -> None:
    scripted = await make()
    headers = {"status": "200", "date": "now", "content-type": "text/html", "x": "y"}
    for outcome in (
        DATA | {"headers": headers, "solved": "cloudflare"},
        DATA | {"cookies": [], "headers": {}},
        DATA | {"timeout_reached": True},
        {"error": {"code": "dns_error", "message": "no such host"}},
    ):
        Answer.model_validate(await scripted.answer(outcome, **GET, proxy={}))


async def test_key_in_the_host_setting_opens(make: Make, http: aiohttp.ClientSession) -> None:
    scripted = await make(api_key=("key-of-prowlarr",))
    command = {"cmd": "sessions.list"}
    for host, status in (("/?key=key-of-prowlarr", 200), ("/", 500), ("/?key=key-of-nobody", 500)):
        prowlarr = Prowlarr(http, scripted.v1.url + host)
        assert (await prowlarr._post(command))[0] == status
