"""How requests and sites come to be the browser's."""

from __future__ import annotations

from typing import Any

import pytest
from scrapy import Request

from captcha_bypass_scrapy import request_state
from captcha_bypass_scrapy.challenged import Challenged
from captcha_bypass_scrapy.errors import SolveError
from captcha_bypass_scrapy.fetches import Fetches
from captcha_bypass_scrapy.keys import target_of
from captcha_bypass_scrapy.options import options_of
from captcha_bypass_scrapy.switching import Switch
from tests.captcha_bypass_scrapy.labs import CHALLENGE, KEY, PAGE, Lab, Labs


def challenged(found: Lab, request: Request) -> Challenged:
    options = options_of(request, found.middleware.config)
    return Challenged(request, CHALLENGE, target_of(request, None), options, None)


def switch_of(found: Lab) -> Switch:
    return found.handler._switch


def by_browser(found: Lab, request: Request) -> bool:
    return found.middleware.ways.by_browser(request, options_of(request, found.middleware.config))


def request(mode: str | None = None, url: str = PAGE, **fields: Any) -> Request:  # noqa: ANN401
    return Request(url, meta={"captcha_bypass": mode} if mode else {}, **fields)


async def test_first_challenge_concerns_it_in_mode_fetch_alone(lab: Labs) -> None:
    async with lab() as found:
        concerned = {
            mode
            for mode in ("auto", "cookies", "fetch", "html")
            if switch_of(found).concerns(challenged(found, request(mode)))
        }
        assert concerned == {"fetch"}


async def test_site_is_switched_once_and_one_request_has_to_open_it(lab: Labs) -> None:
    async with lab(MODE="fetch") as found:
        copies = [
            switch_of(found).site(challenged(found, request(url=f"{PAGE}/{n}"))) for n in range(3)
        ]

        assert found.stat("fetch/sites") == 1
        assert all(by_browser(found, copy) for copy in copies)
        assert found.solves.busy()
        probe = found.scheduled(copies[0])
        assert await found.holder.hold(probe, first=True) is None
        assert request_state.is_probe(probe)
        assert await found.holder.hold(found.scheduled(copies[1]), first=True) is not None


async def test_mode_auto_takes_the_way_where_cookies_are_refused(lab: Labs) -> None:
    async with lab() as found:
        switch = switch_of(found)
        helped = {
            mode
            for mode in ("auto", "cookies", "fetch", "html")
            if switch.helps_refused(challenged(found, request(mode)))
        }
        assert helped == {"auto"}

        switch.site(challenged(found, request("auto")))

        assert by_browser(found, request("auto"))
        assert by_browser(found, request("fetch"))
        assert switch.concerns(challenged(found, request("auto")))
        found.middleware.ways.give_up(KEY)
        assert not switch.helps_refused(challenged(found, request("auto")))


async def test_budget_bounds_the_sites(lab: Labs) -> None:
    async with lab(MODE="fetch", MAX_SOLVES=1) as found:
        switch = switch_of(found)
        switch.site(challenged(found, request()))
        with pytest.raises(SolveError, match="MAX_SOLVES") as raised:
            switch.site(challenged(found, request(url="http://other.example/")))
        assert raised.value.kind == "budget"
        assert not by_browser(found, request(url="http://other.example/"))


async def test_single_request_is_switched_without_its_site(lab: Labs) -> None:
    async with lab() as found:
        copy = switch_of(found).one(challenged(found, request()))
        assert by_browser(found, copy)
        assert not by_browser(found, request())
        assert not found.solves.busy()
        assert found.stat("fetch/sites") == 0


async def test_request_goes_back_to_where_its_redirects_began(lab: Labs) -> None:
    async with lab(MODE="fetch") as found:
        led = request(url=f"{PAGE}/captcha")
        led.meta["redirect_urls"] = [PAGE]
        copy = switch_of(found).site(challenged(found, led))
        assert copy.url == PAGE
        assert copy.dont_filter


async def test_downloader_without_handlers_is_told(
    lab: Labs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fetches, "possible", False)
    async with lab(MODE="fetch") as found:
        switch = switch_of(found)
        with pytest.raises(SolveError, match="has no download handlers"):
            switch.site(challenged(found, request()))
        assert not switch.helps_refused(challenged(found, request("auto")))
