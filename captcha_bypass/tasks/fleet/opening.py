"""From the settings to a queue in Redis: reached, found fit, and left in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError

from captcha_bypass.errors import StartupError
from captcha_bypass.tasks.fleet.queue import FleetQueue

logger = logging.getLogger(__name__)

#: Seconds until a connection stands, and until an answer comes, before Redis counts as away.
CONNECT_SECONDS, ANSWER_SECONDS = 2.0, 5.0
#: Seconds after which an idle connection is tried before it is used.
CHECK_SECONDS = 15
#: The first that has what the steps use (ZPOPMIN in scripts, and the time in them), and is maintained.
OLDEST = (6, 2)
#: Seconds between two tries at the start.
TRY_EVERY = 0.5
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Address:
    """Where a Redis is.

    Attributes:
        url: Secret: with its password.
    """

    url: str

    @property
    def shown(self) -> str:
        """It, as logs and errors may have it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def is_sentinel(self) -> bool:
        """Whether it names the sentinels, who know where Redis is."""
        return urlsplit(self.url).scheme.endswith("+sentinel")

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return urlsplit(self.url).scheme == "unix" or urlsplit(self.url).hostname in _LOCAL


def connect(address: Address) -> Redis:
    """Return a client; nothing is opened before it is used.

    Raises:
        StartupError: it is no address.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "health_check_interval": CHECK_SECONDS,
        "retry": Retry(NoBackoff(), 0),  # what may be repeated, the store repeats
    }
    try:
        if address.is_sentinel:
            return _behind_sentinels(address, options)
        return Redis.from_url(address.url, **options)
    except ValueError as error:
        raise StartupError(f"--queue-url: {error}") from None


def _behind_sentinels(address: Address, options: dict[str, Any]) -> Redis:
    """Return a client of `redis+sentinel://[:PASSWORD@]HOST:PORT,HOST:PORT/DATABASE?service=NAME`.

    Raises:
        ValueError: that is not what it is.
    """
    parts = urlsplit(address.url)
    login, _, hosts = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    found = [host.rpartition(":") for host in hosts.split(",")]
    sentinels = [(host, int(port)) for host, _, port in found]
    told = {"socket_timeout": CONNECT_SECONDS}
    sentinel = Sentinel(sentinels, sentinel_kwargs=told)  # type: ignore[no-untyped-call]
    redis: Redis = sentinel.master_for(
        parse_qs(parts.query).get("service", ["mymaster"])[0],
        username=unquote(username) or None,
        password=unquote(password) or None,
        db=int(parts.path.strip("/") or 0),
        ssl=parts.scheme.startswith("rediss"),
        **options,
    )
    return redis


async def disconnect(redis: Redis) -> None:
    """Close a client, and those by which it asks sentinels."""
    await redis.aclose()
    if isinstance(redis.connection_pool, SentinelConnectionPool):
        for sentinel in redis.connection_pool.sentinel_manager.sentinels:
            await sentinel.aclose()


@asynccontextmanager
async def opened(
    queue: FleetQueue, redis: Redis, address: Address, *, timeout: float, secrets: tuple[str, ...]
) -> AsyncIterator[None]:
    """Have the queue until the block is left.

    Args:
        timeout: Seconds until Redis has to answer.
        secrets: What nodes know each other by; none: nothing is encrypted, and it is kept in Redis, too.

    Raises:
        StartupError: it does not answer, or is not fit.
    """
    try:
        await _reach(redis, address, timeout)
        await _check(redis, address)
        await queue.homes.know_each_other(secrets)
        queue.homes.seen_at = await _seen_at(redis)
        if not secrets and not address.is_local:
            logger.warning(
                "NOT ENCRYPTED: tasks and results, with proxy passwords and cookies, are readable "
                "in the Redis at %s; set --queue-secret on all nodes",
                address.shown,
            )
        try:
            yield
        finally:
            await queue.close()
    finally:
        await disconnect(redis)


async def _reach(redis: Redis, address: Address, timeout: float) -> None:
    until = asyncio.get_running_loop().time() + timeout
    while True:
        try:
            await redis.ping()
        except AuthenticationError as error:
            message = f"the queue at {address.shown} refuses this login"
            raise StartupError(f"{message}; see the password in --queue-url") from error
        except (RedisError, OSError) as error:
            if asyncio.get_running_loop().time() >= until:
                reason = f"did not answer within {timeout:g} s ({type(error).__name__})"
                raise StartupError(f"the queue at {address.shown} {reason}") from error
            await asyncio.sleep(TRY_EVERY)
        else:
            return


async def _seen_at(redis: Redis) -> str | None:
    """Return the address of this machine as Redis sees it; None: it does not say."""
    try:
        seen = str((await redis.client_info()).get("addr", ""))
        return str(ip_address(seen.rpartition(":")[0].strip("[]")))
    except (RedisError, ValueError):  # older than 6.2, not allowed, or a local socket
        return None


async def _check(redis: Redis, address: Address) -> None:
    """Refuse what is too old, and tell what would lose tasks."""
    about = await redis.info("server")
    version = str(about.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise StartupError(f"the queue at {address.shown} is Redis {version}; it takes {wanted}")
    memory, kept = await redis.info("memory"), await redis.info("persistence")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and memory.get("maxmemory"):
        logger.warning(
            "LOSES TASKS: the Redis at %s evicts keys when its memory is full (%s); "
            "set maxmemory-policy noeviction",
            address.shown,
            policy,
        )
    if not int(kept.get("aof_enabled", 0)):
        logger.warning(
            "the Redis at %s forgets tasks and results when it restarts; set appendonly yes",
            address.shown,
        )
