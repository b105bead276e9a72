"""Whatever ends the link to Playwright's driver is noticed at once, and the next driver works."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Error

from captcha_bypass.browsers.launch import link
from captcha_bypass.browsers.launch.driver import Driver
from captcha_bypass.browsers.launch.workspace import Workspace
from tests.support.service import eventually


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


DEEP = deep(5000)


class Wire:
    """A real driver that is frozen, and what arrives from it."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.lost = 0
        driver.when_lost(self._on_lost)

    def _on_lost(self) -> None:
        self.lost += 1

    async def asked(self) -> tuple[asyncio.Task[object], int]:
        """Ask the driver something that it does not answer; return the call and its number."""
        playwright = await self.driver.playwright()
        assert self.driver._process is not None
        self.driver._process.send_signal(signal.SIGSTOP)
        connection = self._link()._connection
        before = connection._last_id
        call = asyncio.create_task(playwright.request.new_context())
        assert await eventually(lambda: connection._last_id > before, 5)
        return call, connection._last_id

    def arrives(self, message: bytes) -> None:
        stdout = self._link()._transport._proc.stdout
        assert stdout is not None
        stdout.feed_data(len(message).to_bytes(4, "little") + message)

    def _link(self) -> link.Link:
        found = self.driver._link
        assert found is not None
        return found


@asynccontextmanager
async def wired(folder: Path) -> AsyncIterator[Wire]:
    with Workspace(folder) as workspace:
        driver = Driver(workspace)
        yield Wire(driver)
        driver.kill()
        await driver.close()


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    async with wired(tmp_path) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wire]:
    """One for tests whose calls it survives."""
    async with wired(tmp_path_factory.mktemp("shared")) as found:
        yield found


async def test_event_that_cannot_be_read_ends_the_calls_and_the_next_driver_works(
    wire: Wire,
) -> None:
    call, _ = await wire.asked()
    wire.arrives(DEEP)
    with pytest.raises(Error, match="Connection closed"):
        await asyncio.wait_for(call, 5)
    assert wire.lost == 1
    assert not wire.driver.alive
    await wire.driver.playwright()
    assert await wire.driver.answers()


async def test_message_that_is_too_large_is_not_waited_for(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "MAX_MESSAGE", 100_000)
    call, _ = await wire.asked()
    wire.arrives(b"x" * 100_001)
    with pytest.raises(Error, match="Connection closed"):
        await asyncio.wait_for(call, 5)
    assert wire.lost == 1


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("levels", [link.MAX_LEVELS, 400, 900, 5000, 100_000])
async def test_answer_that_cannot_be_read_is_an_error_of_its_call_alone(
    shared: Wire, levels: int
) -> None:
    call, number = await shared.asked()
    shared.arrives(b'{"id":%d,"result":' % number + deep(levels) + b"}")
    with pytest.raises(Error, match="cannot be read"):
        await asyncio.wait_for(call, 5)
    assert shared.lost == 0
    assert shared.driver.alive


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("size", [10, link.PARSE_ASIDE, 40_000_000])
async def test_answer_of_any_size_arrives(shared: Wire, size: int) -> None:
    call, number = await shared.asked()
    error: dict[str, Any] = {"name": "Error", "message": "x" * size, "stack": ""}
    shared.arrives(
        json.dumps({"id": number, "error": {"error": error}}, separators=(",", ":")).encode()
    )
    with pytest.raises(Error, match=r"x{10}") as caught:
        await asyncio.wait_for(call, 20)
    assert str(caught.value).count("x") >= size
    assert shared.lost == 0


async def test_driver_that_is_stopped_in_order_is_not_lost(wire: Wire) -> None:
    await wire.driver.playwright()
    await wire.driver.close()
    assert wire.lost == 0


async def test_driver_that_dies_is_lost_at_once(wire: Wire) -> None:
    await wire.driver.playwright()
    wire.driver.kill()
    assert await eventually(lambda: wire.lost == 1, 5)
    assert not wire.driver.alive
