"""The demo's solve: a page by POST /solve, and what a plain client gets of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from demo.programs import DemoError, say

SUCCESS_TEXT = "Welcome, you are through"
SOLVE_TIMEOUT = 60.0
#: Seconds that a person may take: the service's --human-timeout.
HUMAN_TIMEOUT = 600.0


@dataclass(frozen=True)
class Clearance:
    """What the service hands back for a solved page: all that a plain client needs."""

    url: URL
    user_agent: str
    cookies: tuple[tuple[str, str], ...]

    def headers(self, *, with_cookies: bool) -> dict[str, str]:
        """Return the headers of a plain request, as the browser would identify itself."""
        headers = {"User-Agent": self.user_agent}
        if with_cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies)
        return headers


async def solve(
    session: aiohttp.ClientSession, service: URL, page: URL, *, human: bool = False
) -> Clearance:
    """Have the service open the page and wait until it is through; shows the result.

    Args:
        human: Whether a person is waited for where the challenge needs one.
    """
    request = {"url": str(page), "success_text": SUCCESS_TEXT, "timeout": SOLVE_TIMEOUT}
    if human:
        request["on_challenge"] = "wait"
    say(f"\n==> POST /solve {json.dumps(request)}")
    started = time.monotonic()
    data = await solved(session, service, request)
    _show(data, time.monotonic() - started)
    return clearance_of(data)


async def solved(
    session: aiohttp.ClientSession, service: URL, request: dict[str, Any]
) -> dict[str, Any]:
    """Have the service do a request of POST /solve, and return the data of its result."""
    async with session.post(service / "solve", json=request) as answer:
        if answer.status != 202:
            raise DemoError(f"POST /solve was answered {answer.status}: {await answer.text()}")
        task_id = (await answer.json())["task_id"]
    data = await _result(session, service / "result" / task_id)
    if data["timeout_reached"] or data["status_code"] != 200 or SUCCESS_TEXT not in data["html"]:
        raise DemoError("the page that came back is not the one behind the challenge")
    return data


def clearance_of(data: dict[str, Any]) -> Clearance:
    """Return what a plain client needs of a result."""
    cookies = tuple((cookie["name"], cookie["value"]) for cookie in data["cookies"])
    return Clearance(URL(data["url"]), data["user_agent"], cookies)


async def _result(session: aiohttp.ClientSession, url: URL) -> dict[str, Any]:
    deadline = time.monotonic() + SOLVE_TIMEOUT + 30
    told = False
    while time.monotonic() < deadline:
        async with session.get(url, params={"wait": "2"}) as answer:
            body: dict[str, Any] = await answer.json()
        if body["status"] == "waiting_for_human":
            if not told:
                say(
                    f"\n    A person is needed. Open this page, and click the red dot:\n\n    {body['link']}\n"
                )
                told, deadline = True, deadline + HUMAN_TIMEOUT
            continue
        if body["status"] == "completed":
            data: dict[str, Any] = body["data"]
            return data
        if body["status"] not in ("pending", "running"):
            raise DemoError(f"the task ended as {body['status']}: {body['error']}")
    raise DemoError("the task did not end in time")


def _show(data: dict[str, Any], seconds: float) -> None:
    say(f"    status      {data['status_code']}, timeout reached: {data['timeout_reached']}")
    say(f"    page        {data['url']}, {len(data['html'])} characters")
    say(f"    cookies     {', '.join(cookie['name'] for cookie in data['cookies']) or 'none'}")
    say(f"    user-agent  {data['user_agent']}")
    say(f"    time        {seconds:.1f} s")
