"""A queue whose Redis is found by asking sentinels."""

from __future__ import annotations

from pathlib import Path

import pytest

from captcha_bypass.errors import StartupError
from captcha_bypass.tasks.fleet.opening import Address, connect, disconnect
from tests.support.redis_server import RedisServer, redis_sentinel


async def test_redis_is_found_by_its_sentinels(server: RedisServer, tmp_path: Path) -> None:
    with redis_sentinel(tmp_path, server) as sentinel:
        # The first of them is gone.
        hosts = f"127.0.0.1:1,127.0.0.1:{sentinel.port}"
        redis = connect(Address(f"redis+sentinel://{hosts}/0?service=queue"))
        assert await redis.ping() is True
        assert (await redis.info("server"))["tcp_port"] == server.port
        await disconnect(redis)


@pytest.mark.parametrize("hosts", ["127.0.0.1", "127.0.0.1:port", ""])
def test_what_names_no_sentinel_is_refused(hosts: str) -> None:
    with pytest.raises(StartupError, match="--queue-url"):
        _ = connect(Address(f"redis+sentinel://{hosts}/0"))


def test_address_is_shown_without_its_password() -> None:
    address = Address("redis+sentinel://user:secret@one:1,two:2/3?service=queue")
    assert address.shown == "redis+sentinel://one:1,two:2/3"
    assert Address("redis://:secret@[::1]:6379/0").shown == "redis://[::1]:6379/0"
