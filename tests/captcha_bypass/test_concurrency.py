"""Jobs that nobody waits for: their failures reach the operator, their owner ends them. Calls with a bound."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from captcha_bypass.concurrency import Background, within


async def failing() -> None:
    raise ValueError("inner workings")


async def test_a_failed_job_reaches_the_log_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "captcha_bypass")
    background = Background()
    ended = asyncio.Event()
    background.run(failing(), then=ended.set)
    await ended.wait()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "failing failed in the background"
    assert caplog.text.endswith("ValueError: inner workings\n")
    assert 'raise ValueError("inner workings")' in caplog.text


async def test_a_failure_that_somebody_takes_is_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    background = Background()
    with pytest.raises(ValueError, match="inner workings"):
        await background.start(failing())
    await asyncio.sleep(0)
    assert caplog.records == []


async def test_a_job_that_is_cancelled_has_not_failed(caplog: pytest.LogCaptureFixture) -> None:
    background = Background()
    never_began, cancelled = asyncio.Event(), asyncio.Event()
    background.run(asyncio.sleep(60), then=cancelled.set)
    await asyncio.sleep(0)
    background.run(asyncio.sleep(60), then=never_began.set)
    background.cancel()
    await cancelled.wait()
    await never_began.wait()
    assert caplog.records == []


async def test_a_job_is_kept_until_it_ends_and_ends_with_its_owner() -> None:
    background = Background()
    ended = []

    async def stubborn() -> None:
        for turn in range(2):  # as a call of Playwright, which only a second cancel ends
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ended.append(turn)

    background.run(stubborn())
    await asyncio.sleep(0)
    await background.close()
    assert ended == [0, 1]
    await background.close()


async def test_call_that_fails_as_its_caller_is_cancelled_is_no_complaint(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gc.collect()  # what other tests have left complains by now
    caplog.clear()
    fails = asyncio.Event()

    async def call() -> None:
        await fails.wait()
        raise ValueError("inner workings")

    caller = asyncio.create_task(within(60, call()))
    for _ in range(3):
        await asyncio.sleep(0)
    fails.set()
    for _ in range(2):  # it has failed then, and its caller does not know yet
        await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    del caller
    gc.collect()
    await asyncio.sleep(0)
    assert caplog.records == []
