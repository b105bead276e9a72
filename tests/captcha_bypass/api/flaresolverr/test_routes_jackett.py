"""Jackett with FlareSolverrSharp: its ClearanceHandler around a .NET HttpClient."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from urllib.parse import unquote

import aiohttp
import pytest
from pydantic import BaseModel, ConfigDict
from yarl import URL

from tests.captcha_bypass.api.flaresolverr.conftest import World
from tests.captcha_bypass.api.flaresolverr.scripted import DATA, GET, Make
from tests.support.flaresolverr_service import Json

CHALLENGED_SERVERS = {"cloudflare", "cloudflare-nginx", "ddos-guard"}
#: The only cookies that are taken over.
PREFIXES = ("cf_", "__cf", "__ddg")
OWN_AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120.0 Safari/537.36"
#: Jackett has one semaphore for all its indexers; a new one for each test, which has its own loop.
ONE_AT_A_TIME = asyncio.Semaphore(1)


@pytest.fixture(autouse=True)
def _jackett_has_just_started() -> None:
    global ONE_AT_A_TIME
    ONE_AT_A_TIME = asyncio.Semaphore(1)


class Dto(BaseModel):
    """A class that System.Text.Json fills, the strictest of its readers: no numbers as text."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Headers(Dto):
    status: str | None = None
    date: str | None = None
    server: str | None = None


class Cookie(Dto):
    name: str
    value: str
    domain: str
    path: str
    # A whole number in the newest version, a double before; only whole numbers are both.
    expires: int
    size: int
    httpOnly: bool
    secure: bool
    session: bool
    sameSite: str


class Solution(Dto):
    url: str
    status: int
    headers: Headers | None = None
    response: str | None = None
    cookies: list[Cookie]
    userAgent: str


class Answer(Dto):
    status: str
    message: str | None = None
    startTimestamp: int
    endTimestamp: int
    version: str
    solution: Solution | None = None
    session: str | None = None
    sessions: list[str] | None = None


class FlareSolverrException(Exception):
    """What an indexer of Jackett fails with."""


@dataclass
class ClearanceHandler:
    """Tries the site first, solves where it is challenged, and tries once more."""

    http: aiohttp.ClientSession
    host: str
    max_timeout: int = 55000
    user_agent: str = OWN_AGENT

    async def send(self, url: str, form: str | None = None) -> str:
        """Return the body that an indexer sees."""
        status, server, body = await self._direct(url, form, "")
        if not self._is_challenge(status, server):
            return body
        solution = await self._solve(url, form)
        self.user_agent = solution.userAgent
        cookies = [c for c in solution.cookies if c.name.startswith(PREFIXES)]
        status, server, body = await self._direct(
            url, form, "; ".join(f"{c.name}={c.value}" for c in cookies)
        )
        if self._is_challenge(status, server):
            raise FlareSolverrException("The cookies provided by FlareSolverr are not valid")
        return body

    async def command(self, cmd: str, session: str | None = None) -> Answer:
        """Manage sessions; every field of its request class is sent, null or not."""
        proxy = {"url": None, "username": None, "password": None}
        return await self._post(
            {
                "cmd": cmd,
                "url": None,
                "maxTimeout": self.max_timeout,
                "proxy": proxy,
                "session": session,
                "cookies": None,
            }
        )

    @staticmethod
    def _is_challenge(status: int, server: str) -> bool:
        return status in (403, 503) and server.lower() in CHALLENGED_SERVERS

    async def _solve(self, url: str, form: str | None) -> Solution:
        # Uri.ToString() unescapes what people like to read.
        command: Json = {"url": unquote(url), "maxTimeout": self.max_timeout}
        if form is None:
            answer = await self._post({"cmd": "request.get", **command})
        else:
            answer = await self._post({"cmd": "request.post", "postData": form, **command})
        assert answer.solution is not None
        return answer.solution

    async def _post(self, command: Json) -> Answer:
        host = self.host if self.host.endswith("/") else self.host + "/"
        timeout = aiohttp.ClientTimeout(total=self.max_timeout / 1000 + 5)
        async with (
            ONE_AT_A_TIME,
            self.http.post(f"{host}v1", json=command, timeout=timeout) as response,
        ):
            if response.status not in (200, 500):
                raise FlareSolverrException(f"Status code: {response.status}")
            answer = Answer.model_validate_json(await response.read())
        # System.Version takes two to four numbers and nothing else.
        assert re.fullmatch(r"\d+(\.\d+){1,3}", answer.version)
        if answer.status.lower() != "ok":
            raise FlareSolverrException(
                "FlareSolverr was unable to process the request, please check FlareSolverr logs. "
                f"Message: {answer.message}"
            )
        return answer

    async def _direct(self, url: str, form: str | None, cookies: str) -> tuple[int, str, str]:
        headers = {"User-Agent": self.user_agent}
        if cookies:
            headers["Cookie"] = cookies
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        method = "GET" if form is None else "POST"
        data = None if form is None else form.encode()
        target = URL(url, encoded=True)
        async with self.http.request(method, target, data=data, headers=headers) as response:
            return response.status, response.headers.get("Server", ""), await response.text()


@pytest.fixture
def jackett(world: World, http: aiohttp.ClientSession) -> ClearanceHandler:
    return ClearanceHandler(http, world.service)


async def test_challenged_indexer_is_read(world: World, jackett: ClearanceHandler) -> None:
    assert "Page 1" in await jackett.send(world.page("/page/1"))
    assert "Firefox/" in jackett.user_agent


async def test_search_for_several_words_is_read(world: World, jackett: ClearanceHandler) -> None:
    url = world.page("/page/2?q=the%20big%20%22b%C3%BCcher%22%20%5B2024%5D&cat=1%262")
    assert "Page 2" in await jackett.send(url)


async def test_form_is_posted_through_a_challenge(world: World, jackett: ClearanceHandler) -> None:
    body = await jackett.send(world.page("/post/1"), "user=a+b&pass=%C3%BC")
    assert '[["user", "a b"], ["pass", "\\u00fc"]]' in body


async def test_several_indexers_are_read_one_after_another(
    world: World, http: aiohttp.ClientSession
) -> None:
    handlers = [ClearanceHandler(http, world.service) for _ in range(4)]
    bodies = await asyncio.gather(
        *(handler.send(world.page(f"/page/{n}")) for n, handler in enumerate(handlers))
    )
    assert [f"Page {n}" in body for n, body in enumerate(bodies)] == [True] * 4


@pytest.mark.parametrize(
    ("path", "max_timeout", "message"),
    [
        ("/never/1", 1000, r"Error solving the challenge\. Timeout after 1\.0 seconds\.$"),
        ("/banned", 20_000, r"Cloudflare has blocked this request\. Probably your IP is banned"),
    ],
)
async def test_failure_is_told_with_the_message(
    world: World, http: aiohttp.ClientSession, path: str, max_timeout: int, message: str
) -> None:
    jackett = ClearanceHandler(http, world.service, max_timeout=max_timeout)
    with pytest.raises(FlareSolverrException, match="unable to process the request.*" + message):
        await jackett.send(world.page(path))


async def test_sessions_are_made_listed_and_destroyed(jackett: ClearanceHandler) -> None:
    made = await jackett.command("sessions.create")
    assert made.session is not None
    assert made.session in ((await jackett.command("sessions.list")).sessions or [])
    await jackett.command("sessions.destroy", made.session)
    assert made.session not in ((await jackett.command("sessions.list")).sessions or [])
    with pytest.raises(FlareSolverrException, match="The session doesn't exist"):
        await jackett.command("sessions.destroy", made.session)


async def test_index_is_what_it_looks_for(world: World, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{world.service}/") as response:
        assert response.status == 200
        body = await response.json()
    assert body["msg"] == "FlareSolverr is ready!"
    assert body["userAgent"].startswith("Mozilla/5.0 ")


async def test_any_answer_fits_its_classes(make: Make) -> None:
    scripted = await make()
    for outcome in (
        DATA | {"solved": "cloudflare"},
        DATA | {"cookies": [], "headers": {}},
        DATA | {"timeout_reached": True},
        {"error": {"code": "dns_error", "message": "no such host"}},
    ):
        Answer.model_validate(await scripted.answer(outcome, **GET))


async def test_key_in_the_address_opens(make: Make, http: aiohttp.ClientSession) -> None:
    scripted = await make(api_key=("key-of-jackett",))
    opened = ClearanceHandler(http, scripted.v1.url + "/?key=key-of-jackett")
    assert (await opened.command("sessions.list")).sessions == []
    with pytest.raises(FlareSolverrException, match="An API key is needed"):
        await ClearanceHandler(http, scripted.v1.url).command("sessions.list")
