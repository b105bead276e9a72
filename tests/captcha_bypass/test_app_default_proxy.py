"""The operator's own proxy: whose tasks go through it, and what its address may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from captcha_bypass.app import default_proxy
from captcha_bypass.config import Config
from captcha_bypass.egress.resolver import Resolver
from captcha_bypass.egress.routes import Permit, Router
from captcha_bypass.egress.rules import Destination, Rules
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.errors import TaskError
from captcha_bypass.solving.worker import Worker

SITE = Destination("site.example", 443)
OWN: dict[str, Any] = {
    "proxy_url": "http://127.0.0.1:3128",
    "proxy_username": "u",
    "proxy_password": "CANARY",
}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A proxy on this machine that opens every tunnel and lets it speak first."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + head.split(b"\r\n")[0] + b"\n")
            await writer.drain()
        except asyncio.IncompleteReadError:
            pass  # a test that only connects
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def router(port: int, scheme: str = "http", *, trusted: bool) -> Router:
    upstream = Upstream(scheme, Destination("127.0.0.1", port), trusted=trusted)
    permit = Permit(Destination("127.0.0.1", port), upstream)
    return Router(Rules(trust_named=False), Resolver(), permit)


async def test_trusted_proxy_may_have_a_private_address(port: int) -> None:
    reader, writer = await router(port, trusted=True).open(SITE)
    assert await reader.readline() == b"CONNECT site.example:443 HTTP/1.1\n"
    writer.close()
    _, writer = await router(port, trusted=True).to_proxy(
        Upstream("http", Destination("127.0.0.1", port), trusted=True), SITE
    )
    writer.close()


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
async def test_proxy_of_a_task_may_not(port: int, scheme: str) -> None:
    with pytest.raises(TaskError, match="The proxy") as refused:
        await router(port, scheme, trusted=False).open(SITE)
    assert refused.value.code == "blocked_address"


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "localhost", "intranet", "::1"])
async def test_trusted_proxy_makes_no_destination_allowed(port: int, host: str) -> None:
    with pytest.raises(TaskError) as refused:
        await router(port, trusted=True).open(Destination(host, port + 1))
    assert refused.value.code == "blocked_address"


async def test_trusted_proxy_that_is_down_is_a_proxy_error(port: int) -> None:
    with pytest.raises(TaskError, match="--proxy-url") as refused:
        await router(1, trusted=True).open(SITE)
    assert refused.value.code == "proxy_error"


# Whose proxy a task uses


class Permits:
    """A pool that lends no page, and keeps what each task may do."""

    def __init__(self) -> None:
        self.seen: list[Permit] = []

    @asynccontextmanager
    async def page(self, *, permit: Permit, **_: object) -> AsyncIterator[None]:
        self.seen.append(permit)
        raise TaskError("browser_unavailable", "none here")
        yield


async def upstream_of(config: Config, **request: object) -> Upstream | None:
    pool: Any = Permits()
    worker = Worker(pool, 10_000, default_proxy(config))
    task = {"url": "http://site.example/", "no_challenge": True, "timeout": 5, **request}
    assert "error" in await worker("id", task)
    (permit,) = pool.seen
    found: Upstream | None = permit.upstream
    return found


async def test_task_that_names_no_proxy_goes_through_the_services_own() -> None:
    own = Upstream("http", Destination("127.0.0.1", 3128), "u", "CANARY", trusted=True)
    for request in ({}, {"proxy": None}):
        found = await upstream_of(Config(**OWN), **request)
        assert found == own
    assert "CANARY" not in repr(found)


async def test_password_of_the_services_own_proxy_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("CANARY\n")
    own = {**OWN, "proxy_password": None, "proxy_password_file": file}
    assert await upstream_of(Config(**own)) == await upstream_of(Config(**OWN))


async def test_proxy_of_the_task_comes_first_and_is_not_trusted() -> None:
    found = await upstream_of(Config(**OWN), proxy={"server": "socks5://p.test:1080"})
    assert found == Upstream("socks5", Destination("p.test", 1080))


async def test_without_a_proxy_of_its_own_the_service_uses_none() -> None:
    assert await upstream_of(Config()) is None
