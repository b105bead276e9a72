"""How a page is asked for: one adapter for each API that a service may speak."""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from demo.challenge_pages import SUCCESS_TEXT

#: Seconds a contestant may take for one solve; more counts as failed.
SOLVE_SECONDS = 60

Json = dict[str, Any]


@dataclass(frozen=True)
class Solved:
    """How one solve ended; `error` is None if the page with the success text came back."""

    error: str | None = None
    task_id: str | None = None
    """Set where the contestant gives tasks an id, with `elapsed`: its own idea of the time."""
    elapsed: float | None = None


Solve = Callable[[str], Awaitable[Solved]]


def judged(html: object, **more: Any) -> Solved:  # noqa: ANN401 - fields of Solved
    """Return a solve whose page is `html`: it failed if the success text is not in there."""
    through = isinstance(html, str) and SUCCESS_TEXT in html
    return Solved(error=None if through else "the success text is not in the page", **more)


def native(session: aiohttp.ClientSession, base: str) -> Solve:
    """Solve through our own API: submit, then hold the result's long-poll."""

    async def solve(url: str) -> Solved:
        task = {"url": url, "success_text": SUCCESS_TEXT, "timeout": SOLVE_SECONDS}
        async with session.post(f"{base}/solve", json=task) as response:
            answer: Json = await response.json()
        if "task_id" not in answer:
            return Solved(error=json.dumps(answer))
        task_id = answer["task_id"]
        while True:
            async with session.get(f"{base}/result/{task_id}", params={"wait": 30}) as response:
                view: Json = await response.json()
            if view["status"] not in ("pending", "running"):
                break
        if view["status"] != "completed":
            return Solved(error=json.dumps(view["error"] or view["status"]))
        return judged(view["data"]["html"], task_id=task_id, elapsed=view["data"]["elapsed"])

    return solve


def flaresolverr(session: aiohttp.ClientSession, base: str) -> Solve:
    """Solve through FlareSolverr's API, for it and those that took it over."""

    async def solve(url: str) -> Solved:
        return await _get(session, base, url)

    return solve


def flaresolverr_session(session: aiohttp.ClientSession, base: str) -> Solve:
    """The same with a session, which is a browser that stays: one for each solve at once."""
    names = itertools.count(1)
    free: list[str] = []

    async def solve(url: str) -> Solved:
        name = free.pop() if free else f"benchmark-{next(names)}"
        try:
            return await _get(session, base, url, session=name)
        finally:
            free.append(name)

    return solve


async def _get(http: aiohttp.ClientSession, base: str, url: str, **more: str) -> Solved:
    order = {"cmd": "request.get", "url": url, "maxTimeout": SOLVE_SECONDS * 1000, **more}
    async with http.post(f"{base}/v1", json=order) as response:
        answer: Json = await response.json()
    if answer.get("status") != "ok":
        return Solved(error=json.dumps(answer)[:500])
    return judged(answer["solution"]["response"])


ADAPTERS: dict[str, Callable[[aiohttp.ClientSession, str], Solve]] = {
    "native": native,
    "flaresolverr": flaresolverr,
    "flaresolverr-session": flaresolverr_session,
}
