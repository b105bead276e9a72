"""One call is one step of the script in `lua/`, and one round trip; tried again where Redis was away for a moment."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from captcha_bypass.concurrency import Background
from captcha_bypass.errors import QueueUnavailable
from captcha_bypass.tasks.fleet.seal import Seal

logger = logging.getLogger(__name__)

#: The files in `lua/` that make up the script: each uses what those before it define, the last runs a step.
PARTS = (
    "keys",
    "groups",
    "pending",
    "results",
    "tasks",
    "homes",
    "runs",
    "nodes",
    "clearances",
    "queue",
)
#: Of all keys; a fleet takes a database of its own where several share a Redis.
PREFIX = "captcha-bypass:"
#: Seconds that a client's request is tried again while Redis cannot be reached, and between two tries.
RETRY_SECONDS, RETRY_EVERY = 1.0, 0.2
#: Steps under way at once, each on a connection of its own: Redis does one after the other anyway. More wait,
#: for so many seconds at most.
MOST_STEPS, TURN_SECONDS = 16, 5.0
#: Seconds without a word, after which Redis is asked for one.
SILENCE_SECONDS = 4.0
_LOST = (RedisConnectionError, RedisTimeoutError, OSError)


def script() -> str:
    """Return what runs in Redis."""
    folder = files("captcha_bypass.tasks.fleet").joinpath("lua")
    return "\n".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in PARTS)


class Steps:
    """The way to Redis.

    Args:
        redis: With `decode_responses` off, and a `socket_timeout`. Closed by whoever opened it.
        prefix: Of all keys.
        home_ttl: Seconds that a home is kept without a task or claim.
    """

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        *,
        result_ttl: float,
        max_results_bytes: int,
        home_ttl: float,
        seal: Seal,
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._ttl = round(result_ttl * 1000)
        self._most = max_results_bytes
        self._home_seconds = home_ttl
        self._seal = seal
        self._script = redis.register_script(script())
        self._calls = Background()
        self._turns = asyncio.Semaphore(MOST_STEPS)

    async def close(self) -> None:
        """End the calls that nobody waits for any more."""
        await self._calls.close()

    async def _step(self, step: str, *arguments: str | bytes | float) -> Any:  # noqa: ANN401 - by step
        """Run one step.

        Raises:
            QueueUnavailable: Redis cannot be reached, or does not do what it is asked for.
        """
        call = self._calls.start(self._run(step, arguments))
        try:
            # In a task of its own: redis-py may swallow a cancel that comes while it sends.
            return await asyncio.shield(call)
        except _LOST as error:
            raise QueueUnavailable(
                f"The queue cannot be reached: {type(error).__name__}."
            ) from error
        except RedisError as error:
            # Out of memory, read-only, still loading: its words may have what was sent in them.
            logger.error("redis refuses %s: %s", step, str(error).split(" ", 1)[0])
            raise QueueUnavailable("The queue takes nothing now; see the log.") from error

    async def _run(self, step: str, arguments: tuple[str | bytes | float, ...]) -> Any:  # noqa: ANN401 - by step
        async with asyncio.timeout(TURN_SECONDS):
            await self._turns.acquire()
        try:
            return await self._script(args=[self._prefix, step, *arguments])
        finally:
            self._turns.release()

    async def _persistent(self, step: str, *arguments: str | bytes | float) -> Any:  # noqa: ANN401 - by step
        """Run a step that may be repeated; for a client, who waits for it."""
        clock = asyncio.get_running_loop().time
        until = clock() + RETRY_SECONDS
        while True:
            try:
                return await self._step(step, *arguments)
            except QueueUnavailable:
                if clock() >= until:
                    raise
                await asyncio.sleep(RETRY_EVERY)

    async def secret(self) -> str:
        """Return what the nodes of this fleet know each other by; the first of them makes it."""
        name, fresh = f"{self._prefix}secret", secrets.token_urlsafe()
        try:
            await self._redis.set(name, fresh, nx=True)
            found = await self._redis.get(name)
        except _LOST as error:
            raise QueueUnavailable(
                f"The queue cannot be reached: {type(error).__name__}."
            ) from error
        return found.decode() if isinstance(found, bytes) else fresh

    async def events(self) -> AsyncIterator[tuple[str, str]]:
        """Yield what happens: `pending`; `ended` and `cancel` with a task's id; `end` and `left` with a home.

        The first is `pending`, once nothing will be missed any more.

        Raises:
            QueueUnavailable: Redis cannot be reached.
        """
        try:
            async with self._redis.pubsub() as subscriber:
                await subscriber.subscribe(f"{self._prefix}events")
                was_silent = False
                while True:
                    message = await subscriber.get_message(timeout=SILENCE_SECONDS)
                    if message is None and was_silent:
                        raise QueueUnavailable("The queue cannot be reached: it does not answer.")
                    was_silent = message is None
                    if was_silent:
                        await subscriber.ping()
                    elif message["type"] == "subscribe":
                        yield "pending", ""
                    elif message["type"] == "message":
                        kind, _, task_id = message["data"].decode().partition(" ")
                        yield kind, task_id
        except _LOST as error:
            raise QueueUnavailable(
                f"The queue cannot be reached: {type(error).__name__}."
            ) from error
