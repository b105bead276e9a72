"""Which cookies of a request are the spider's own, and which the site has set."""

from __future__ import annotations

import pytest
from scrapy import Request
from scrapy.http import Response

import captcha_bypass_scrapy.site_cookies as site_cookies_module
from captcha_bypass_scrapy.site_cookies import SiteCookies, jar_of

PAGE = "http://site.example/page"


def request(cookie: str | bytes = b"", url: str = PAGE, **meta: object) -> Request:
    return Request(url, headers={"Cookie": cookie} if cookie else {}, meta=meta)


def answered(cookies: SiteCookies, asked: Request, *set_cookies: str | bytes) -> None:
    cookies.downloaded(asked, Response(asked.url, headers={"Set-Cookie": list(set_cookies)}))


def parted(cookies: SiteCookies, asked: Request) -> tuple[dict[str, str], dict[str, str]]:
    """What is the spider's, and what the site's."""
    own, site = cookies.split(asked)
    return {c["name"]: c["value"] for c in own}, {c["name"]: c["value"] for c in site}


def test_request_without_cookies_has_none() -> None:
    assert parted(SiteCookies(), request()) == ({}, {})


def test_cookies_that_no_site_has_set_are_the_spiders() -> None:
    assert parted(SiteCookies(), request("a=1; b=two words")) == ({"a": "1", "b": "two words"}, {})


def test_cookie_that_the_site_has_set_is_the_sites_as_long_as_the_value_is() -> None:
    cookies = SiteCookies()
    answered(cookies, request(), "sid=1; Path=/; HttpOnly", "lang=en")
    assert parted(cookies, request("sid=1; lang=de; mine=x")) == (
        {"lang": "de", "mine": "x"},
        {"sid": "1"},
    )


def test_older_value_of_a_renewed_cookie_is_the_sites_too() -> None:
    """A request may have left before the answer that renewed it."""
    cookies = SiteCookies()
    for value in ("1", "2", "3"):
        answered(cookies, request(), f"sid={value}")
    for value in ("1", "2", "3"):
        assert parted(cookies, request(f"sid={value}")) == ({}, {"sid": value})


@pytest.mark.parametrize(
    "other",
    [
        request("sid=1", "https://site.example/page"),
        request("sid=1", "http://www.site.example/page"),
        request("sid=1", cookiejar=2),
    ],
    ids=repr,
)
def test_other_sites_and_jars_have_cookies_of_their_own(other: Request) -> None:
    cookies = SiteCookies()
    answered(cookies, request(cookiejar=1), "sid=1")
    assert parted(cookies, other) == ({"sid": "1"}, {})
    assert parted(cookies, request("sid=1", cookiejar=1)) == ({}, {"sid": "1"})


@pytest.mark.parametrize("name", ["cf_clearance", "datadome", "incap_ses_9_1", "aws-waf-token"])
def test_clearances_are_left_to_the_browser(name: str) -> None:
    """Scrapy's own may have come with the very challenge."""
    assert parted(SiteCookies(), request(f"{name}=stale; a=1")) == ({"a": "1"}, {})


def test_value_beyond_ascii_is_for_the_beginning_of_a_session() -> None:
    assert parted(SiteCookies(), request("name=Zoë".encode())) == ({}, {"name": "Zoë"})


@pytest.mark.parametrize("cookie", ["a=b\x01c", f"a={'x' * 5000}", "=nameless"])
def test_what_no_browser_keeps_is_left_out(cookie: str) -> None:
    assert parted(SiteCookies(), request(f"{cookie}; b=1"))[0] == {"b": "1"}


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_cookies_module, "MAX_SITES", 2)
    monkeypatch.setattr(site_cookies_module, "MAX_PAIRS", 3)
    cookies = SiteCookies()
    for number in range(10):
        answered(cookies, request(), f"sid={number}")
    assert parted(cookies, request("sid=6"))[0] == {"sid": "6"}
    assert parted(cookies, request("sid=7"))[1] == {"sid": "7"}
    for host in ("a", "b"):
        answered(cookies, request(url=f"http://{host}.example/"), "sid=1")
    assert parted(cookies, request("sid=7"))[0] == {"sid": "7"}
    assert len(cookies._set) == 2


def test_responses_of_files_and_without_cookies_are_nothing() -> None:
    cookies = SiteCookies()
    answered(cookies, request(url="data:,x"), "sid=1")
    cookies.downloaded(request(), Response(PAGE))
    assert len(cookies._set) == 0


@pytest.mark.parametrize("jar", [0, 1, "one", ("a", 1)])
def test_jars_have_names_of_their_own(jar: object) -> None:
    assert jar_of(request(cookiejar=jar)) == repr(jar)
    assert jar_of(request()) == ""
