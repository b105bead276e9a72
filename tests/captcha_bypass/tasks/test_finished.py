"""How long results are kept, and how much of them."""

from __future__ import annotations

import gc
import logging
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, TypeVar

import pytest

from captcha_bypass.tasks import finished
from captcha_bypass.tasks.base import JsonDict, weigh
from tests.support.memory_queue import AGES, TTL, ClockLoop, quick
from tests.support.scripted_queue import Script, at_once, ended

V = TypeVar("V")


class Countdown(OrderedDict[str, V]):
    """Counts the values that are looked at."""

    looked_at = 0

    def values(self) -> Any:  # noqa: ANN401 - typeshed's own type is private
        def walk() -> Iterator[V]:
            for value in OrderedDict.values(self):
                self.looked_at += 1
                yield value

        return walk()


# The bound on what results weigh


async def give(task_id: str, payload: JsonDict) -> JsonDict:
    """A handler whose result is as long as the payload says."""
    return {"data": {"html": "x" * payload["size"]}}


WEIGHT_OF_1000 = weigh({"data": {"html": "x" * 1000}})


async def test_oldest_results_go_first_when_all_together_weigh_too_much(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue = quick(max_results_bytes=2 * WEIGHT_OF_1000)
    await queue.start(give, 1)
    for task_id in ("a", "b", "c"):
        await queue.submit(task_id, {"size": 1000}, 5)
    await ended(queue, "c")
    assert await queue.get("a") is None
    assert await queue.get("b") is not None
    warnings = [item for item in caplog.records if item.levelno == logging.WARNING]
    assert [item.name for item in warnings] == ["captcha_bypass.tasks.finished"]
    assert "task a:" in warnings[0].getMessage()


async def test_results_that_fit_exactly_are_all_kept(caplog: pytest.LogCaptureFixture) -> None:
    queue = quick(max_results_bytes=3 * WEIGHT_OF_1000)
    await queue.start(give, 1)
    for task_id in "abc":
        await queue.submit(task_id, {"size": 1000}, 5)
    for task_id in "abc":
        await ended(queue, task_id)
    assert caplog.records == []


async def test_newest_result_is_kept_even_if_it_alone_is_over_the_bound() -> None:
    queue = quick(max_results_bytes=WEIGHT_OF_1000)
    await queue.start(give, 1)
    for n in range(3):
        await queue.submit(f"small{n}", {"size": 10}, 5)
    await queue.submit("big", {"size": 100_000}, 5)
    record = await ended(queue, "big")
    assert record.data == {"html": "x" * 100_000}
    assert [await queue.get(f"small{n}") for n in range(3)] == [None, None, None]


@pytest.mark.parametrize("how", ["removed", "expired"])
def test_results_that_are_gone_weigh_nothing_any_more(loop: ClockLoop, how: str) -> None:
    queue = quick(max_results_bytes=2 * WEIGHT_OF_1000, result_ttl=TTL)
    loop.run(queue.start(give, 1))
    for n in range(10):
        names = [f"a{n}", f"b{n}"]
        for name in names:
            loop.run(queue.submit(name, {"size": 1000}, AGES))
        # Nothing was dropped: what went in earlier rounds does not count.
        for name in names:
            assert loop.run(queue.get(name)) is not None
        if how == "expired":
            loop.move(TTL)
        else:
            for name in names:
                loop.run(queue.remove(name))


async def test_result_dropped_for_its_weight_is_unknown_to_remove_too() -> None:
    queue = quick(max_results_bytes=WEIGHT_OF_1000)
    await queue.start(give, 1)
    for task_id in "ab":
        await queue.submit(task_id, {"size": 1000}, 5)
    await ended(queue, "b")
    assert await queue.remove("a") is False


# Expiry


def test_each_result_goes_at_its_own_time_without_being_asked_for(loop: ClockLoop) -> None:
    queue, script = quick(result_ttl=TTL), Script()
    loop.run(queue.start(script, 3))
    for task_id in "abc":
        loop.run(queue.submit(task_id, {}, AGES))
    for task_id in "bca":  # they end at 0, 10 and 20
        script.end(task_id)
        loop.settle()
        loop.move(10)
    held = [weakref.ref(queue._entries[task_id].done) for task_id in "bca"]

    def alive() -> list[bool]:
        gc.collect()
        return [ref() is not None for ref in held]

    loop.move(TTL - 31)  # 99
    assert alive() == [True, True, True]
    loop.move(1)
    assert alive() == [False, True, True]
    loop.move(9.9)
    assert alive() == [False, True, True]
    loop.move(0.1)
    assert alive() == [False, False, True]
    loop.move(10)
    assert alive() == [False, False, False]


def test_result_is_not_given_out_past_its_time_even_if_the_timer_is_late(loop: ClockLoop) -> None:
    queue = quick(result_ttl=TTL)
    loop.run(queue.start(at_once, 1))
    loop.run(queue.submit("a", {}, 5))
    loop.now += TTL  # and the loop had no turn
    assert loop.run_until_complete(queue.get("a")) is None
    assert loop.run_until_complete(queue.remove("a")) is False


def test_expiry_looks_at_what_is_due_and_at_one_more(loop: ClockLoop) -> None:
    queue = quick(result_ttl=TTL)
    spy: Countdown[finished._Kept] = Countdown()
    queue._finished._kept = spy
    loop.run(queue.start(at_once, 1))
    for n in range(500):
        loop.run(queue.submit(f"t{n}", {}, 5))
        loop.now += 0.01
    spy.looked_at = 0
    loop.now = TTL + 0.025  # t0, t1 and t2 are due
    loop.settle()
    assert len(spy) == 497
    assert spy.looked_at <= 10
    assert loop.run(queue.get("t2")) is None
    assert loop.run(queue.get("t3")) is not None
