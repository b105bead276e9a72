"""Which of the browser's cookies are used, and for which request."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captcha_bypass.challenges import CLEARANCE_COOKIES, is_clearance
from captcha_bypass_scrapy.cookies import (
    Cookie,
    beside,
    choose,
    merged_header,
    parse_header,
    rotated,
    set_name,
)

SITE = "http://site.example"
HOUR = 3600.0

LABELS = st.text("abcxyz019-", min_size=1, max_size=6).filter(lambda text: text.strip("-") == text)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
NAMES = st.text("abcXYZ_.-1", min_size=1, max_size=8)
VALUES = st.text("abcXYZ_.-1%&/:", max_size=12)
#: A path of the site, as browsers' URLs have it.
PATHS = st.lists(st.text("ab.1-", min_size=1, max_size=4), max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)


def cookie(name: str = "cf_clearance", domain: str = "site.example", **fields: Any) -> Cookie:  # noqa: ANN401
    return Cookie(name, "v", domain, **fields)


# To and from the service


def test_cookie_of_a_result_is_read_with_all_it_has() -> None:
    fields = {
        "name": "cf_clearance",
        "value": "v",
        "domain": ".site.example",
        "path": "/shop",
        "expires": 1_900_000_000.5,
        "secure": True,
        "httpOnly": True,
        "sameSite": "None",
    }

    assert Cookie.from_result(fields) == Cookie(
        "cf_clearance",
        "v",
        ".site.example",
        path="/shop",
        expires=1_900_000_000.5,
        secure=True,
        http_only=True,
        same_site="None",
    )


def test_cookie_of_a_result_may_leave_out_what_browsers_have_defaults_for() -> None:
    fields = {"name": "a", "value": "", "domain": "site.example", "path": "", "sameSite": None}

    assert Cookie.from_result(fields) == Cookie("a", "", "site.example", "/", -1.0, same_site="Lax")


@given(NAMES, VALUES, HOSTS, PATHS, st.floats(-1, 4e9), st.booleans(), st.booleans())
def test_cookie_comes_back_from_a_browser_as_it_was_sent_there(
    name: str, value: str, domain: str, path: str, expires: float, secure: bool, http_only: bool
) -> None:
    sent = Cookie(name, value, domain, path, expires, secure, http_only, "Strict")

    assert Cookie.from_result(json.loads(json.dumps(sent.as_task()))) == sent


# Where a browser would send it


@pytest.mark.parametrize(
    ("found", "url", "sent"),
    [
        (cookie(), SITE, True),
        (cookie(), "http://SITE.Example/", True),
        (cookie(domain="Site.Example"), SITE, True),
        (cookie(), "http://www.site.example/", False),
        (cookie(domain=".site.example"), "http://www.site.example/", True),
        (cookie(domain=".site.example"), SITE, True),
        (cookie(domain=".site.example"), "http://notsite.example/", False),
        (cookie(domain=".site.example"), "http://example/", False),
        (cookie(path="/a"), f"{SITE}/a/b", True),
        (cookie(path="/a"), f"{SITE}/a", True),
        (cookie(path="/a/"), f"{SITE}/a/b", True),
        (cookie(path="/a/"), f"{SITE}/a", False),
        (cookie(path="/a"), f"{SITE}/ab", False),
        (cookie(path="/a"), f"{SITE}/a?b=/c", True),
        (cookie(secure=True), SITE, False),
        (cookie(secure=True), "https://site.example/", True),
        (cookie(expires=time.time() - 1), SITE, False),
        (cookie(expires=0), SITE, False),
        (cookie(expires=time.time() + HOUR), SITE, True),
        (cookie(domain="::1"), "http://[::1]:80/", True),
        (cookie(domain="[::1]"), "http://[::1]:80/", True),
        (cookie(domain="127.0.0.1"), "http://127.0.0.1:8080/", True),  # ports do not matter
    ],
)
def test_cookie_goes_where_a_browser_would_send_it(found: Cookie, url: str, sent: bool) -> None:
    assert found.goes_to(url) is sent


@given(HOSTS, HOSTS)
def test_cookie_of_a_host_goes_to_no_other(domain: str, host: str) -> None:
    assert cookie(domain=domain).goes_to(f"http://{host}/") is (host == domain)


@given(HOSTS, HOSTS)
def test_cookie_of_a_domain_goes_to_all_its_hosts_and_to_no_other(domain: str, other: str) -> None:
    found = cookie(domain=f".{domain}")

    assert found.goes_to(f"http://{domain}/")
    assert found.goes_to(f"http://{other}.{domain}/")
    assert not found.goes_to(f"http://{other}{domain}.evil/")
    assert not found.goes_to(f"http://x{domain}/") or domain.startswith(f"{domain[1:]}.")


@given(PATHS.filter(lambda path: path != "/"), st.text("ab1", min_size=1, max_size=4))
def test_cookie_of_a_folder_goes_below_it_and_not_beside_it(path: str, rest: str) -> None:
    found = cookie(path=path)

    assert found.goes_to(f"{SITE}{path}/{rest}")
    assert not found.goes_to(f"{SITE}{path}{rest}")
    assert found.goes_to(f"{SITE}{path}{rest}", any_path=True)


def test_any_path_is_no_other_host_and_no_plain_http_for_a_secure_cookie() -> None:
    assert not cookie(path="/a").goes_to("http://other.example/", any_path=True)
    assert not cookie(secure=True, path="/a").goes_to(SITE, any_path=True)


def test_session_cookie_never_expires() -> None:
    assert cookie(expires=-1).live()
    assert not cookie(expires=1.0).live()


# Which are used


@pytest.mark.parametrize(
    ("vendor", "wish", "names"),
    [
        ("cloudflare", "auto", {"cf_clearance"}),
        ("cloudflare", "all", {"cf_clearance", "session"}),
        ("cloudflare", ("sess*",), {"session"}),
        ("cloudflare", ("SESS*",), set()),  # names are not the same in another case
        ("cloudflare", ("nothing",), set()),
        ("cloudflare", ("auto",), set()),  # a name, as it is in a list
        ("datadome", "auto", {"cf_clearance", "session"}),  # its own is not there
        ("captcha", "auto", {"cf_clearance", "session"}),  # its cookies are not known
    ],
)
def test_cookies_are_chosen_by_vendor_or_by_wish(
    vendor: str, wish: str | tuple[str, ...], names: set[str]
) -> None:
    assert {c.name for c in choose([cookie(), cookie("session")], vendor, wish)} == names


@pytest.mark.parametrize("vendor", sorted(CLEARANCE_COOKIES))
def test_vendors_cookies_are_told_from_the_sites(vendor: str) -> None:
    own = {pattern.replace("*", "x1") for pattern in CLEARANCE_COOKIES[vendor]}
    found = [cookie(name) for name in ["session", *sorted(own), "cart"]]

    assert {c.name for c in choose(found, vendor, "auto")} == own
    assert all(is_clearance(name, vendor) for name in own)
    assert not is_clearance("session", vendor)


def test_cookies_keep_their_order_and_come_from_any_iterable() -> None:
    found = (cookie(name) for name in ("__cf_bm", "a", "cf_clearance"))

    assert [c.name for c in choose(found, "cloudflare", "auto")] == ["__cf_bm", "cf_clearance"]


# Headers


@pytest.mark.parametrize(
    ("header", "pairs"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ("a=1;b=2;;  ; c=3", {"a": "1", "b": "2", "c": "3"}),
        ("a=b=c==", {"a": "b=c=="}),
        ("alone; a=1", {"alone": "", "a": "1"}),
        ('a="x y"', {"a": '"x y"'}),
    ],
)
def test_cookie_header_is_read_as_sites_read_it(header: str, pairs: dict[str, str]) -> None:
    assert parse_header(header) == pairs


@given(st.dictionaries(NAMES, VALUES, max_size=5), st.dictionaries(NAMES, VALUES, max_size=5))
def test_ours_win_and_theirs_stay(theirs: dict[str, str], ours: dict[str, str]) -> None:
    header = "; ".join(f"{name}={value}" for name, value in theirs.items()).encode()

    merged = merged_header(header, ours).decode()

    assert parse_header(merged) == {**theirs, **ours}
    assert len(merged.split("; ")) == len({**theirs, **ours}) or merged == ""


def test_bytes_of_a_requests_own_cookies_stay_as_they_are() -> None:
    """Sites that set latin-1 want it back."""
    header = merged_header(b"mine=\xe9; cf_clearance=old", {"cf_clearance": "n\xfc"})

    assert header == b"mine=\xe9; cf_clearance=n\xc3\xbc"


def test_name_in_another_script_is_the_same_name() -> None:
    header = merged_header("gr\u00fc\u00df=old; a=1".encode(), {"gr\u00fc\u00df": "new"})

    assert header.decode() == "a=1; gr\u00fc\u00df=new"
    assert set_name("gr\u00fc\u00df=new; Path=/".encode()) == "gr\u00fc\u00df"


@pytest.mark.parametrize("bad", ["a\r\nHost: b", "a\x00", "a\x7f", "\u2028"])
@pytest.mark.parametrize("where", ["name", "value"])
def test_cookies_that_no_site_could_have_set_are_not_sent(bad: str, where: str) -> None:
    ours = {bad: "v"} if where == "name" else {"n": bad}

    assert merged_header(b"mine=1", {**ours, "good": "2"}) == b"mine=1; good=2"


# What the site rotates them to


def test_rotation_takes_new_values_and_ignores_deletions() -> None:
    old = tuple(cookie(name) for name in "abcd")

    new = rotated(
        old, SITE, ["a=1; Path=/; Max-Age=60", "b=; Max-Age=0", "c=x; Max-Age=0", "other=2"]
    )

    assert [(c.name, c.value) for c in new] == [("a", "1"), ("b", "v"), ("c", "v"), ("d", "v")]
    assert time.time() < new[0].expires <= time.time() + 60


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("cf_clearance=new", "new"),
        ("cf_clearance = new ; HttpOnly", "new"),
        ("cf_clearance=new; max-age=5; MAX-AGE=60", "new"),
        ("cf_clearance=a=b", "a=b"),
        ("cf_clearance=new; Domain=SITE.example", "new"),
        ("cf_clearance=new; Domain=.site.example", "new"),
        ("cf_clearance=new; Domain=", "new"),
        ("cf_clearance=new; Domain=example", "v"),  # a cookie of another place
        ("cf_clearance=new; Domain=other.example", "v"),
        ("cf_clearance=new; Domain=www.site.example", "v"),  # not this host's to set
        ("CF_CLEARANCE=new", "v"),
        ("cf_clearance=deleted; Max-Age=-1", "v"),
        ("cf_clearance", "v"),
        ("=new", "v"),
        ("", "v"),
        (";;;", "v"),
    ],
)
def test_set_cookie_header_gives_a_value_to_the_cookie_of_its_name_and_place(
    header: str, value: str
) -> None:
    (new,) = rotated([cookie()], SITE, [header])

    assert new.value == value


@pytest.mark.parametrize(
    ("url", "header", "value"),
    [
        # For the host alone: another cookie.
        ("http://www.site.example/", "cf_clearance=new; Path=/", "v"),
        ("http://www.site.example/", "cf_clearance=new; Domain=site.example", "new"),
        ("http://evil.example", "cf_clearance=new", "v"),
        ("http://evil.example", "cf_clearance=new; Domain=.site.example", "v"),
    ],
)
def test_cookie_of_a_domain_is_rotated_by_its_hosts_alone(
    url: str, header: str, value: str
) -> None:
    (new,) = rotated([cookie(domain=".site.example")], url, [header])

    assert new.value == value


@pytest.mark.parametrize("age", ["", "soon", "1e3", "\u0663", "9" * 12, "1.5"])
def test_age_that_is_no_number_makes_a_session_cookie(age: str) -> None:
    (new,) = rotated([cookie(expires=5.0)], SITE, [f"cf_clearance=new; Max-Age={age}"])

    assert (new.value, new.expires) == ("new", -1.0)


def test_last_of_several_headers_counts() -> None:
    (new,) = rotated([cookie()], SITE, ["cf_clearance=1", "cf_clearance=2"])

    assert new.value == "2"


def test_headers_length_is_bounded() -> None:
    """A browser would not keep such a cookie either."""
    (new,) = rotated([cookie()], SITE, [f"cf_clearance={'x' * 100_000}"])

    assert len(new.value) < 8192
    assert set_name(b"n" * 100_000) == "n" * 8192


@settings(max_examples=25)
@given(st.lists(st.text(max_size=40), max_size=3), HOSTS)
def test_no_header_whatever_changes_more_than_values(headers: list[str], host: str) -> None:
    old = (cookie("a"), cookie("b", domain=".site.example", path="/x", secure=True))

    new = rotated(old, f"http://{host}/", headers)

    kept = [(c.name, c.domain, c.path, c.secure) for c in old]
    assert [(c.name, c.domain, c.path, c.secure) for c in new] == kept


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"a=b; Path=/", "a"),
        (b" a = b", "a"),
        (b"a", "a"),
        (b"a; b=c", "a"),
        (b"", ""),
        (b"\xe9=1", "\xe9"),
    ],
)
def test_name_of_a_set_cookie_header(header: bytes, name: str) -> None:
    assert set_name(header) == name


# A new clearance beside an old one


def test_old_cookies_stay_beside_new_ones_unless_they_are_set_anew_or_over() -> None:
    now = time.time()
    old = [
        cookie("a"),
        cookie("b", expires=now - 1),
        cookie("c", expires=now + HOUR),
        cookie("a", path="/other"),
        cookie("a", "www.site.example"),
    ]
    new = [cookie("a", expires=now + HOUR)]

    kept = beside(new, old)

    assert kept == (old[2], old[3], old[4], new[0])
    assert beside(new, []) == (new[0],)
