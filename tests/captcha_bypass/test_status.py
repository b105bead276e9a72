"""The one status: whose words win, and that it is of one moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from captcha_bypass.status import Browsers, Egress, Readiness, SessionNow, StatusBoard
from captcha_bypass.tasks.base import JsonDict, Stats
from captcha_bypass.tasks.memory import MemoryQueue
from tests.support.status import NOTHING, ToldBrowsers


@pytest.mark.parametrize("readiness", [Readiness(), Readiness(starting=True)])
def test_nothing_is_in_the_way_of_tasks_that_a_browser_takes_or_will(readiness: Readiness) -> None:
    assert replace(NOTHING, readiness=readiness).obstacle is None


def test_a_shutdown_is_in_the_way_whatever_the_browsers_do() -> None:
    broken = Readiness(unavailable="the disk is full")
    assert replace(NOTHING, readiness=broken).obstacle == "the disk is full"
    stopping = replace(NOTHING, readiness=broken, stopping=True)
    assert stopping.obstacle == "the service is shutting down"


async def test_status_is_of_one_moment() -> None:
    queue = MemoryQueue(max_pending=10, result_ttl=60, max_results_bytes=1_000_000)
    browsers = ToldBrowsers(Readiness(starting=True), Browsers([], 1, {}))
    egress = Egress()
    board = StatusBoard(queue, browsers, egress)

    async def hang(task_id: str, payload: JsonDict) -> JsonDict:
        return await asyncio.Future()

    await queue.start(hang, 1)
    before = await board.now()
    for task_id in ("a", "b", "c"):
        await queue.submit(task_id, {}, 5)
    browsers.now, browsers.numbers = Readiness(browser="firefox 140.0"), Browsers([2], 0, {})
    egress.bytes_sent += 5
    egress.failed("dns_error")
    egress.failed("dns_error")
    after = await board.now()
    await queue.stop(0)
    egress.failed("dns_error")

    assert before == replace(
        NOTHING,
        tasks=Stats(0, 0, 1),
        readiness=Readiness(starting=True),
        browsers=Browsers([], 1, {}),
    )
    assert after == replace(
        NOTHING,
        tasks=Stats(queued=2, running=1, slots=1),
        readiness=Readiness(browser="firefox 140.0"),
        browsers=Browsers([2], 0, {}),
        egress=Egress(bytes_sent=5, failures={"dns_error": 2}),
    )
    assert (await board.now()).stopping


async def test_only_who_asks_for_an_owner_is_told_of_its_sessions() -> None:
    queue = MemoryQueue(max_pending=10, result_ttl=60, max_results_bytes=1_000_000)
    board = StatusBoard(
        queue,
        ToldBrowsers(),
        Egress(),
        sessions=lambda owner: (SessionNow(f"of {owner}", 1.0),),
        sites=lambda owner: (SessionNow(f"http://{owner}.test", 2.0),),
    )
    nobody, somebody = await board.now(), await board.now("key0")
    assert (nobody.sessions, nobody.sites) == ((), ())
    assert somebody.sessions == (SessionNow("of key0", 1.0),)
    assert somebody.sites == (SessionNow("http://key0.test", 2.0),)
