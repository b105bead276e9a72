"""A command is held until its task ends, and leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientError

from tests.captcha_bypass.api.flaresolverr.scripted import DATA, GET, PREFIX, Make, Scripted
from tests.support.flaresolverr_service import Json
from tests.support.scripted_queue import until


async def test_answered_task_leaves_nothing_in_the_queue(scripted: Scripted) -> None:
    await scripted.answer(DATA, **GET)
    assert scripted.idle()
    await scripted.answer({"error": {"code": "dns_error", "message": "x"}}, **GET)
    assert scripted.idle()


async def test_task_is_waited_for_however_often_a_look_ends_in_vain(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("captcha_bypass.api.flaresolverr.solves.LOOK_SECONDS", 0.01)
    sent, _ = await scripted.running(**GET)
    await asyncio.sleep(0.1)
    scripted.end(DATA)
    assert (await sent)["status"] == "ok"


@pytest.mark.parametrize("state", ["running", "pending"])
async def test_client_that_hangs_up_takes_its_task_along(make: Make, state: str) -> None:
    scripted = await make(workers=1)
    other: asyncio.Task[Json] | None = None
    if state == "pending":
        other, _ = await scripted.running(cmd="request.get", url="http://other.test/")
    leaving = asyncio.create_task(scripted.v1.post(**GET))
    expected = 1 if other is None else 2
    await until(lambda: len(scripted.v1.queue._entries) == expected)
    if state == "running":
        await until(lambda: scripted.script.running != set())
    leaving.cancel()
    await until(lambda: len(scripted.v1.queue._entries) == expected - 1)
    assert len(scripted.script.cancelled) == (1 if state == "running" else 0)
    if other is not None:
        scripted.end(DATA)
        await other
    assert scripted.idle()


async def test_service_lives_on_when_clients_hang_up_in_numbers(make: Make) -> None:
    scripted = await make(workers=2, max_per_host=0)

    async def leave() -> None:
        with pytest.raises((TimeoutError, ClientError)):
            async with asyncio.timeout(0.2):
                await scripted.v1.post(**GET)

    await asyncio.gather(*(leave() for _ in range(20)))
    await until(scripted.idle)
    assert (await scripted.answer(DATA, **GET))["status"] == "ok"


async def test_result_that_was_dropped_is_an_error(scripted: Scripted) -> None:
    sent, _ = await scripted.running(**GET)
    await scripted.v1.queue.remove(scripted.script.started[0])
    assert (await sent)["message"] == (
        PREFIX + "The result was dropped; raise --max-results-bytes."
    )
