"""What a request may wish for in `meta["captcha_bypass"]`."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scrapy import Request

from captcha_bypass_scrapy.options import options_of
from captcha_bypass_scrapy.settings import Config
from tests.captcha_bypass_scrapy.crawling import Crawler
from tests.captcha_bypass_scrapy.fakes import FakeService, FakeSite

CONFIG = Config("http://service")


def options(chosen: object) -> object:
    return options_of(Request("http://a/", meta={"captcha_bypass": chosen}), CONFIG)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("timeout", value) for value in (-1, 0, math.nan, math.inf, "60", True, None, [1])],
        *[
            ("url", value)
            for value in ("/login", "ftp://a/", "http://", "http://[a/", 5, b"http:/")
        ],
        *[
            ("url", value)
            for value in ("http://u:p@a/", "http://a:99999/", "http://a/" + "x" * 2048)
        ],
        *[("success_text", value) for value in (5, "", "  ", ["a"], True)],
        *[("success_selector", value) for value in (5, "", "a" * 1025)],
        *[("no_challenge", value) for value in ("no", 0, None)],
        *[("block", value) for value in ("image", ["images"], [["image"]], None, {"image": 1}, 5)],
        *[("mode", value) for value in ("magic", None, 5)],
    ],
)
def test_senseless_value_is_refused_by_the_name_of_its_option(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f'meta\\["captcha_bypass"\\]\\["{name}"\\]'):
        options({name: value})


@pytest.mark.parametrize(
    "chosen",
    [
        {"timeout": 1.5},
        {"url": "https://a.example:8443/login?b=c"},
        {"url": None, "success_text": None, "success_selector": None},
        {"success_text": "Welcome", "success_selector": "#a > b"},
        {"no_challenge": False, "success_text": "Welcome"},
        {"block": ["image", "media", "font", "stylesheet"]},
        {"block": ("image",)},
        {"block": []},
        {"mode": "html"},
        {},
    ],
)
def test_sensible_values_are_taken(chosen: dict[str, Any]) -> None:
    options(chosen)


def test_task_without_any_condition_is_refused() -> None:
    with pytest.raises(ValueError, match="success_text or success_selector"):
        options({"no_challenge": False})


async def test_wrong_wish_does_not_wait_for_a_challenge(
    fake_crawl: Crawler, fake: FakeService, guarded: FakeSite
) -> None:
    crawled = await fake_crawl(
        [{"url": f"{guarded.url}/open/1", "meta": {"captcha_bypass": {"block": "image"}}}]
    )

    (error,) = crawled.errors
    assert error["error"] == "ValueError"
    assert "block" in error["reason"]
    assert crawled.items == []
