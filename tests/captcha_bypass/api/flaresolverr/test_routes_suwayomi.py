"""Suwayomi-Server: its CloudflareInterceptor, which decides by the message."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from pydantic import BaseModel, ConfigDict

from tests.captcha_bypass.api.flaresolverr.conftest import World
from tests.captcha_bypass.api.flaresolverr.scripted import DATA, GET, Make

COOKIE_NAMES = {"cf_clearance"}


class Serializable(BaseModel):
    """A kotlinx class: what has no default must be there, and null only where it says so."""

    model_config = ConfigDict(strict=True, extra="ignore")


class SolutionCookie(Serializable):
    name: str
    value: str
    domain: str
    # Mandatory in older versions.
    path: str
    httpOnly: bool
    secure: bool
    sameSite: str
    expires: float | None = None
    size: int | None = None
    session: bool | None = None


class Solution(Serializable):
    url: str
    status: int
    headers: dict[str, str] | None = None
    response: str | None = None
    cookies: list[SolutionCookie]
    userAgent: str


class Answer(Serializable):
    solution: Solution
    status: str
    message: str
    startTimestamp: int
    endTimestamp: int
    version: str


class CloudflareBypassException(Exception):
    """There is no cookie to go on with."""


class HttpException(Exception):
    """The answer was not 2xx."""


@dataclass
class Suwayomi:
    """Fetches pages of sources as an OkHttp client with the interceptor does.

    Args:
        fallback: Setting "use FlareSolverr's response".
    """

    http: aiohttp.ClientSession
    url: str
    timeout_seconds: int = 60
    fallback: bool = False
    user_agent: str = "Mozilla/5.0 Suwayomi"
    #: Its cookie store: name -> (value, end in milliseconds or None)
    cookies: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    async def fetch(self, url: str, form: str | None = None) -> tuple[int, str]:
        """Return status and body as a source sees them."""
        status, server, body = await self._direct(url, form)
        if not (status in (403, 503) and server in ("cloudflare", "cloudflare-nginx")):
            return status, body
        answer = await self.resolve(url, form)
        detected = "not detected" not in answer.message.lower()
        usable = 200 <= answer.solution.status <= 299 and answer.solution.response is not None
        if not detected and self.fallback and usable:
            self.user_agent = answer.solution.userAgent
            return answer.solution.status, answer.solution.response or ""
        self._take_over(answer)
        status, _, body = await self._direct(url, form)
        return status, body

    async def resolve(self, url: str, form: str | None = None) -> Answer:
        """Ask the service; null fields are not sent."""
        sent = [
            {"name": name, "value": value}
            for name, (value, _) in self.cookies.items()
            if name not in COOKIE_NAMES
        ]
        command = {
            "cmd": "request.get" if form is None else "request.post",
            "url": url,
            "maxTimeout": self.timeout_seconds * 1000,
            "session": "suwayomi",
            "session_ttl_minutes": 15,
            "cookies": sent,
            "returnOnlyCookies": not self.fallback,
            **({} if form is None else {"postData": form}),
        }
        headers = {"Content-Type": "application/json; charset=utf-8"}
        timeout = aiohttp.ClientTimeout(total=self.timeout_seconds + 10)
        target = self.url.removesuffix("/") + "/v1"
        data = json.dumps(command).encode()
        async with self.http.post(target, data=data, headers=headers, timeout=timeout) as response:
            if not response.ok:
                raise HttpException(response.status)
            answer = Answer.model_validate_json(await response.read())
        self.messages.append(answer.message)
        return answer

    def _take_over(self, answer: Answer) -> None:
        found = answer.solution.cookies
        if not any(cookie.name in COOKIE_NAMES for cookie in found):
            raise CloudflareBypassException
        self.user_agent = answer.solution.userAgent
        for cookie in found:
            has_end = cookie.expires is not None and cookie.expires > 0
            end = int((cookie.expires or 0) * 1000) if has_end else None
            self.cookies[cookie.name] = (cookie.value, end)

    async def _direct(self, url: str, form: str | None) -> tuple[int, str, str]:
        cookies = "; ".join(f"{name}={value}" for name, (value, _) in self.cookies.items())
        headers = {"User-Agent": self.user_agent, **({"Cookie": cookies} if cookies else {})}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        method = "GET" if form is None else "POST"
        data = None if form is None else form.encode()
        async with self.http.request(method, url, data=data, headers=headers) as response:
            return response.status, response.headers.get("Server", ""), await response.text()


@pytest.fixture
async def suwayomi(world: World, http: aiohttp.ClientSession) -> AsyncIterator[Suwayomi]:
    yield Suwayomi(http, world.service)
    # In it the next test's site would be known already; others count the sessions of a shared service.
    command = {"cmd": "sessions.destroy", "session": "suwayomi"}
    async with http.post(f"{world.service}/v1", json=command) as response:
        assert response.status in (200, 500)  # 500: it made none


async def test_challenged_source_is_read(world: World, suwayomi: Suwayomi) -> None:
    status, body = await suwayomi.fetch(world.page("/page/1"))
    assert status == 200
    assert "Page 1" in body
    assert suwayomi.messages == ["Challenge solved!"]
    assert "Firefox/" in suwayomi.user_agent


async def test_source_that_the_session_has_passed_is_read_although_nothing_is_detected(
    world: World, suwayomi: Suwayomi
) -> None:
    await suwayomi.fetch(world.page("/page/1"))
    suwayomi.cookies.clear()
    status, body = await suwayomi.fetch(world.page("/page/2"))
    assert status == 200
    assert "Page 2" in body
    assert suwayomi.messages == ["Challenge solved!", "Challenge not detected!"]


async def test_page_of_the_browser_is_read_where_that_is_set(
    world: World, suwayomi: Suwayomi
) -> None:
    suwayomi.fallback = True
    await suwayomi.fetch(world.page("/page/1"))
    suwayomi.cookies.clear()
    status, body = await suwayomi.fetch(world.page("/page/2"))
    assert status == 200
    assert "Page 2" in body
    assert suwayomi.cookies == {}


async def test_form_is_posted_through_a_challenge(world: World, suwayomi: Suwayomi) -> None:
    status, body = await suwayomi.fetch(world.page("/post/1"), "a=b&c=%20d")
    assert status == 200
    assert '[["a", "b"], ["c", " d"]]' in body


async def test_its_own_cookies_reach_the_page(world: World, suwayomi: Suwayomi) -> None:
    suwayomi.cookies["theme"] = ("dark", None)
    answer = await suwayomi.resolve(world.page("/open/1"))
    assert answer.message == "Challenge not detected!"
    assert ("theme", "dark") in [(c.name, c.value) for c in answer.solution.cookies]


async def test_page_without_a_challenge_gives_no_clearance(
    world: World, suwayomi: Suwayomi
) -> None:
    answer = await suwayomi.resolve(world.page("/open/1"))
    with pytest.raises(CloudflareBypassException):
        suwayomi._take_over(answer)


async def test_failure_is_an_exception(world: World, suwayomi: Suwayomi) -> None:
    suwayomi.timeout_seconds = 1
    with pytest.raises(HttpException, match="500"):
        await suwayomi.fetch(world.page("/never/1"))


async def test_end_of_a_cookie_is_taken_over_in_seconds(
    make: Make, http: aiohttp.ClientSession
) -> None:
    scripted = await make()
    answer = Answer.model_validate(await scripted.answer(DATA | {"solved": "x"}, **GET))
    suwayomi = Suwayomi(http, scripted.v1.url)
    suwayomi._take_over(answer)
    assert suwayomi.cookies == {
        "cf_clearance": ("abc", 1_893_456_000_000),
        "a": ("b\u00fc", None),
    }


async def test_any_solution_fits_its_classes(make: Make) -> None:
    scripted = await make()
    for more in ({}, {"returnOnlyCookies": True}):
        Answer.model_validate(await scripted.answer(DATA, **GET, **more))
        bare = DATA | {"cookies": [], "headers": {}, "user_agent": None}
        Answer.model_validate(await scripted.answer(bare, **GET, **more))
