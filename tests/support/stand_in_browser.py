"""What stands for the service's browsers: it passes the challenge site's challenges by plain HTTP.

It sends its headers in another order than requests and httpx do, so a site can tell it from them.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from captcha_bypass.errors import CaptchaBypassError, TaskError
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.wire.fetch import Fetched, FetchRequest
from tests.support.native_tasks import SOLUTION

USER_AGENT = "StandIn/1.0"
_CHALLENGE = re.compile(r'<script id="challenge" type="application/json">(.+?)</script>')


class StandInBrowser:
    """The handler of a queue's tasks, and what sends requests of POST /fetch.

    Attributes:
        solves: URLs of the tasks that it had, in order.
        fetches: Its requests of POST /fetch.
        stuck: Whether it passes no challenge.
        error: What its tasks end with, and `fetch_error` its requests.
        go_on: What solves wait for; set, but for tests that count who waits.
    """

    def __init__(self) -> None:
        self.solves: list[str] = []
        self.tasks: list[JsonDict] = []
        self.fetches: list[FetchRequest] = []
        self.stuck = False
        self.cancelled = 0
        self.error: JsonDict | None = None
        self.fetch_error: CaptchaBypassError | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()
        self._sessions: dict[tuple[str | None, str], aiohttp.ClientSession] = {}

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()

    async def __call__(self, task_id: str, payload: JsonDict) -> JsonDict:
        """Run a task, as a worker does."""
        self.solves.append(payload["url"])
        self.tasks.append(payload)
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            return {"error": self.error}
        async with _session(payload.get("proxy")) as session:
            _set(session, payload["url"], payload.get("cookies", []))
            solved, status, html = await self._open(session, payload["url"])
            cookies = [_cookie(morsel) for morsel in session.cookie_jar]
        data = {
            **SOLUTION,
            "cookies": cookies,
            "html": html,
            "url": payload["url"],
            "status_code": status,
            "user_agent": USER_AGENT,
            "solved": solved,
        }
        if self.stuck:
            data |= {"timeout_reached": True, "challenge": "cloudflare", "solved": None}
        return {"data": data}

    async def fetch(self, request: FetchRequest, owner: str) -> Fetched:
        """Send a request, as `fetching` does."""
        self.fetches.append(request)
        if self.fetch_error is not None:
            raise self.fetch_error
        session, solved = self._site_session(request), None
        _set(session, request.url, [cookie.model_dump() for cookie in request.cookies])
        for _ in range(2):
            async with session.request(
                request.method,
                URL(request.url, encoded=True),
                headers=request.headers,
                data=request.content,
                allow_redirects=False,
            ) as response:
                body = await response.read()
                if response.headers.get("cf-mitigated") is None:
                    return _fetched(request, response, body, solved)
            if not self.stuck:
                solved, _, _ = await self._open(session, request.url)
        code: Any = "challenge_not_passed"
        raise TaskError(code, "A challenge of cloudflare was not passed.")

    def _site_session(self, request: FetchRequest) -> aiohttp.ClientSession:
        parts = urlsplit(request.url)
        key = (request.jar, parts.netloc)
        if key not in self._sessions:
            self._sessions[key] = _session(None)
            _set(self._sessions[key], request.url, [c.model_dump() for c in request.first_cookies])
        return self._sessions[key]

    async def _open(self, session: aiohttp.ClientSession, url: str) -> tuple[str | None, int, str]:
        async with session.get(url) as response:
            html = await response.text(errors="replace")
            found = _CHALLENGE.search(html)
            if found is None or self.stuck:
                return None, response.status, html
        challenge = json.loads(found[1])
        answer = {"id": challenge["id"], "nonces": [0] * challenge["puzzles"]}
        async with session.post(URL(url).with_path("/clearance"), json=answer) as response:
            assert response.status == 204, "the site must ask for no work"
        async with session.get(url) as response:
            return "cloudflare", response.status, await response.text(errors="replace")


def _session(proxy: JsonDict | None) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        headers={"User-Agent": USER_AGENT},
        cookie_jar=aiohttp.CookieJar(unsafe=True),
        proxy=None if proxy is None else proxy["server"],
        auto_decompress=False,
    )


def _set(session: aiohttp.ClientSession, url: str, cookies: list[JsonDict]) -> None:
    session.cookie_jar.update_cookies({c["name"]: c["value"] for c in cookies}, URL(url))


def _cookie(morsel: Any) -> JsonDict:  # noqa: ANN401 - http.cookies' own
    return {
        "name": morsel.key,
        "value": morsel.value,
        "domain": morsel["domain"] or "127.0.0.1",
        "path": morsel["path"] or "/",
        "expires": -1,
        "httpOnly": bool(morsel["httponly"]),
        "secure": bool(morsel["secure"]),
        "sameSite": morsel["samesite"] or "Lax",
    }


def _fetched(
    request: FetchRequest, response: aiohttp.ClientResponse, body: bytes, solved: str | None
) -> Fetched:
    headers = tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in response.raw_headers)
    return Fetched(response.status, headers, request.url, body, None, solved, USER_AGENT)
