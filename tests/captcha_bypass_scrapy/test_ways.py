"""Which sites' requests the browser sends."""

from __future__ import annotations

import pytest
from scrapy import Request

import captcha_bypass_scrapy.ways as ways_module
from captcha_bypass_scrapy import request_state
from captcha_bypass_scrapy.keys import Proxy, SiteKey
from captcha_bypass_scrapy.options import Options
from captcha_bypass_scrapy.settings import Mode
from captcha_bypass_scrapy.ways import Ways

SITE = SiteKey("http://site.example", None)
PAGE = Request("http://site.example/page")


def options(mode: Mode) -> Options:
    return Options(mode, 60.0, None, None)


def of_modes(ways: Ways, request: Request = PAGE) -> set[str]:
    """The modes in which the browser sends a request."""
    modes: tuple[Mode, ...] = ("auto", "cookies", "fetch", "html")
    return {mode for mode in modes if ways.by_browser(request, options(mode))}


def test_nothing_goes_by_the_browser_at_first() -> None:
    assert of_modes(Ways()) == set()


def test_site_that_challenges_goes_by_the_browser_in_mode_fetch_alone() -> None:
    ways = Ways()
    ways.open(SITE, "anubis", refuses=False)
    assert of_modes(ways) == {"fetch"}
    assert ways.vendor(SITE) == "anubis"


def test_site_that_refuses_the_cookies_goes_by_the_browser_in_mode_auto_too() -> None:
    ways = Ways()
    ways.open(SITE, "anubis", refuses=True)
    assert of_modes(ways) == {"auto", "fetch"}


def test_mode_fetch_does_not_take_the_way_from_mode_auto() -> None:
    ways = Ways()
    ways.open(SITE, "anubis", refuses=True)
    ways.open(SITE, "anubis", refuses=False)
    assert of_modes(ways) == {"auto", "fetch"}


@pytest.mark.parametrize(
    "request_",
    [
        Request("http://other.example/"),
        Request("https://site.example/page"),
        Request("http://site.example:81/page"),
        Request("http://site.example/page", meta={"proxy": "http://proxy:1"}),
    ],
    ids=repr,
)
def test_other_sites_ports_and_proxies_are_other_ways(request_: Request) -> None:
    ways = Ways()
    ways.open(SITE, "anubis", refuses=True)
    assert of_modes(ways, request_) == set()


def test_each_proxy_has_its_way() -> None:
    ways = Ways()
    ways.open(SiteKey(SITE.origin, Proxy("http://proxy:1")), "anubis", refuses=True)
    assert of_modes(ways, PAGE) == set()
    assert of_modes(ways, PAGE.replace(meta={"proxy": "http://proxy:1"})) == {"auto", "fetch"}


def test_single_request_may_go_by_the_browser_where_its_mode_allows() -> None:
    request = PAGE.copy()
    request_state.mark_by_browser(request)
    assert of_modes(Ways(), request) == {"auto", "fetch"}


def test_way_that_is_in_vain_is_given_up_by_mode_auto_alone() -> None:
    ways = Ways()
    ways.open(SITE, "homemade", refuses=True)
    assert not ways.has_given_up(SITE)
    ways.give_up(SITE)
    assert ways.has_given_up(SITE)
    assert of_modes(ways) == {"fetch"}


def test_oldest_sites_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways_module, "MAX_SITES", 2)
    ways = Ways()
    for host in ("site.example", "b.example", "c.example"):
        ways.open(SiteKey(f"http://{host}", None), "anubis", refuses=True)
    assert of_modes(ways) == set()
    assert ways.vendor(SITE) == "unknown"
    assert of_modes(ways, Request("http://c.example/")) == {"auto", "fetch"}
    ways.open(SiteKey("http://c.example", None), "anubis", refuses=True)
    assert of_modes(ways, Request("http://b.example/")) == {"auto", "fetch"}
