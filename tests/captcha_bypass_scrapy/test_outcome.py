"""What callbacks are told, beside the request's own options and never in place of them."""

from __future__ import annotations

from typing import Any

import pytest
from scrapy import Request

from captcha_bypass_scrapy import outcome
from captcha_bypass_scrapy.options import OPTIONS, options_of
from captcha_bypass_scrapy.settings import Config

PAGE = "http://site.example/page"
TOLD = {"vendor": "cloudflare", "seconds": 1.235, "by": "cookies"}
CONFIG = Config(url="http://service")
OWN = [
    pytest.param({}, {}, id="none"),
    pytest.param({"captcha_bypass": "html"}, {"mode": "html"}, id="mode"),
    pytest.param({"captcha_bypass": {"timeout": 9}}, {"timeout": 9}, id="options"),
]


def told(meta: dict[str, Any]) -> Request:
    request = Request(PAGE, meta=meta)
    outcome.tell(request, "cloudflare", 1.23456, "cookies")
    return request


@pytest.mark.parametrize(("meta", "options"), OWN)
def test_response_says_who_challenged_and_how_it_was_got(
    meta: dict[str, Any], options: dict[str, Any]
) -> None:
    assert told(meta).meta == {"captcha_bypass": {**options, **TOLD}}


@pytest.mark.parametrize(("meta", "options"), OWN)
def test_request_with_the_meta_of_a_response_has_its_options_and_nothing_else(
    meta: dict[str, Any], options: dict[str, Any]
) -> None:
    first = told(meta)
    following = Request(PAGE, meta=first.meta)
    assert options_of(following, CONFIG) == options_of(Request(PAGE, meta=meta), CONFIG)
    outcome.forget(following)
    assert following.meta.get("captcha_bypass", {}) == options
    assert first.meta == {"captcha_bypass": {**options, **TOLD}}, "the response keeps what it says"


def test_options_of_many_requests_may_be_one_dict() -> None:
    shared = {"timeout": 9}
    request = told({"captcha_bypass": shared})
    outcome.forget(request)
    assert shared == {"timeout": 9}


@pytest.mark.parametrize("meta", [{}, {"captcha_bypass": False}, {"captcha_bypass": "nonsense"}])
def test_what_says_nothing_stays_as_it_is(meta: dict[str, Any]) -> None:
    request = Request(PAGE, meta=meta)
    outcome.forget(request)
    assert request.meta == meta


def test_no_option_is_called_as_what_is_told() -> None:
    assert not OPTIONS & outcome.KEYS
