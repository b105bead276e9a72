"""Whom a solve is good for, and what it keeps for those who wait."""

from __future__ import annotations

from typing import cast

import pytest
from scrapy import Request

from captcha_bypass.challenges import Challenge
from captcha_bypass_scrapy.answers import Solution
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


async def test_what_the_browser_brings_is_kept_for_the_one_who_wants_it_and_once() -> None:
    solve, other = solve_of(), solve_of()
    found = cast("Solution", {"html": "page"})
    solve.keep_solution()

    for each in (solve, other):
        each.worked(found)

    assert solve.take_solution() is found
    assert solve.take_solution() is None
    assert other.take_solution() is None


async def test_those_who_wait_for_a_solve_are_counted() -> None:
    solve = solve_of()
    solve.add_waiter()
    solve.add_waiter()

    assert solve.waiters == 2
