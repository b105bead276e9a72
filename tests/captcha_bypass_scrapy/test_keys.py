"""Where a request goes and how it gets there: the key of a clearance."""

from __future__ import annotations

import base64
import json
import string
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy import Request
from scrapy.downloadermiddlewares.httpproxy import HttpProxyMiddleware
from scrapy.http.request import NO_CALLBACK

import captcha_bypass_scrapy.keys as keys_module
from captcha_bypass_scrapy.compat import HOOK_ARGUMENTS
from captcha_bypass_scrapy.keys import (
    Proxy,
    SiteKey,
    first_url,
    home_url,
    host_of,
    key_of,
    origin_of,
    pages_to_open,
    proxy_of,
    registered_domain,
    same_site,
    target_of,
)

SITE = "http://site.example"
#: What people have in logins, in the encoding that HttpProxyMiddleware writes by default.
LOGINS = st.text(string.ascii_letters + string.digits + "@:/%?#+ \u00e9\u00fc", min_size=1)


# Hosts and origins


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://WWW.Site.Example:8443/x", "www.site.example"),
        ("http://[2001:DB8::1]/", "2001:db8::1"),
        ("http://me:secret@site.example", "site.example"),
        ("data:,x", ""),
    ],
)
def test_host_is_as_a_url_names_it_in_lower_case(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://site.example", "http://site.example"),
        ("HTTP://Site.Example/a?b", "http://site.example"),
        ("http://site.example:80/", "http://site.example"),
        ("https://site.example:443/", "https://site.example"),
        ("https://site.example:80/", "https://site.example:80"),
        ("https://site.example:8443/", "https://site.example:8443"),
        ("http://site.example:/", "http://site.example"),
        ("http://me:secret@site.example/", "http://site.example"),
        ("http://[::1]:80/", "http://[::1]"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
    ],
)
def test_origin_is_normalised(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@given(
    st.sampled_from(["http", "https"]),
    st.from_regex(r"[a-z][a-z0-9]{0,8}(\.[a-z]{2,5}){1,2}", fullmatch=True),
    st.none() | st.integers(1, 65535),
    st.text(string.ascii_letters + "/.?&=", max_size=12),
)
def test_origin_of_an_origin_is_itself(scheme: str, host: str, port: int | None, path: str) -> None:
    url = f"{scheme}://{host}{'' if port is None else f':{port}'}/{path}"

    found = origin_of(url)

    assert origin_of(found) == origin_of(f"{found}/other") == found


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://site.example/", "https://www.site.example/", True),
        ("https://www.site.example/", "http://site.example:8080/a", True),
        ("http://SITE.example/", "http://site.example/", True),
        ("http://a.site.example/", "http://b.site.example/", False),
        ("http://site.example/", "http://othersite.example/", False),
        ("http://site.example/", "http://site.example.evil/", False),
        ("http://127.0.0.1/", "http://127.0.0.1:81/", True),
    ],
)
def test_redirect_stays_at_home_within_a_host_and_what_is_below_it(
    one: str, other: str, *, same: bool
) -> None:
    assert same_site(one, other) is same
    assert same_site(other, one) is same


# Proxies


@pytest.mark.parametrize("behind", [False, True], ids=["before HttpProxy", "behind HttpProxy"])
@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        (None, None),
        ("http://p:1", Proxy("http://p:1")),
        ("http://u:p%40%3A@p:1", Proxy("http://p:1", "u", "p@:")),
        ("http://u:@p:1", Proxy("http://p:1", "u", None)),
        ("http://p", Proxy("http://p:80")),
        ("https://u:v@p", Proxy("https://p:443", "u", "v")),
        ("p:3128", Proxy("http://p:3128")),
        ("socks5://u:v@p:9", Proxy("socks5://p:9", "u", "v")),
        ("socks5://p", Proxy("socks5://p:1080")),
        ("http://u:v@[::1]:8", Proxy("http://[::1]:8", "u", "v")),
    ],
)
def test_proxy_is_rebuilt_with_its_login(
    proxy: str | None, expected: Proxy | None, behind: bool
) -> None:
    request = Request(SITE, meta={"proxy": proxy})
    if behind and proxy is not None and "://" in proxy:
        HttpProxyMiddleware().process_request(request, **HOOK_ARGUMENTS)

    assert proxy_of(request) == expected


@pytest.mark.parametrize("proxy", ["", None])
def test_request_without_a_proxy_leaves_by_none(proxy: str | None) -> None:
    assert proxy_of(Request(SITE)) is proxy_of(Request(SITE, meta={"proxy": proxy})) is None


@pytest.mark.parametrize(
    ("proxy", "server"),
    [
        ("//p:3128", "http://p:3128"),  # as some lists write it
        ("P.Example:3128", "http://p.example:3128"),
        ("HTTP://p:1", "http://p:1"),
        ("http://p:1/", "http://p:1"),
        ("socks4://p:1", "socks4://p:1"),  # which the service refuses in its own words
    ],
)
def test_proxies_that_are_one_have_one_name(proxy: str, server: str) -> None:
    assert proxy_of(Request(SITE, meta={"proxy": proxy})) == Proxy(server)


@given(LOGINS, LOGINS)
def test_login_is_the_same_on_both_sides_of_http_proxy(username: str, password: str) -> None:
    url = f"http://{quote(username, safe='')}:{quote(password, safe='')}@p:1"
    before = proxy_of(Request(SITE, meta={"proxy": url}))
    behind = Request(SITE, meta={"proxy": url})
    HttpProxyMiddleware(auth_encoding="utf-8").process_request(behind, **HOOK_ARGUMENTS)

    assert before == Proxy("http://p:1", username, password)
    # A name with a colon cannot be told from its password in the header.
    if ":" not in username:
        assert proxy_of(behind) == before


@pytest.mark.parametrize(
    "header",
    [b"Bearer abc", b"Basic", b"Basic ???", b"Basic YWJ", b"", b"basic", b"\xff\xff"],
)
def test_header_that_holds_no_login_is_none(header: bytes) -> None:
    request = Request(SITE, meta={"proxy": "http://p:1"}, headers={"Proxy-Authorization": header})

    assert proxy_of(request) == Proxy("http://p:1")


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        (b"u:v", ("u", "v")),
        (b"u:v:w", ("u", "v:w")),
        (b"u:", ("u", None)),
        (b"u", ("u", None)),
        (b":", (None, None)),
        ("m\u00fcller:\u00e9".encode(), ("m\u00fcller", "\u00e9")),
        ("m\u00fcller:\u00e9".encode("latin-1"), ("m\u00fcller", "\u00e9")),
    ],
)
def test_login_in_the_header_is_read_in_the_encodings_that_scrapy_writes(
    login: bytes, expected: tuple[str | None, str | None]
) -> None:
    header = b"BASIC " + base64.b64encode(login)
    request = Request(SITE, meta={"proxy": "http://p:1"}, headers={"Proxy-Authorization": header})

    assert proxy_of(request) == Proxy("http://p:1", *expected)


def test_login_in_the_url_wins_over_an_old_header() -> None:
    """A rotating proxy's URL is newer than what an earlier pass has left."""
    header = b"Basic " + base64.b64encode(b"old:old")
    request = Request(
        SITE, meta={"proxy": "http://new:pw@p:1"}, headers={"Proxy-Authorization": header}
    )

    assert proxy_of(request) == Proxy("http://p:1", "new", "pw")


def test_two_logins_at_one_proxy_are_two_proxies() -> None:
    assert Proxy("http://p:1", "a", "x") != Proxy("http://p:1", "b", "x")
    assert Proxy("http://p:1", "a", "x") != Proxy("http://p:1", "a", "y")
    assert len({Proxy("http://p:1", "a", "x"), Proxy("http://p:1", "a", "x")}) == 1


def test_proxys_login_stays_out_of_logs() -> None:
    proxy = Proxy("http://p:1", "user", "secret")
    key = SiteKey(SITE, proxy)

    for shown in (f"{proxy}", f"{proxy!r}", f"{key}", f"{key!r}"):
        assert "http://p:1" in shown
        assert "secret" not in shown
        assert "user" not in shown


def test_proxy_is_a_field_of_a_task() -> None:
    assert Proxy("http://p:1", "u", "v").as_task() == {
        "server": "http://p:1",
        "username": "u",
        "password": "v",
    }
    assert json.dumps(Proxy("http://p:1").as_task()) == '{"server": "http://p:1"}'


def test_key_is_told_by_its_site_and_its_proxy() -> None:
    assert str(SiteKey(SITE, None)) == "http://site.example"
    assert str(SiteKey(SITE, Proxy("http://p:1"))) == "http://site.example through http://p:1"


# What one owner has registered


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("example.com", "example.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("alice.github.io", "alice.github.io"),  # its pages are not github's
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("a.b.internal", "b.internal"),
        ("localhost", "localhost"),
        ("", ""),
    ],
)
def test_registered_domain_is_what_one_owner_has(host: str, domain: str) -> None:
    assert registered_domain(host) == domain


def test_registered_domain_asks_nobody_and_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of suffixes comes with the package; a crawler has no business at its publisher."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it asked the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    keys_module._split.cache_clear()
    registered_domain("warm.example.org")

    started = time.perf_counter()
    for n in range(1000):
        registered_domain(f"{n}.shop.example.org")
    assert time.perf_counter() - started < 10  # reading the list anew each time takes longer


@pytest.mark.parametrize(
    ("origin", "host", "domain"),
    [
        ("http://www.shop.example.co.uk:8080", "www.shop.example.co.uk", "example.co.uk"),
        ("http://[::1]:8080", "::1", "::1"),
        ("https://127.0.0.1", "127.0.0.1", "127.0.0.1"),
    ],
)
def test_key_knows_its_host_and_whose_it_is(origin: str, host: str, domain: str) -> None:
    key = SiteKey(origin, Proxy("http://p:1"))

    assert (key.host, key.domain) == (host, domain)


# Which page, and whose challenge


def redirected(*urls: str, **meta: object) -> Request:
    """A request that came to the last URL from the others."""
    *before, last = urls
    return Request(last, meta={"redirect_urls": before, **meta} if before else meta)


@pytest.mark.parametrize(
    ("urls", "first", "home"),
    [
        ([f"{SITE}/a"], f"{SITE}/a", f"{SITE}/a"),
        # Within the site: the clearance is needed where it ends.
        ([f"{SITE}/a", "https://www.site.example/b"], f"{SITE}/a", "https://www.site.example/b"),
        # To the vendor's page: it is needed where the request came from.
        ([f"{SITE}/a", "http://check.vendor.example/"], f"{SITE}/a", f"{SITE}/a"),
        ([f"{SITE}/a", f"{SITE}/b", "http://check.vendor.example/"], f"{SITE}/a", f"{SITE}/a"),
    ],
)
def test_challenge_stands_for_the_site_that_was_asked(
    urls: list[str], first: str, home: str
) -> None:
    request = redirected(*urls)

    assert (first_url(request), home_url(request)) == (first, home)
    target = target_of(request, None)
    assert (target.key, target.page) == (SiteKey(origin_of(home), None), home)
    assert (target.urls, target.pages) == (tuple(urls), (first,))
    assert target.opens_page is (home == first)
    assert key_of(request) == SiteKey(origin_of(urls[-1]), None)


def test_keys_of_a_request_have_its_proxy() -> None:
    request = redirected(f"{SITE}/a", "http://check.vendor.example/", proxy="http://u:v@p:1")

    proxy = Proxy("http://p:1", "u", "v")
    assert target_of(request, None).key == SiteKey(SITE, proxy)
    assert key_of(request) == SiteKey("http://check.vendor.example", proxy)


def test_page_that_the_request_names_is_opened_and_no_other() -> None:
    assert pages_to_open(redirected(f"{SITE}/a", f"{SITE}/b"), f"{SITE}/login") == [f"{SITE}/login"]
    assert pages_to_open(Request(f"{SITE}/i.png", callback=NO_CALLBACK), f"{SITE}/login") == [
        f"{SITE}/login"
    ]


def test_file_that_is_its_own_page_is_opened_once() -> None:
    assert pages_to_open(Request(f"{SITE}/", callback=NO_CALLBACK), None) == [f"{SITE}/"]


@pytest.mark.parametrize(
    ("request_", "url"),
    [
        (Request(f"{SITE}/a"), f"{SITE}/a"),
        (Request(f"{SITE}/check", meta={"redirect_urls": [f"{SITE}/a"]}), f"{SITE}/a"),
        (Request(f"{SITE}/robots.txt", callback=NO_CALLBACK), f"{SITE}/robots.txt"),
        (Request(f"{SITE}/i.png?x", callback=NO_CALLBACK), f"{SITE}/"),
        (
            Request(f"{SITE}/i.png", callback=NO_CALLBACK, headers={"Referer": f"{SITE}/a"}),
            f"{SITE}/a",
        ),
        (
            Request(f"{SITE}/i.png", callback=NO_CALLBACK, headers={"Referer": "http://else.wh/"}),
            f"{SITE}/",
        ),
    ],
)
def test_browser_opens_a_page_and_only_then_what_pages_load(request_: Request, url: str) -> None:
    first, *then = pages_to_open(request_, None)

    assert first == url
    assert then == ([request_.url] if "i.png" in request_.url else [])
