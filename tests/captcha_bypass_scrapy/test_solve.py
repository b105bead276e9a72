"""Whom a solve is good for."""

from __future__ import annotations

import pytest
from scrapy import Request

from captcha_bypass.challenges import Challenge
from captcha_bypass_scrapy.challenged import Challenged
from captcha_bypass_scrapy.keys import SiteKey, Target
from captcha_bypass_scrapy.options import Options
from captcha_bypass_scrapy.solve import Solve

SHARED = Options("auto", 60.0, None, None)
OWN = Options("auto", 60.0, "Welcome", None, shared=False)


def solve_of(urls: tuple[str, ...] = ()) -> Solve:
    key = SiteKey("http://a.site.example", None)
    request = Request(f"{key.origin}/")
    target = Target(key, urls, request.url, (request.url,))
    challenge = Challenge("cloudflare", "automatic")
    return Solve(1, Challenged(request, challenge, target, SHARED, None), None)


@pytest.mark.parametrize(
    ("url", "concerned"),
    [
        ("http://a.site.example/x", True),
        ("http://start.example/y?z", True),
        ("https://a.site.example/x", False),
        ("http://b.site.example/", False),
    ],
)
async def test_solve_concerns_those_who_were_challenged_where_it_is_solved(
    url: str, *, concerned: bool
) -> None:
    solve = solve_of(("http://start.example/", "http://a.site.example/"))

    assert solve.concerns(url) is concerned


async def test_solve_fits_who_asks_for_the_same() -> None:
    assert solve_of().fits(Options("html", 60.0, None, None, retry_times=9))
    assert not solve_of().fits(OWN)
