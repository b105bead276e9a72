"""Talks to the service: one task from POST /solve to its result."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import aiohttp

from captcha_bypass_scrapy.answers import (
    Solution,
    describe,
    is_file,
    is_lost,
    is_view,
    message_of,
    refusal,
    retry_after,
    solution_of,
)
from captcha_bypass_scrapy.connection import Connection
from captcha_bypass_scrapy.errors import CrawlEnding, SolveError, SolverUnavailable
from captcha_bypass_scrapy.progress import DOWN_PAUSE, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds the service gets for an answer it need not think about.
ANSWER_SECONDS = 10.0
#: Seconds that the end of a crawl waits for the service to take a task back.
TAKE_BACK_SECONDS = 2.0
#: Seconds without an answer after which a service that had taken a task counts as down: it may
#: be restarting.
PATIENCE_SECONDS = 15.0


class SolverClient:
    """Has tasks done; `close` ends its session to the service.

    Args:
        url: Where the service is.
        long_poll: Seconds one question for a result lasts.
        slow: Seconds after which a task counts as slow.
        patience: Seconds a queue in which nothing of ours moves is waited for.
        closing: Whether the spider is closing; asked at least every `long_poll` seconds.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        long_poll: float,
        slow: float,
        patience: float,
        closing: Callable[[], bool],
    ) -> None:
        self.connection = Connection(url, api_key, read_seconds=long_poll + ANSWER_SECONDS)
        self._long_poll = long_poll
        self._slow = slow
        self._patience = patience
        self._closing = closing
        #: When a task of ours was last seen to get on.
        self.moved = 0.0

    async def solve(
        self,
        task: dict[str, Any],
        on_slow: Callable[[str], None],
        on_human: Callable[[str], None] = lambda link: None,
    ) -> Solution:
        """Have the task done and return its data, whatever the browser shows in the end.

        Args:
            task: Body of POST /solve.
            on_slow: Called once, with what is being waited for, if it takes long.
            on_human: Called once, with the link to the page, where a person is waited for.

        Raises:
            SolveError: this task did not work out.
            SolverUnavailable: none would.
            CrawlEnding: the spider is closing; the task was deleted.
        """
        progress = Progress(float(task["timeout"]), self._slow, self._patience, on_slow, on_human)
        view = await self._run(task, progress)
        if is_lost(view):
            # The service was restarted and its memory is gone. Once: it might be crashing.
            progress.running_since = None
            view = await self._run(task, progress, PATIENCE_SECONDS)
        if view["status"] == "completed":
            return solution_of(view.get("data"))
        if is_file(view):
            # What the browser had to pass for it is passed, and the crawl can get it itself.
            return {**solution_of(view["data"]), "file": True}
        error = view.get("error") or {"code": view["status"], "message": "the service lost it"}
        raise SolveError(f"{error['code']}: {error['message']}")

    async def refuse(self, clearance_id: str) -> bool | None:
        """Tell that a clearance is not good any more; returns whether that has ended it.

        False: it was over already. None: the service has not heard it.
        """
        body = {"id": clearance_id}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status, answer, _ = await self.connection.call(
                    "POST", "/clearances/refused", json=body
                )
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        return bool(answer.get("ended")) if status == 200 else None

    async def close(self) -> None:
        """Close the session."""
        await self.connection.close()

    async def _run(
        self, task: dict[str, Any], progress: Progress, patience: float = 0
    ) -> dict[str, Any]:
        task_id = await self._submit(task, progress, patience)
        try:
            while True:
                view = await self._view(task_id, progress)
                if view["status"] not in {"pending", "running", "waiting_for_human"}:
                    self.moved = time.monotonic()
                    return view
                if progress.saw(view["status"]):
                    self.moved = time.monotonic()
                progress.tell_human(view.get("link"))
                progress.check(self.moved)
                self._raise_if_closing()
        except (CrawlEnding, SolverUnavailable, asyncio.CancelledError):
            await self._delete(task_id)
            raise

    async def _submit(self, task: dict[str, Any], progress: Progress, patience: float) -> str:
        patient_until = time.monotonic() + patience
        while True:
            self._raise_if_closing()
            try:
                status, answer, headers = await self._post(task)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if time.monotonic() < patient_until:
                    await self._sleep(0.5, progress)
                    continue
                raise SolverUnavailable(
                    f"no answer from the service at {self.connection.shown} ({describe(error)});"
                    " is it running?",
                    DOWN_PAUSE,
                ) from error
            if status == 202 and "task_id" in answer:
                progress.saw("pending")
                return str(answer["task_id"])
            if status != 503:
                raise refusal(status, answer, f"{self.connection.shown}/solve", "task")
            pause = retry_after(headers)
            progress.state = f"a place: {message_of(answer)}"
            if time.monotonic() + pause > progress.started + progress.timeout:
                message = f"the service takes no tasks: {message_of(answer)}"
                raise SolverUnavailable(message, pause, "busy")
            await self._sleep(pause, progress)

    async def _post(self, task: dict[str, Any]) -> tuple[int, dict[str, Any], Any]:
        """Send a task; who is cancelled before its answer came takes it back by that."""
        sending = asyncio.ensure_future(self.connection.call("POST", "/solve", json=task))
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            try:
                async with asyncio.timeout(TAKE_BACK_SECONDS):
                    _, answer, _ = await sending
                    await self._delete(str(answer["task_id"]))
            except (aiohttp.ClientError, TimeoutError, OSError, KeyError):
                pass  # it was not taken, or ends by its own timeout
            raise
        finally:
            sending.cancel()

    async def _view(self, task_id: str, progress: Progress) -> dict[str, Any]:
        """Ask for the result, patiently: the service may be restarting."""
        since, wait = time.monotonic(), self._long_poll
        while True:
            self._raise_if_closing()
            try:
                status, answer, _ = await self.connection.call(
                    "GET", f"/result/{task_id}", params={"wait": f"{wait:g}"}
                )
                if is_view(answer):
                    return answer
                trouble = f"GET /result was answered {status}, {message_of(answer)}"
                if status == 503:
                    wait = 0.0  # it holds as many requests as it can
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                trouble = (
                    f"no answer from the service at {self.connection.shown} ({describe(error)})"
                )
            if time.monotonic() > since + PATIENCE_SECONDS:
                raise SolverUnavailable(trouble, DOWN_PAUSE)
            progress.state = f"the service: {trouble}"
            await self._sleep(0.5, progress)

    async def _delete(self, task_id: str) -> None:
        try:
            async with asyncio.timeout(TAKE_BACK_SECONDS):
                await self.connection.call("DELETE", f"/task/{task_id}")
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass  # it ends by its own timeout then

    async def _sleep(self, seconds: float, progress: Progress) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            progress.check(self.moved)
            self._raise_if_closing()
            await asyncio.sleep(min(left, self._long_poll))

    def _raise_if_closing(self) -> None:
        if self._closing():
            raise CrawlEnding
