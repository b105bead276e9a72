"""What is remembered of sites, and for whom."""

from __future__ import annotations

from captcha_bypass.client import Cookie
from captcha_bypass.client.sites import MAX_SITES, Clearance, SiteKey, Sites, chosen
from captcha_bypass.client.visits import Visit

KEY = SiteKey.of("https://www.site.test/a", None)


def cleared(*cookies: Cookie, key: SiteKey = KEY) -> Clearance:
    return Clearance(key, cookies, "agent")


def test_a_site_is_its_scheme_host_port_and_proxy() -> None:
    assert SiteKey.of("https://WWW.site.test:443/b?c", None) == KEY
    others = ["http://www.site.test/", "https://site.test/", "https://www.site.test:8443/"]
    assert all(SiteKey.of(url, None) != KEY for url in others)
    assert SiteKey.of("https://www.site.test/", "http://proxy.test:1") != KEY


def test_no_secret_is_in_what_is_printed_of_a_site() -> None:
    key = SiteKey.of("https://site.test/", "http://me:CANARY@proxy.test:1")
    clearance = cleared(Cookie("cf_clearance", "CANARY", ".site.test"), key=key)
    assert "CANARY" not in repr(clearance) + f"{key}" + str(key)
    visit = Visit("GET", "https://site.test/", {"Cookie": "CANARY"}, key.proxy)
    assert "CANARY" not in repr(visit)


def test_a_clearance_of_a_whole_domain_is_good_for_its_other_hosts() -> None:
    sites = Sites()
    sites.add(cleared(Cookie("cf_clearance", "1", ".site.test")))
    assert sites.clearance(SiteKey.of("https://site.test/", None)) is not None
    assert sites.clearance(SiteKey.of("https://site.test/", "http://proxy.test:1")) is None
    assert sites.clearance(SiteKey.of("https://notsite.test/", None)) is None
    sites = Sites()
    sites.add(cleared(Cookie("cf_clearance", "1", "www.site.test")))
    assert sites.clearance(SiteKey.of("https://site.test/", None)) is None


def test_new_values_that_the_site_gives_its_cookies_are_taken_over() -> None:
    sites = Sites()
    found = cleared(Cookie("a", "1", ".site.test"), Cookie("b", "1", "other.test"))
    headers = ["a=2; Path=/", "b=2", "c=3", "a=; Max-Age=0"]
    sites.rotate(found, "https://www.site.test/", headers)
    assert [cookie.value for cookie in found.cookies] == ["2", "1"]
    sites.rotate(found, "https://www.site.test/", ["a=gone; Max-Age=0"])
    assert found.cookies[0].value == "2"


def test_one_request_alone_is_the_first_that_carries_a_clearance() -> None:
    sites, found = Sites(), cleared()
    assert [sites.take_probe(found) for _ in range(3)] == [True, False, False]
    assert sites.take_probe(cleared())


def test_the_vendors_own_cookies_are_chosen_and_all_where_there_are_none() -> None:
    mine, theirs = Cookie("login", "1", "site.test"), Cookie("cf_clearance", "1", "site.test")
    session = Cookie("sid", "1", "site.test")
    assert chosen([mine, theirs, session], "cloudflare", ["login"]) == (theirs,)
    assert chosen([mine, session], "cloudflare", ["login"]) == (session,)
    assert chosen([mine, session], "captcha", []) == (mine, session)


def test_the_oldest_sites_are_forgotten() -> None:
    sites = Sites()
    for number in range(MAX_SITES + 10):
        key = SiteKey.of(f"https://host{number}.test/", None)
        sites.at(key)
        sites.add(cleared(key=key))
    assert len(sites._sites) == len(sites._clearances) == MAX_SITES
