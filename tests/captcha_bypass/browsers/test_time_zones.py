"""A proxied page's time zone is its proxy's: asked once per proxy, and never at a task's expense."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast
from unittest.mock import Mock

import pytest
from aiohttp import web

from captcha_bypass.browsers import process, time_zones
from captcha_bypass.browsers.browser import Browser
from captcha_bypass.browsers.tabs import Means
from captcha_bypass.browsers.time_zones import TimeZones
from captcha_bypass.concurrency import Background
from captcha_bypass.egress.guards import Egress
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination, Rules
from captcha_bypass.egress.upstream import Upstream
from tests.support.fake_browsers import FakeEgress, FakeEngine, World
from tests.support.virtual_time import VirtualLoop

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Asked:
    """A proxy of its own, an http one, and what it was asked."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.text = "203.0.113.9\n"
        self.release = asyncio.Event()
        self.release.set()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.paths.append(str(request.url))
        await self.release.wait()
        return web.Response(text=self.text)


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def proxy(asked: Asked) -> AsyncIterator[Upstream]:
    runner = web.ServerRunner(web.Server(asked))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Upstream("http", Destination("127.0.0.1", runner.addresses[0][1]), trusted=True)
    await runner.cleanup()


@pytest.fixture
async def known(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TimeZones]:
    background = Background()
    async with Egress(Rules(trust_named=True)) as egress:
        places = {"203.0.113.9": "Asia/Tokyo", "2001:db8::9": "America/Lima"}
        yield TimeZones(egress, background, service="http://address.test/", locate=places.get)
        await background.close()


async def test_proxy_is_asked_once_for_any_number_of_tasks(
    known: TimeZones, proxy: Upstream, asked: Asked
) -> None:
    asked.release.clear()
    tasks = [asyncio.create_task(known.of(proxy)) for _ in range(20)]
    await asyncio.sleep(0.1)
    asked.release.set()
    assert set(await asyncio.gather(*tasks)) == {"Asia/Tokyo"}
    assert await known.of(proxy) == "Asia/Tokyo"
    assert asked.paths == ["http://address.test/"]


async def test_task_that_is_cancelled_leaves_the_question_to_the_others(
    known: TimeZones, proxy: Upstream, asked: Asked
) -> None:
    asked.release.clear()
    first, second = (asyncio.create_task(known.of(proxy)) for _ in range(2))
    await asyncio.sleep(0.1)
    first.cancel()
    asked.release.set()
    assert await second == "Asia/Tokyo"
    assert len(asked.paths) == 1


async def test_answer_holds_for_its_time_and_no_longer(
    known: TimeZones, proxy: Upstream, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_zones, "KEEP_SECONDS", 0.0)
    assert await known.of(proxy) == "Asia/Tokyo"
    asked.text = "2001:db8::9"
    assert await known.of(proxy) == "America/Lima"


@pytest.mark.parametrize("text", ["198.51.100.1", "no address", "9" * 10_000, ""])
async def test_address_that_is_not_known_is_no_time_zone_and_one_line(
    known: TimeZones, proxy: Upstream, asked: Asked, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked.text = text
    for _ in range(3):
        assert await known.of(proxy) is None
    assert len(asked.paths) == 1
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1


async def test_proxy_that_never_answers_costs_a_bounded_time(
    known: TimeZones, proxy: Upstream, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_zones, "ASK_SECONDS", 0.2)
    asked.release.clear()
    async with asyncio.timeout(5):
        assert await known.of(proxy) is None
    asked.release.set()


async def test_password_of_a_proxy_is_in_no_line(
    known: TimeZones, proxy: Upstream, asked: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asked.text = "nonsense"
    login = Upstream("http", proxy.destination, "user", "canary-7", trusted=True)
    assert await known.of(login) is None
    assert "canary-7" not in caplog.text


async def test_number_of_proxies_that_are_kept_is_bounded(
    known: TimeZones, proxy: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_zones, "MAX_KEPT", 2)
    for name in "abc":
        await known.of(Upstream("http", proxy.destination, name, "", trusted=True))
    assert len(known._asked) == 2


class Zones:
    """Those of proxies, known already."""

    def __init__(self, zone: str | None) -> None:
        self.zone = zone

    async def of(self, proxy: Upstream) -> str | None:
        return self.zone


class FittingEngine(FakeEngine):
    """Notes the time zones of its contexts."""

    fits_time_zone = True

    def __init__(self) -> None:
        self.zones: list[str | None] = []

    async def new_context(self, browser: Any, guard: str, *, time_zone: str | None = None) -> Any:  # noqa: ANN401
        self.zones.append(time_zone)
        return await super().new_context(browser, guard, time_zone=time_zone)


@pytest.mark.parametrize(
    ("zone", "proxied", "opened"),
    [
        ("Asia/Tokyo", True, [None, "Asia/Tokyo"]),  # the spare has none, so another is opened
        (None, True, [None]),
        ("Asia/Tokyo", False, [None]),
    ],
)
def test_page_made_ahead_serves_a_proxied_task_whose_time_zone_is_not_known(
    zone: str | None, proxied: bool, opened: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def open_page() -> None:
        background = Background()
        stand_ins: Any = (engine, FakeEgress(), Zones(zone), background)
        launcher, owner = cast("Any", world), cast("Any", Mock())
        browser = Browser(Means(*stand_ins), launcher, max_tasks=100, owner=owner)
        await browser.started()
        browser.tabs.prepare()
        site = Destination("site.test", 80)
        upstream = Upstream("http", Destination("proxy.test", 80)) if proxied else None
        await browser.open(Permit(site, upstream))
        assert engine.zones == opened
        await browser.close()
        await background.close()

    loop, world, engine = VirtualLoop(), World(), FittingEngine()
    monkeypatch.setattr(process, "kill_marked", world.kill_marked)
    loop.run(open_page())
    loop.shutdown()
