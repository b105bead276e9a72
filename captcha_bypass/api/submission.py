"""The one way from a request into the queue."""

from __future__ import annotations

import asyncio
from typing import TypeVar
from uuid import uuid4

from aiohttp import web

from captcha_bypass.config import Config
from captcha_bypass.errors import FieldError, InvalidRequest, SlowBody
from captcha_bypass.tasks.base import TaskQueue
from captcha_bypass.wire.fetch import FetchRequest
from captcha_bypass.wire.models import SolveRequest
from captcha_bypass.wire.task import Task

#: Seconds for a body: 256 KiB at 10 kB a second.
BODY_SECONDS = 30.0


async def read_body(request: web.Request) -> bytes:
    """Return a request's body.

    Raises:
        SlowBody: it does not arrive within BODY_SECONDS.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise SlowBody(f"The body did not arrive within {BODY_SECONDS:g} seconds.") from None


def check_timeout(timeout: float, config: Config) -> None:
    """Refuse a request's timeout that is longer than the settings allow.

    Raises:
        InvalidRequest: it is.
    """
    if timeout > config.max_timeout:
        message = f"must be at most {config.max_timeout:g} seconds (--max-timeout)"
        raise InvalidRequest([FieldError("timeout", message)])


Request = TypeVar("Request", SolveRequest, FetchRequest)


def decided(request: Request, config: Config) -> Request:
    """Return a request with what the settings say where it says nothing."""
    if request.on_challenge is not None or config.on_challenge == "report":
        return request
    return request.model_copy(update={"on_challenge": config.on_challenge})


async def submit(queue: TaskQueue, config: Config, request: SolveRequest, owner: str) -> str:
    """Queue a request as a task and return its id.

    Args:
        owner: Whose it is, see api.access.owner_of.

    Raises:
        InvalidRequest: its timeout is longer than the settings allow.
        QueueFull: see TaskQueue.
        ShuttingDown: likewise.
    """
    check_timeout(request.timeout, config)
    task_id = str(uuid4())
    task = Task.of(request, owner)
    groups = task.groups(config.max_per_host)
    await queue.submit(
        task_id, task.to_payload(), task.timeout, groups, owner=owner, home=task.home
    )
    return task_id
