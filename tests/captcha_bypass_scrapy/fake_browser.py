"""What stands for the service's browser in POST /fetch: it passes the challenge of a `FakeSite`."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from tests.support.service import eventually

BROWSER = "FakeFirefox/1.0"
Json = dict[str, Any]
#: What a browser that is stuck tells.
WIDGET = {"code": "captcha_widget", "message": "It waits for a person.", "value": None}


class FakeBrowser:
    """Sends requests, each in the session of its site and jar.

    Attributes:
        asked: Bodies of POST /fetch, in order.
        solves: URLs at which a challenge was passed.
        seconds: How long a solve takes.
        ready: What a solve waits for before.
        stuck: Whether it passes no challenge.
        most: How many requests there were at once.
        addresses: The addresses that sites see of proxies.
    """

    def __init__(self, cookie: str, grant: Callable[[str], str]) -> None:
        self.addresses: dict[str, str] = {}
        self._cookie = cookie
        self._grant = grant
        self.asked: list[Json] = []
        self.solves: list[str] = []
        self.seconds = 0.1
        self.ready: Callable[[], bool] = lambda: True
        self.stuck = False
        self.now = self.most = 0
        self._sessions: dict[tuple[str, str, str], aiohttp.ClientSession] = {}
        self._locks: dict[aiohttp.ClientSession, asyncio.Lock] = {}

    @property
    def sessions(self) -> int:
        """How many sessions there are."""
        return len(self._sessions)

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def fetch(self, asked: Json) -> tuple[int, Json]:
        """Return status and body of the answer to POST /fetch."""
        self.asked.append(asked)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            async with asyncio.timeout(asked["timeout"]):
                return await self._answer(asked)
        except TimeoutError:
            return 504, error("timeout", "There was no answer in time.")
        except aiohttp.ClientConnectorError:
            return 502, error("connection_refused", "The site refused the connection.")
        finally:
            self.now -= 1

    async def _answer(self, asked: Json) -> tuple[int, Json]:
        session, solved = self._session(asked), None
        proxy = (asked.get("proxy") or {}).get("server")
        for _ in range(3):
            headers = {**asked.get("headers", {}), "User-Agent": BROWSER, "X-Is-Browser": "yes"}
            body = base64.b64decode(asked.get("body_base64", ""))
            async with session.request(
                asked["method"],
                URL(asked["url"], encoded=True),
                headers=headers,
                data=body or None,
                allow_redirects=False,
                proxy=proxy,
                skip_auto_headers=("Content-Type",) if body else (),
            ) as response:
                content = await response.read()
                if response.headers.get("cf-mitigated") != "challenge":
                    return 200, _told(response, content, solved)
            if self.stuck:
                break
            solved = "cloudflare"
            await self._solve(session, asked["url"], proxy or "")
        failed = error("challenge_not_passed", "The challenge of cloudflare was not passed.")
        failed["error"] |= {"challenge": "cloudflare", "challenge_kind": "automatic"}
        failed["error"] |= {"unmet": ["no_challenge"], "hints": [WIDGET]}
        return 502, failed

    async def _solve(self, session: aiohttp.ClientSession, url: str, proxy: str) -> None:
        lock = self._locks.setdefault(session, asyncio.Lock())
        flying = lock.locked()
        async with lock:
            if flying:
                return
            assert await eventually(self.ready, 30)
            await asyncio.sleep(self.seconds)
            self.solves.append(url)
            _set(session, url, self._cookie, self._grant(self.addresses.get(proxy, "127.0.0.1")))

    def _session(self, asked: Json) -> aiohttp.ClientSession:
        parts = urlsplit(asked["url"])
        key = (
            asked.get("jar", ""),
            f"{parts.scheme}://{parts.netloc}",
            str(asked.get("proxy")),
        )
        begins = key not in self._sessions
        if begins:
            jar = aiohttp.CookieJar(unsafe=True)
            self._sessions[key] = aiohttp.ClientSession(cookie_jar=jar)
        session = self._sessions[key]
        given = asked.get("cookies", [])
        for cookie in [*asked.get("first_cookies", []), *given] if begins else given:
            _set(session, asked["url"], cookie["name"], cookie["value"])
        return session


def _set(session: aiohttp.ClientSession, url: str, name: str, value: str) -> None:
    cookie: SimpleCookie = SimpleCookie()
    cookie[name] = value
    cookie[name]["path"] = "/"
    session.cookie_jar.update_cookies(cookie, URL(url))


def error(code: str, message: str) -> Json:
    return {"error": {"code": code, "message": message}}


def _told(response: aiohttp.ClientResponse, content: bytes, solved: str | None) -> Json:
    return {
        "status": response.status,
        "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in response.raw_headers],
        "url": str(response.url),
        "body": base64.b64encode(content).decode(),
        "decoded": response.headers.get("Content-Encoding") if content else None,
        "solved": solved,
        "user_agent": BROWSER,
        "elapsed": 0.01,
    }
