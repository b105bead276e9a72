"""Whose clearance goes where, what it does to a request, and what becomes of it."""

from __future__ import annotations

import time

import pytest
from scrapy import Request

from captcha_bypass_scrapy.clearance import Clearance, Clearances
from captcha_bypass_scrapy.cookies import Cookie
from captcha_bypass_scrapy.keys import Proxy, SiteKey

HOST = "http://a.site.example"
SIBLING = "http://b.site.example"
PROXY = Proxy("http://p:1")


def cookie(domain: str, name: str = "cf_clearance", path: str = "/") -> Cookie:
    return Cookie(name, "v", domain, path)


def clearance(*cookies: Cookie, user_agent: str | None = "Firefox") -> Clearance:
    return Clearance(7, "cloudflare", cookies, user_agent)


def solved(
    clearances: Clearances,
    origin: str,
    *others: str,
    domain: str = "",
    name: str = "cf_clearance",
    exit_: Proxy | None = None,
) -> Clearance:
    """Store a clearance as a solve of this origin would."""
    cookies = (cookie(domain or origin.partition("://")[2], name),)
    keys = [SiteKey(other, exit_) for other in others]
    return clearances.solved(SiteKey(origin, exit_), keys, "cloudflare", cookies, "Firefox")


# On a request and off again


def test_request_leaves_with_cookies_and_user_agent_and_comes_back_as_it_was() -> None:
    request = Request(f"{HOST}/p", headers={"Cookie": "mine=1", "User-Agent": "spider"})
    before = request.headers.copy()

    worn = clearance(cookie("a.site.example")).attach(request)

    assert request.headers["Cookie"] == b"mine=1; cf_clearance=v"
    assert request.headers["User-Agent"] == b"Firefox"
    assert worn.generation == 7
    worn.detach(request)
    assert request.headers == before


def test_request_without_headers_has_none_afterwards() -> None:
    request = Request(f"{HOST}/p")

    worn = clearance(cookie("a.site.example")).attach(request)

    assert request.headers["Cookie"] == b"cf_clearance=v"
    worn.detach(request)
    assert dict(request.headers) == {}


def test_cookies_go_only_where_a_browser_would_send_them() -> None:
    request = Request(f"{HOST}/p")

    clearance(
        cookie("a.site.example", "here"),
        cookie("b.site.example", "sibling"),
        cookie(".site.example", "domain"),
        cookie("a.site.example", "elsewhere", path="/q"),
    ).attach(request)

    assert request.headers["Cookie"] == b"here=v; domain=v"


def test_clearance_without_a_cookie_for_the_page_still_has_the_browsers_user_agent() -> None:
    """Where the address alone is cleared, and by the user-agent that passed."""
    request = Request(f"{HOST}/p", headers={"Cookie": "mine=1"})

    clearance().attach(request)

    assert (request.headers["Cookie"], request.headers["User-Agent"]) == (b"mine=1", b"Firefox")


def test_user_agent_that_is_not_known_leaves_the_requests_own() -> None:
    request = Request(f"{HOST}/p", headers={"User-Agent": "spider"})

    clearance(cookie("a.site.example"), user_agent=None).attach(request)

    assert request.headers["User-Agent"] == b"spider"


def test_requests_own_cookie_of_that_name_is_there_again_afterwards() -> None:
    request = Request(f"{HOST}/p", headers={"Cookie": "cf_clearance=old; mine=1"})

    worn = clearance(cookie("a.site.example")).attach(request)

    assert request.headers["Cookie"] == b"mine=1; cf_clearance=v"
    worn.detach(request)
    assert request.headers["Cookie"] == b"cf_clearance=old; mine=1"


# What becomes of one


def test_clearance_follows_what_the_site_rotates_it_to_and_says_so() -> None:
    found = clearance(cookie("a.site.example"))

    assert not found.rotate(HOST, ["other=1"])
    assert found.rotate(HOST, ["cf_clearance=new"])
    assert not found.rotate(HOST, ["cf_clearance=new"])  # it has that already
    assert [c.value for c in found.cookies] == ["new"]


def test_clearance_takes_what_a_browser_had_on_a_later_page() -> None:
    found = clearance(cookie("a.site.example"))

    found.renew((cookie("a.site.example", "__cf_bm"),), "Firefox/2")

    assert ([c.name for c in found.cookies], found.user_agent) == (["__cf_bm"], "Firefox/2")
    assert found.generation == 7  # requests that carry it are no late ones


def test_age_is_counted_from_its_birth() -> None:
    found = clearance()
    found.born = time.monotonic() - 10

    assert found.older_than(9)
    assert not found.older_than(11)


@pytest.mark.parametrize(
    ("domain", "path", "opens", "spans"),
    [
        ("a.site.example", "/", True, False),
        ("a.site.example", "/deep", True, False),
        (".site.example", "/", True, True),
        (".site.example", "/deep", True, True),
        ("b.site.example", "/", False, False),
        (".other.example", "/", False, False),
    ],
)
def test_clearance_opens_a_host_by_a_cookie_for_it_or_its_domain(
    domain: str, path: str, *, opens: bool, spans: bool
) -> None:
    found = clearance(cookie(domain, path=path))

    assert (found.opens(HOST), found.spans(HOST)) == (opens, spans)


# Which is whose


def test_there_is_none_before_the_first_solve() -> None:
    clearances = Clearances()

    assert not clearances
    assert clearances.current(SiteKey(HOST, None)) is None
    assert not clearances.has_own(SiteKey(HOST, None))
    assert not clearances.spans_domain(SiteKey(HOST, None))


def test_key_has_the_newest_of_its_clearances() -> None:
    clearances = Clearances()
    first, second = solved(clearances, HOST), solved(clearances, HOST)

    assert clearances.current(SiteKey(HOST, None)) is second
    assert second.generation > first.generation
    assert clearances


def test_new_run_takes_no_old_number_for_its_own() -> None:
    """Requests in a JOBDIR say which they carried."""
    first = solved(Clearances(), HOST)
    second = solved(Clearances(), HOST)

    assert second.generation > first.generation
    assert first.generation > 1_700_000_000 * 10**9


def test_cookie_of_a_domain_is_a_clearance_for_its_hosts_and_renewed_for_all() -> None:
    clearances = Clearances()
    first = solved(clearances, HOST, domain=".site.example")

    assert clearances.current(SiteKey(SIBLING, None)) is first
    assert clearances.current(SiteKey("http://site.other", None)) is None
    assert clearances.current(SiteKey(SIBLING, PROXY)) is None
    second = solved(clearances, SIBLING, domain=".site.example")
    assert clearances.current(SiteKey(HOST, None)) is second


def test_host_knows_whether_its_clearance_was_made_for_it() -> None:
    clearances = Clearances()
    solved(clearances, HOST, domain=".site.example")

    assert (
        clearances.has_own(SiteKey(HOST, None)),
        clearances.has_own(SiteKey(SIBLING, None)),
    ) == (
        True,
        False,
    )
    assert clearances.spans_domain(SiteKey(HOST, None))


def test_newest_of_two_domains_clearances_counts() -> None:
    clearances = Clearances()
    solved(clearances, HOST, domain=".site.example", name="a")
    second = solved(clearances, SIBLING, domain=".site.example", name="b")

    assert clearances.current(SiteKey("http://c.site.example", None)) is second
    third = solved(clearances, HOST, domain=".site.example", name="c")
    assert clearances.current(SiteKey("http://c.site.example", None)) is third


def test_cookie_of_one_host_is_no_clearance_for_its_siblings() -> None:
    clearances = Clearances()
    mine = solved(clearances, HOST)

    assert clearances.current(SiteKey(SIBLING, None)) is None
    assert not clearances.spans_domain(SiteKey(HOST, None))
    solved(clearances, SIBLING)
    assert clearances.current(SiteKey(HOST, None)) is mine


def test_proxies_have_clearances_of_their_own() -> None:
    clearances = Clearances()
    direct = solved(clearances, HOST, domain=".site.example")
    proxied = solved(clearances, HOST, domain=".site.example", exit_=PROXY)

    assert clearances.current(SiteKey(HOST, None)) is direct
    assert clearances.current(SiteKey(HOST, PROXY)) is proxied
    assert clearances.current(SiteKey(HOST, Proxy("http://p:1", "another login"))) is None


def test_host_that_was_come_by_on_the_way_has_it_too() -> None:
    clearances = Clearances()
    found = solved(clearances, HOST, SIBLING, "http://check.vendor.example")

    assert clearances.current(SiteKey(SIBLING, None)) is found
    assert clearances.current(SiteKey("http://check.vendor.example", None)) is found


def test_host_on_the_way_keeps_a_clearance_that_the_new_one_is_none_for() -> None:
    clearances = Clearances()
    before = solved(clearances, SIBLING)
    solved(clearances, HOST, SIBLING)

    assert clearances.current(SiteKey(SIBLING, None)) is before


def test_clearance_of_a_host_that_moved_is_renewed_where_it_moved_to() -> None:
    clearances = Clearances()
    old, new = "http://old.example", "http://new.example"
    solved(clearances, old, new, domain="new.example")

    second = solved(clearances, old, new, domain="new.example")

    assert clearances.current(SiteKey(new, None)) is second


def test_whoever_attaches_clearances_hears_of_a_new_one_when_it_is_in_place() -> None:
    clearances = Clearances()
    seen: list[Clearance | None] = []
    clearances.changed = lambda: seen.append(clearances.current(SiteKey(HOST, None)))

    found = solved(clearances, HOST)

    assert seen == [found]
