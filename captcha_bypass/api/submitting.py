"""The one way from an API into the queue."""

from __future__ import annotations

from urllib.parse import urlsplit
from uuid import uuid4

from captcha_bypass.config import Config
from captcha_bypass.errors import FieldError, InvalidRequest
from captcha_bypass.models import SolveRequest
from captcha_bypass.tasks.base import TaskQueue


async def submit(queue: TaskQueue, config: Config, task: SolveRequest, owner: str) -> str:
    """Queue a task and return its id.

    Args:
        owner: Whose it is, see api.access.owner_of.

    Raises:
        InvalidRequest: its timeout is longer than the settings allow.
        QueueFull: see TaskQueue.
        ShuttingDown: likewise.
    """
    if task.timeout > config.max_timeout:
        message = f"must be at most {config.max_timeout:g} seconds (--max-timeout)"
        raise InvalidRequest([FieldError("timeout", message)])
    task_id = str(uuid4())
    payload = task.to_payload() | ({"owner": owner} if owner else {})
    bounds = _bounds(task, config, owner)
    await queue.submit(task_id, payload, task.timeout, bounds, owner=owner)
    return task_id


def _bounds(task: SolveRequest, config: Config, owner: str) -> dict[str, int]:
    """Return the queue's groups for a task: its host, and its session, which takes one at a time."""
    bounds = {}
    if config.max_per_host:
        # Whatever the scheme and port: politeness is owed to machines.
        host = (urlsplit(task.url).hostname or "").removesuffix(".")
        bounds[f"host:{host}"] = config.max_per_host
    if task.session is not None:
        bounds[f"session:{owner}:{task.session}"] = 1
    return bounds
