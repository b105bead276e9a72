"""Runs tasks without a browser: solves the challenges of a site that accepts any answer."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from captcha_bypass import challenges
from captcha_bypass.wire.results import Solution
from captcha_bypass.wire.task import SessionKey, Task
from tests.support.flaresolverr_service import FakeSessions, Json

USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@dataclass
class _Context:
    """What a browser context keeps."""

    jar: aiohttp.CookieJar = field(default_factory=lambda: aiohttp.CookieJar(unsafe=True))
    born: float = field(default_factory=time.monotonic)


class Browserless:
    """The queue's handler; keeps sessions as the service is to keep them."""

    def __init__(self, sessions: FakeSessions) -> None:
        self._sessions = sessions
        self._contexts: dict[SessionKey, _Context] = {}

    async def __call__(self, task_id: str, payload: Json) -> Json:
        task = Task.model_validate(payload)
        jar = self._context(task).jar
        for cookie in task.cookies:
            jar.update_cookies({cookie.name: cookie.value}, URL(task.url))
        try:
            async with asyncio.timeout(task.timeout):
                data = await self._visit(task, jar)
        except TimeoutError:
            data = {"url": task.url, "timeout_reached": True, "solved": None, "block": None}
        except aiohttp.ClientProxyConnectionError:
            message = "The proxy cannot be reached; check proxy.server."
            return {"error": {"code": "proxy_error", "message": message}}
        except aiohttp.ClientConnectorDNSError:
            message = "The host name cannot be resolved; check the url."
            return {"error": {"code": "dns_error", "message": message}}
        verdict = {key: data.pop(key) for key in ("solved", "block")}
        solution = Solution.model_validate({"elapsed": 0.1, "user_agent": USER_AGENT, **data})
        return {"data": {**solution.model_dump(mode="json"), **verdict}}

    def _context(self, task: Task) -> _Context:
        key = task.session_key
        if key is None:
            return _Context()
        is_new = self._sessions.create(key, None)  # on the fly, if need be
        found = None if is_new else self._contexts.get(key)
        is_old = found is not None and time.monotonic() - found.born > (task.session_ttl or 1e9)
        if found is None or is_old:
            found = self._contexts[key] = _Context()
        return found

    async def _visit(self, task: Task, jar: aiohttp.CookieJar) -> Json:
        proxy = proxy_of(task)
        form = None if task.form is None else task.form.encode()
        headers = {"User-Agent": USER_AGENT}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        method = "GET" if form is None else "POST"
        solved: str | None = None
        async with aiohttp.ClientSession(cookie_jar=jar, headers=headers) as http:
            while True:
                async with http.request(method, task.url, data=form, proxy=proxy) as response:
                    html = await response.text()
                found = challenges.detect(response.status, dict(response.headers), html)
                if found is None or not found.solvable:
                    await asyncio.sleep(task.settle)
                    return {
                        "url": str(response.url),
                        "status_code": response.status,
                        "headers": {k.lower(): v for k, v in response.headers.items()},
                        "html": html,
                        "timeout_reached": False,
                        "cookies": cookies_of(jar),
                        "screenshot": PIXEL if task.screenshot else None,
                        "solved": solved,
                        "block": found and found.vendor,
                    }
                solved = found.vendor
                await self._solve(http, response.url, html, proxy)

    async def _solve(
        self, http: aiohttp.ClientSession, url: URL, html: str, proxy: URL | None
    ) -> None:
        match = re.search(r'<script id="challenge" type="application/json">(.*?)</script>', html)
        if match is None:
            await asyncio.sleep(3600)  # nothing solves this one
            return
        challenge = json.loads(match[1])
        answer = {"id": challenge["id"], "nonces": [0] * challenge["puzzles"]}
        async with http.post(url.with_path("/clearance"), json=answer, proxy=proxy) as response:
            assert response.status == 204


def proxy_of(task: Task) -> URL | None:
    """Return a task's proxy with its login."""
    if task.proxy is None:
        return None
    password = None if task.proxy.password is None else task.proxy.password.get_secret_value()
    return URL(task.proxy.server).with_user(task.proxy.username).with_password(password)


def cookies_of(jar: aiohttp.CookieJar) -> list[dict[str, Any]]:
    """Return a jar's cookies as Playwright does."""
    return [
        {
            "name": morsel.key,
            "value": morsel.value,
            "domain": morsel["domain"] or "127.0.0.1",
            "path": morsel["path"] or "/",
            "expires": time.time() + float(morsel["max-age"]) if morsel["max-age"] else -1,
            "httpOnly": bool(morsel["httponly"]),
            "secure": bool(morsel["secure"]),
            "sameSite": morsel["samesite"] or "Lax",
        }
        for morsel in jar
    ]
