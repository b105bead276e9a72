"""The one way from an API into the queue."""

from __future__ import annotations

from urllib.parse import urlsplit
from uuid import uuid4

from captcha_bypass.config import Config
from captcha_bypass.errors import FieldError, InvalidRequest
from captcha_bypass.models import SolveRequest
from captcha_bypass.tasks.base import TaskQueue


async def submit(queue: TaskQueue, config: Config, task: SolveRequest) -> str:
    """Queue a task and return its id.

    Raises:
        InvalidRequest: its timeout is longer than the settings allow.
        QueueFull: see TaskQueue.
        ShuttingDown: likewise.
    """
    if task.timeout > config.max_timeout:
        message = f"must be at most {config.max_timeout:g} seconds (--max-timeout)"
        raise InvalidRequest([FieldError("timeout", message)])
    task_id = str(uuid4())
    # The host as a group, whatever the scheme and port: politeness is owed to machines.
    host = (urlsplit(task.url).hostname or "").removesuffix(".")
    await queue.submit(task_id, task.to_payload(), task.timeout, group=host)
    return task_id
