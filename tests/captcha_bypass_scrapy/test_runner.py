"""Solves that run, and what ends them."""

from __future__ import annotations

import asyncio

import pytest
from scrapy import Request

import captcha_bypass_scrapy.runner as runner_module
from captcha_bypass_scrapy import (
    resending,
)
from captcha_bypass_scrapy.challenged import Challenged
from captcha_bypass_scrapy.errors import CrawlEnding
from tests.captcha_bypass_scrapy.fake_service import FakeService, Json, failed, page_of
from tests.captcha_bypass_scrapy.labs import PAGE, Labs

Refusal = tuple[int, dict[str, str], object]
UNAUTHORIZED: Refusal = (401, {}, {})
PICTURED = {"screenshot": True, "retry_times": 0}


async def test_crawl_that_has_used_up_its_solves_says_so(lab: Labs, fake: FakeService) -> None:
    async with lab(MAX_SOLVES=1) as found:
        await found.goes_out(await found.parked(Request(PAGE)))

        error = await found.refused(Request("http://other.example/"))

        assert "MAX_SOLVES" in error.reason
        assert found.stat("gave_up/reason/budget") == 1
    assert len(fake.tasks) == 1


async def test_error_that_nobody_has_foreseen_is_logged_and_ends_the_solve(
    lab: Labs, fake: FakeService, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lab(RETRY_TIMES=0) as found:

        async def broken(challenged: Challenged) -> None:
            raise KeyError("cookies")

        monkeypatch.setattr(found.runner._solver, "get_clearance", broken)
        error = await found.lost(await found.parked(Request(PAGE)))

    assert error.reason == "KeyError: 'cookies'"
    (record,) = [r for r in caplog.records if "nobody has foreseen" in r.message]
    assert record.exc_info is not None


# A service that cannot be used


async def test_service_that_refuses_loses_all_who_wait_and_nobody_asks_again(
    lab: Labs, fake: FakeService
) -> None:
    fake.refusals = [UNAUTHORIZED] * 9
    async with lab() as found:
        copies = [await found.parked(Request(f"{PAGE}/{n}")) for n in range(3)]
        errors = [await found.lost(copy) for copy in copies]

        assert all("CAPTCHA_BYPASS_API_KEY" in error.reason for error in errors)
        assert found.stat("gave_up/reason/solver") == 3
        await found.refused(Request(f"{PAGE}/4"))
        assert found.stat("gave_up/reason/solver") == 4
    assert len(fake.calls) == 1


async def test_next_try_that_the_service_does_not_take_loses_its_request(
    lab: Labs, fake: FakeService
) -> None:
    async with lab(MAX_SOLVES=1, COOLDOWN=0) as found:
        fake.answer = failed
        error = await found.lost(await found.parked(Request(PAGE)))

        assert "CAPTCHA_BYPASS_MAX_SOLVES" in error.reason
        assert found.stat("gave_up/reason/budget") == 1


async def test_pictures_of_few_failures_are_kept(
    lab: Labs, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "REMEMBERED_SCREENSHOTS", 1)

    async def late(task: Json) -> Json:
        data = page_of(task, timeout_reached=True, screenshot="cG5n")
        return {"status": "completed", "error": None, "data": data}

    fake.answer = late
    async with lab(RETRY_TIMES=0, COOLDOWN=0) as found:
        copies = [
            await found.parked(
                Request(f"http://site{n}.example/", meta={"captcha_bypass": PICTURED})
            )
            for n in range(2)
        ]
        await asyncio.wait([found.solve_of(copy).outcome for copy in copies])
        errors = [await found.lost(copy) for copy in copies]
    assert all(task["screenshot"] for task in fake.tasks)
    assert sorted(error.screenshot or b"" for error in errors) == [b"", b"png"]


async def test_spider_is_closed_where_the_setting_says_so(lab: Labs, fake: FakeService) -> None:
    fake.refusals = [UNAUTHORIZED] * 9
    async with lab(ON_UNAVAILABLE="close") as found:
        closed: list[bool] = []
        found.runner._close_spider = lambda: closed.append(True)
        copy = await found.parked(Request(PAGE))

        await asyncio.wait([found.solve_of(copy).outcome])
        assert await found.holder.hold(copy, first=False) is not None
        assert await found.challenged(Request(f"{PAGE}/2")) is not None
        assert found.stat("requeued_on_close") == 2  # nobody's request is lost
        assert closed == [True]


async def test_end_of_the_crawl_ends_its_solves(lab: Labs, fake: FakeService) -> None:
    fake.seconds = 60
    async with lab() as found:
        copy = await found.parked(Request(PAGE))
        solve = found.solve_of(copy)
        await fake.until_known()

        await found.runner.close()

        assert isinstance(solve.outcome.result(), CrawlEnding)
        requeued = await found.holder.hold(copy, first=False)
        assert requeued is not None
        assert resending.pop_leaving(requeued)
    assert fake.deleted == ["task-1"]
