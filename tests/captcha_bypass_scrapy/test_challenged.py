"""A request that met a challenge, with all that decides how it is solved."""

from __future__ import annotations

import pytest
from scrapy import Request

from captcha_bypass.challenges import Challenge
from captcha_bypass_scrapy.challenged import Challenged
from captcha_bypass_scrapy.keys import Proxy, SiteKey, target_of
from captcha_bypass_scrapy.options import options_of
from captcha_bypass_scrapy.settings import Config

CONFIG = Config("http://service")


def challenged(request: Request) -> Challenged:
    options = options_of(request, CONFIG)
    challenge = Challenge("cloudflare", "automatic")
    return Challenged(request, challenge, target_of(request, options.url), options, None)


def test_challenge_is_solved_for_the_requests_site_through_its_proxy() -> None:
    meta = {"proxy": "http://u:v@p:1", "redirect_urls": ["http://site.example/page"]}
    request = Request("http://check.vendor.example/", meta=meta)

    assert challenged(request).key == SiteKey("http://site.example", Proxy("http://p:1", "u", "v"))
    assert challenged(request).carried == ()


@pytest.mark.parametrize(
    ("request_", "wants"),
    [
        (Request("http://a/"), False),
        (Request("http://a/", meta={"captcha_bypass": "html"}), True),
        (Request("http://a/", meta={"captcha_bypass": {"mode": "html"}}), True),
        (Request("http://a/", method="POST", meta={"captcha_bypass": "html"}), False),
    ],
)
def test_browsers_page_is_wanted_as_its_own_options_say(request_: Request, *, wants: bool) -> None:
    assert challenged(request_).wants_page is wants
