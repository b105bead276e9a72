"""Where a request goes and how it gets there: the key of a clearance."""

from __future__ import annotations

import base64
import json
import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy import Request
from scrapy.downloadermiddlewares.httpproxy import HttpProxyMiddleware

from captcha_bypass_scrapy.compat import HOOK_ARGUMENTS
from captcha_bypass_scrapy.keys import Exit, Key, exit_of, origin_of, same_site

SITE = "http://site.example"
#: What people have in logins, in the encoding that HttpProxyMiddleware writes by default.
LOGINS = st.text(string.ascii_letters + string.digits + "@:/%?#+ \u00e9\u00fc", min_size=1)


# Origins


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
        ("http://p:1", Exit("http://p:1")),
        ("http://u:p%40%3A@p:1", Exit("http://p:1", "u", "p@:")),
        ("http://u:@p:1", Exit("http://p:1", "u", None)),
        ("http://p", Exit("http://p:80")),
        ("https://u:v@p", Exit("https://p:443", "u", "v")),
        ("p:3128", Exit("http://p:3128")),
        ("socks5://u:v@p:9", Exit("socks5://p:9", "u", "v")),
        ("socks5://p", Exit("socks5://p:1080")),
        ("http://u:v@[::1]:8", Exit("http://[::1]:8", "u", "v")),
    ],
)
def test_exit_is_rebuilt_with_its_login(
    proxy: str | None, expected: Exit | None, behind: bool
) -> None:
    request = Request(SITE, meta={"proxy": proxy})
    if behind and proxy is not None and "://" in proxy:
        HttpProxyMiddleware().process_request(request, **HOOK_ARGUMENTS)

    assert exit_of(request) == expected


@pytest.mark.parametrize("proxy", ["", None])
def test_request_without_a_proxy_leaves_by_none(proxy: str | None) -> None:
    assert exit_of(Request(SITE)) is exit_of(Request(SITE, meta={"proxy": proxy})) is None


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
    assert exit_of(Request(SITE, meta={"proxy": proxy})) == Exit(server)


@given(LOGINS, LOGINS)
def test_login_is_the_same_on_both_sides_of_http_proxy(username: str, password: str) -> None:
    url = f"http://{quote(username, safe='')}:{quote(password, safe='')}@p:1"
    before = exit_of(Request(SITE, meta={"proxy": url}))
    behind = Request(SITE, meta={"proxy": url})
    HttpProxyMiddleware(auth_encoding="utf-8").process_request(behind, **HOOK_ARGUMENTS)

    assert before == Exit("http://p:1", username, password)
    # A name with a colon cannot be told from its password in the header.
    if ":" not in username:
        assert exit_of(behind) == before


@pytest.mark.parametrize(
    "header",
    [b"Bearer abc", b"Basic", b"Basic ???", b"Basic YWJ", b"", b"basic", b"\xff\xff"],
)
def test_header_that_holds_no_login_is_none(header: bytes) -> None:
    request = Request(SITE, meta={"proxy": "http://p:1"}, headers={"Proxy-Authorization": header})

    assert exit_of(request) == Exit("http://p:1")


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

    assert exit_of(request) == Exit("http://p:1", *expected)


def test_login_in_the_url_wins_over_an_old_header() -> None:
    """A rotating proxy's URL is newer than what an earlier pass has left."""
    header = b"Basic " + base64.b64encode(b"old:old")
    request = Request(
        SITE, meta={"proxy": "http://new:pw@p:1"}, headers={"Proxy-Authorization": header}
    )

    assert exit_of(request) == Exit("http://p:1", "new", "pw")


def test_two_logins_at_one_proxy_are_two_exits() -> None:
    assert Exit("http://p:1", "a", "x") != Exit("http://p:1", "b", "x")
    assert Exit("http://p:1", "a", "x") != Exit("http://p:1", "a", "y")
    assert len({Exit("http://p:1", "a", "x"), Exit("http://p:1", "a", "x")}) == 1


def test_exits_login_stays_out_of_logs() -> None:
    exit_ = Exit("http://p:1", "user", "secret")
    key = Key(SITE, exit_)

    for shown in (f"{exit_}", f"{exit_!r}", f"{key}", f"{key!r}"):
        assert "http://p:1" in shown
        assert "secret" not in shown
        assert "user" not in shown


def test_exit_is_a_tasks_proxy() -> None:
    assert Exit("http://p:1", "u", "v").as_task() == {
        "server": "http://p:1",
        "username": "u",
        "password": "v",
    }
    assert json.dumps(Exit("http://p:1").as_task()) == '{"server": "http://p:1"}'


def test_key_is_told_by_its_site_and_its_proxy() -> None:
    assert str(Key(SITE, None)) == "http://site.example"
    assert str(Key(SITE, Exit("http://p:1"))) == "http://site.example through http://p:1"
