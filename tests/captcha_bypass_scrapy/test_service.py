"""A service that is away or full, and a crawl that waits for it as the settings say."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from scrapy import Request

import captcha_bypass_scrapy.client as client_module
import captcha_bypass_scrapy.progress as progress_module
from captcha_bypass_scrapy.errors import CrawlEnding, SolverUnavailable
from captcha_bypass_scrapy.service import Service
from captcha_bypass_scrapy.settings import Config
from tests.captcha_bypass_scrapy.benches import PAGE, SITE, Benches
from tests.captcha_bypass_scrapy.fake_service import FakeService, Json
from tests.support.service import eventually

FULL = (503, {"Retry-After": "0.1"}, {"error": {"code": "queue_full", "message": "full"}})
#: For longer than any test takes.
FULL_FOR_LONG = (503, {"Retry-After": "30"}, FULL[2])
BROKEN: tuple[int, dict[str, str], object] = (502, {}, "no gateway")


# A service in trouble


async def test_full_service_is_waited_for(bench: Benches, fake: FakeService) -> None:
    fake.refusals = [FULL] * 5
    async with bench(timeout_seconds=0.05) as found:
        await found.clear(Request(PAGE))

        assert found.stat("solver/unavailable") is None  # it is there


async def test_service_that_is_away_is_waited_for_and_told_once(
    bench: Benches,
    fake: FakeService,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(client_module, "DOWN_PAUSE", 0.05)
    fake.refusals = [BROKEN] * 4
    async with bench() as found:
        await asyncio.gather(*(found.clear(Request(f"{PAGE}/{n}")) for n in range(2)))

        assert found.stat("solver/unavailable") == 1
    told = [r.levelname for r in caplog.records if "cannot be solved" in r.message]
    back = [r.levelname for r in caplog.records if "can be used again" in r.message]
    assert (told, back) == (["ERROR"], ["INFO"])


async def test_service_that_stays_away_is_given_up(bench: Benches, fake: FakeService) -> None:
    fake.refusals = [BROKEN] * 500
    async with bench(unavailable_seconds=0.2) as found:
        with pytest.raises(SolverUnavailable, match="was answered 502"):
            await found.clear(Request(PAGE))


async def test_refusing_service_is_not_waited_for(bench: Benches, fake: FakeService) -> None:
    fake.refusals = [(401, {}, {})] * 5
    async with bench() as found:
        with pytest.raises(SolverUnavailable, match="CAPTCHA_BYPASS_API_KEY"):
            await found.clear(Request(PAGE))
        with pytest.raises(SolverUnavailable) as raised:
            found.service.check_available()

        assert 50 < raised.value.pause <= 60
        assert raised.value.state == "refusing"
    assert len(fake.calls) == 1


@pytest.mark.parametrize("refusal", [FULL_FOR_LONG, BROKEN], ids=["full", "away"])
async def test_service_in_trouble_fails_at_once_where_the_setting_says_so(
    bench: Benches, fake: FakeService, refusal: tuple[int, dict[str, str], object]
) -> None:
    fake.refusals = [refusal] * 50
    async with bench(on_unavailable="fail", timeout_seconds=0.01) as found:
        with pytest.raises(SolverUnavailable):
            await found.clear(Request(PAGE))
        asked = len(fake.calls)
        with pytest.raises(SolverUnavailable):
            await found.clear(Request(PAGE))

        assert found.stat("solver/unavailable") == 1
    assert len(fake.calls) == asked  # within its pause it is not asked again


async def test_service_is_asked_again_after_its_pause(bench: Benches, fake: FakeService) -> None:
    fake.refusals = [FULL]
    async with bench(on_unavailable="fail", timeout_seconds=0.01) as found:
        with pytest.raises(SolverUnavailable):
            await found.clear(Request(PAGE))
        await asyncio.sleep(0.15)
        found.service.check_available()

        await found.clear(Request(PAGE))


def test_service_of_which_nothing_is_known_is_available() -> None:
    nothing = cast("Any", None)
    Service(nothing, nothing, Config("http://s"), nothing, nothing).check_available()


async def test_closing_spider_waits_for_no_service(bench: Benches, fake: FakeService) -> None:
    fake.refusals = [BROKEN] * 500
    async with bench() as found:
        solving = asyncio.create_task(found.clear(Request(PAGE)))
        await asyncio.sleep(0.1)
        found.ending.append(True)
        with pytest.raises(CrawlEnding):
            async with asyncio.timeout(10):  # and not the minutes that it is patient for
                await solving


async def test_slow_solve_is_mentioned(
    bench: Benches, fake: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def once_told(task: Json) -> Json:
        assert await eventually(lambda: "Still solving" in caplog.text, 30)
        return await fake.solved(task)

    fake.answer = once_told
    async with bench(slow_solve_seconds=0.05) as found:
        await found.clear(Request(PAGE))

    (line,) = [r.message for r in caplog.records if "Still solving" in r.message]
    assert line.startswith(f"Still solving {SITE}: waiting for the browser to get through")


async def test_service_that_loses_track_of_its_time_is_away(
    bench: Benches, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "GRACE_SECONDS", 0.0)
    fake.seconds = 60
    async with bench(on_unavailable="fail", timeout_seconds=0.1) as found:
        with pytest.raises(SolverUnavailable, match="past its timeout"):
            await found.clear(Request(PAGE))

    assert fake.deleted == ["task-1"]
