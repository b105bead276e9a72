"""Both clients of the service, driven alike, and a service without a browser for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from captcha_bypass.client import AsyncClient, Client, FetchResult, Health, SolveResult
from captcha_bypass.client.steps import Answer, Call, NoAnswer, Pause
from captcha_bypass.errors import CaptchaBypassError, TaskError
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.wire.fetch import Fetched, FetchRequest


class Caller:
    """A client of either kind; the sync one is called in a thread."""

    def __init__(self, kind: str, url: str, api_key: str | None = None, **options: Any) -> None:  # noqa: ANN401
        make = {"sync": Client, "async": AsyncClient}[kind]
        self.client: Any = make(url, api_key, **options)

    async def _call(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if isinstance(self.client, Client):
            return await asyncio.to_thread(call, *args, **kwargs)
        return await call(*args, **kwargs)

    async def solve(self, url: str, **options: Any) -> SolveResult:  # noqa: ANN401
        result: SolveResult = await self._call(self.client.solve, url, **options)
        return result

    async def fetch(self, url: str, **options: Any) -> FetchResult:  # noqa: ANN401
        result: FetchResult = await self._call(self.client.fetch, url, **options)
        return result

    async def health(self) -> Health:
        result: Health = await self._call(self.client.health)
        return result

    async def check(self) -> None:
        await self._call(self.client.check)

    async def refused(self, result: SolveResult) -> bool:
        found: bool = await self._call(self.client.refused, result)
        return found

    async def in_session(self, name: str, url: str) -> None:
        """Solve and fetch in a session, and leave it."""
        if isinstance(self.client, Client):

            def within() -> None:
                with self.client.session(name) as session:
                    session.solve(url)
                    session.fetch(url)

            await asyncio.to_thread(within)
            return
        async with self.client.session(name) as session:
            await session.solve(url)
            await session.fetch(url)

    async def close(self) -> None:
        await self._call(self.client.close)


@asynccontextmanager
async def calling(kind: str, url: str, api_key: str | None = None) -> AsyncIterator[Caller]:
    caller = Caller(kind, url, api_key)
    try:
        yield caller
    finally:
        await caller.close()


class ScriptedFetches:
    """Answers requests of POST /fetch as a test says, and keeps them."""

    def __init__(self) -> None:
        self.requests: list[FetchRequest] = []
        self.error: CaptchaBypassError | None = None

    def fail(self, code: Any, message: str) -> None:  # noqa: ANN401 - also codes of fetches alone
        self.error = TaskError(code, message)

    async def fetch(self, request: FetchRequest, owner: str) -> Fetched:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        headers = (("Content-Type", "text/plain; charset=latin-1"), ("X-Two", "1"), ("X-Two", "2"))
        body = b"caf\xe9" if request.content is None else request.content
        return Fetched(200, headers, request.url, body, None, "cloudflare", "agent")


class Clock:
    """Time that passes where a client pauses, and nowhere else."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class ScriptedService:
    """Does a client's steps: each call gets the next of the answers, and pauses take no time."""

    def __init__(self, clock: Clock, *answers: Answer | tuple[float, Answer | None] | None) -> None:
        self._clock = clock
        self._answers = list(answers)
        self.calls: list[Call] = []
        self.pauses: list[float] = []

    def __call__(self, step: Call | Pause) -> Answer | None:
        if isinstance(step, Pause):
            self.pauses.append(step.seconds)
            self._clock.now += step.seconds
            return None
        self.calls.append(step)
        found = self._answers.pop(0)
        if isinstance(found, tuple):
            seconds, found = found
            self._clock.now += seconds
        if found is None:
            raise NoAnswer("cut off")
        return found


async def refuse(task_id: str, payload: JsonDict) -> JsonDict:
    """A handler that must not be reached."""
    raise AssertionError("a task was queued")
