"""The one way from an API into the queue."""

from __future__ import annotations

from uuid import uuid4

from captcha_bypass.config import Config
from captcha_bypass.errors import FieldError, InvalidRequest
from captcha_bypass.models import SolveRequest, Task
from captcha_bypass.tasks.base import TaskQueue


async def submit(queue: TaskQueue, config: Config, request: SolveRequest, owner: str) -> str:
    """Queue a request as a task and return its id.

    Args:
        owner: Whose it is, see api.access.owner_of.

    Raises:
        InvalidRequest: its timeout is longer than the settings allow.
        QueueFull: see TaskQueue.
        ShuttingDown: likewise.
    """
    if request.timeout > config.max_timeout:
        message = f"must be at most {config.max_timeout:g} seconds (--max-timeout)"
        raise InvalidRequest([FieldError("timeout", message)])
    task_id = str(uuid4())
    task = Task.of(request, owner)
    groups = task.groups(config.max_per_host)
    await queue.submit(task_id, task.to_payload(), task.timeout, groups, owner=owner)
    return task_id
