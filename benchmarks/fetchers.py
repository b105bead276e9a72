"""Who is measured where a site is cleared already: each hands back one more page of it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp

from benchmarks.adapters import SOLVE_SECONDS, Json, Solve, Solved, flaresolverr_session, judged
from demo.challenge_pages import SUCCESS_TEXT

#: Sessions of a contestant that takes one page at a time in each: as many as the service has workers,
#: and as two cores have any use for.
SESSIONS = 4


def by_fetch(http: aiohttp.ClientSession, base: str) -> Solve:
    """Ask by `POST /fetch`, in the session that the service keeps for the site."""

    async def solve(url: str) -> Solved:
        asked = {"url": url, "timeout": SOLVE_SECONDS}
        async with http.post(f"{base}/fetch", json=asked) as response:
            answer: Json = await response.json()
        if response.status != 200 or answer["status"] != 200:
            return Solved(error=str(answer)[:500])
        return judged(base64.b64decode(answer["body"]).decode(), elapsed=answer["elapsed"])

    return solve


def by_page(http: aiohttp.ClientSession, base: str) -> Solve:
    """Ask as the Scrapy middleware's mode `html` does: each page is opened, in a session."""

    async def solve(url: str, name: str) -> Solved:
        task = {"url": url, "no_challenge": True, "timeout": SOLVE_SECONDS, "session": name}
        view = await _solved(http, base, task)
        if view["status"] != "completed":
            return Solved(error=str(view["error"] or view["status"]))
        return judged(view["data"]["html"], elapsed=view["data"]["elapsed"])

    return _in_sessions(solve)


async def _solved(http: aiohttp.ClientSession, base: str, task: Json) -> Json:
    """Have a task done, and return how it ended."""
    async with http.post(f"{base}/solve", json=task) as response:
        task_id = (await response.json())["task_id"]
    while True:
        async with http.get(f"{base}/result/{task_id}", params={"wait": 30}) as response:
            view: Json = await response.json()
        if view["status"] not in ("pending", "running"):
            return view


def by_flaresolverr(http: aiohttp.ClientSession, base: str) -> Solve:
    """Ask FlareSolverr, or who has its API, with sessions: its fastest way."""
    solve = flaresolverr_session(http, base)

    async def in_session(url: str, _: str) -> Solved:
        return await solve(url)

    return _in_sessions(in_session)


def _in_sessions(solve: Callable[[str, str], Awaitable[Solved]]) -> Solve:
    """Let requests wait for one of SESSIONS sessions, each of which has one at a time."""
    free = [f"benchmark-{number}" for number in range(SESSIONS)]
    turns = asyncio.Semaphore(SESSIONS)

    async def in_turn(url: str) -> Solved:
        async with turns:
            name = free.pop()
            try:
                return await solve(url, name)
            finally:
                free.append(name)

    return in_turn


@asynccontextmanager
async def bare_client(
    http: aiohttp.ClientSession, base: str, page: str
) -> AsyncIterator[Callable[[str], Awaitable[Solved]]]:
    """Ask with nothing but aiohttp and the cookies of one solve: the limit.

    Args:
        base: Of the service, which solves `page`.
    """
    task = {"url": page, "success_text": SUCCESS_TEXT, "timeout": SOLVE_SECONDS}
    data = (await _solved(http, base, task))["data"]
    cookies = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in data["cookies"])
    headers = {"User-Agent": data["user_agent"], "Cookie": cookies}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as plain:

        async def solve(url: str) -> Solved:
            async with plain.get(url) as answer:
                return judged(await answer.text())

        yield solve
