"""Commands that are about a page: a task of our queue, which only the command's client waits for."""

from __future__ import annotations

from dataclasses import dataclass

from captcha_bypass.api.flaresolverr.commands import FAILED, Refused
from captcha_bypass.api.submission import submit
from captcha_bypass.concurrency import uninterrupted
from captcha_bypass.config import Config
from captcha_bypass.status import StatusBoard
from captcha_bypass.tasks.base import JsonDict, Record, TaskQueue
from captcha_bypass.wire.task import Task

#: Seconds between two looks at a task; it is only looked at again where it has not ended by then.
LOOK_SECONDS = 30.0
_BLOCKED = (
    "Cloudflare has blocked this request. Probably your IP is banned for this site, "
    "check in your web browser."
)


@dataclass(frozen=True)
class Solves:
    """Runs tasks.

    Args:
        board: Tells how the browsers stand.
    """

    config: Config
    queue: TaskQueue
    board: StatusBoard

    async def outcome(self, task: Task, owner: str) -> JsonDict:
        """Return what the browser has when no challenge is in the way (wire.results.Solution).

        Raises:
            Refused: one is, or there is no page.
            RequestError: the queue does not take the task.
        """
        task_id = await submit(self.queue, self.config, task, owner)
        try:
            record = await self.queue.wait(task_id, LOOK_SECONDS)
            while record is not None and not record.finished:
                record = await self.queue.wait(task_id, LOOK_SECONDS)
        finally:
            # Nobody else knows the id. A client that hangs up cancels this, and so ends its task.
            await uninterrupted(self.queue.remove(task_id))
        timeout = f"{FAILED}Timeout after {task.timeout} seconds."
        if record is not None and record.error is not None:
            reason = FAILED + record.error["message"]
            raise Refused(timeout if await self._was_late(record) else reason, record.data)
        if record is None or record.data is None:
            raise Refused(FAILED + "The result was dropped; raise --max-results-bytes.")
        data = record.data
        if data["block"] is not None:
            raise Refused(FAILED + _BLOCKED)
        nothing = data["status_code"] is None and not data["html"]
        if data["timeout_reached"] or data["challenge"] is not None or nothing:
            raise Refused(timeout)
        return data

    async def _was_late(self, record: Record) -> bool:
        """Whether a task had no page in time although there are browsers: FlareSolverr has words."""
        readiness = (await self.board.now()).readiness
        there_are = not readiness.starting and readiness.unavailable is None
        return there_are and (record.error or {}).get("code") == "browser_unavailable"
