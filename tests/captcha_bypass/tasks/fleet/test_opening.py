"""What becomes of a service at its start, by the Redis that it finds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from captcha_bypass.errors import StartupError
from captcha_bypass.tasks.fleet import steps
from captcha_bypass.tasks.fleet.opening import Address, connect, opened
from captcha_bypass.tasks.fleet.queue import FleetQueue
from tests.captcha_bypass.tasks.implementations import fleet_queue
from tests.support.redis_server import redis_server

PASSWORD = "redis-passw0rd"


@asynccontextmanager
async def opening(
    url: str, *, timeout: float = 10.0, secrets: tuple[str, ...] = ("derived",)
) -> AsyncIterator[FleetQueue]:
    address = Address(url)
    redis = connect(address)
    queue = fleet_queue(redis)
    async with opened(queue, redis, address, timeout=timeout, secrets=secrets):
        yield queue


async def refused(url: str) -> str:
    with pytest.raises(StartupError) as caught:
        async with opening(url):
            pass
    return str(caught.value)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A Redis with a password, and its local socket."""
    folder = tmp_path_factory.mktemp("redis")
    with redis_server(folder, "--unixsocket", "s", "--appendonly", "yes") as server:
        yield server.url, folder / "s"


@pytest.fixture
async def password(guarded: tuple[str, Path]) -> AsyncIterator[None]:
    redis = connect(Address(f"unix://{guarded[1]}"))
    await redis.config_set("requirepass", PASSWORD)
    yield
    await redis.config_set("requirepass", "")
    await redis.aclose()


@pytest.mark.usefixtures("password")
@pytest.mark.parametrize("login", ["", ":wr0ng-passw0rd@"])
async def test_login_that_is_refused_is_told_without_the_password(
    guarded: tuple[str, Path], login: str
) -> None:
    message = await refused(guarded[0].replace("redis://", f"redis://{login}"))
    assert "refuses this login; see the password in --queue-url" in message
    assert "passw0rd" not in message


@pytest.mark.usefixtures("password")
async def test_login_that_is_right_opens_the_queue(guarded: tuple[str, Path]) -> None:
    url = guarded[0].replace("redis://", f"redis://:{PASSWORD}@")
    async with opening(url) as queue:
        assert queue.homes.seen_at == "127.0.0.1"
        assert queue.homes.secrets == ("derived",)


async def test_local_socket_opens_the_queue_and_shows_no_address(
    guarded: tuple[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    async with opening(f"unix://{guarded[1]}?db=1", secrets=()) as queue:
        assert queue.homes.seen_at is None
        (secret,) = queue.homes.secrets
        assert len(secret) > 20
        await queue.submit("a", {}, 5)
        assert (await queue.stats()).queued == 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_thousands_may_ask_at_once(
    guarded: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which the last of them wait for longer on a busy machine.
    monkeypatch.setattr(steps, "TURN_SECONDS", 60.0)
    async with opening(guarded[0]) as queue:
        answers = await asyncio.gather(*(queue.get(f"t{number}") for number in range(2000)))
        assert answers == [None] * 2000
        clients = await queue._store._redis.info("clients")
        assert clients["connected_clients"] <= 20


async def test_nodes_without_a_secret_agree_on_one(guarded: tuple[str, Path]) -> None:
    prefix = "agree:"
    redis = connect(Address(guarded[0]))
    nodes = [fleet_queue(redis, prefix=prefix, name=name) for name in "ab"]
    await asyncio.gather(*(node.homes.know_each_other(()) for node in nodes))
    assert nodes[0].homes.secrets == nodes[1].homes.secrets
    for node in nodes:
        await node.close()
    await redis.aclose()


@pytest.mark.parametrize("version", ["6.0.16", "5.0.3", "2.8", "0"])
async def test_redis_that_is_too_old_is_refused_with_what_it_takes(
    guarded: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    async def info(self: Redis, section: str) -> dict[str, str]:
        return {"redis_version": version}

    monkeypatch.setattr(Redis, "info", info)
    assert f"is Redis {version}; it takes 6.2" in await refused(guarded[0])


@pytest.mark.parametrize(
    ("url", "shown", "is_local"),
    [
        ("redis://:p@127.0.0.1:6379/0", "redis://127.0.0.1:6379/0", True),
        ("rediss://u:p@redis.example/3", "rediss://redis.example/3", False),
        ("redis://:p@[::1]:6379/0", "redis://[::1]:6379/0", True),
        ("redis://:p@h:1/0?password=p", "redis://h:1/0", False),
        ("unix://:p@/run/redis.sock", "unix:///run/redis.sock", True),
    ],
)
def test_address_is_shown_without_its_login(url: str, shown: str, is_local: bool) -> None:
    assert (Address(url).shown, Address(url).is_local) == (shown, is_local)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "redis://127.0.0.1:99999/0", "127.0.0.1"])
async def test_what_is_no_address_of_a_redis_is_refused_at_once(url: str) -> None:
    assert "--queue-url" in await refused(url)
