"""What of a request the service is told, and what a clearance changes of it."""

from __future__ import annotations

from captcha_bypass.client import Cookie
from captcha_bypass.client.sites import Clearance
from captcha_bypass.client.visits import Visit

URL = "https://site.test/a/b?c=d#e"


def visit(**headers: str) -> Visit:
    return Visit("GET", URL, {name.replace("_", "-"): value for name, value in headers.items()})


def test_the_browser_is_told_no_fragment() -> None:
    assert visit().page == "https://site.test/a/b?c=d"


def test_headers_that_browsers_set_themselves_stay_out() -> None:
    theirs = {"Host": "x", "User_Agent": "x", "Accept_Encoding": "x", "Sec_Fetch_Mode": "x"}
    theirs |= {"Cookie": "a=b", "Proxy_Authorization": "x", "Content_Length": "1"}
    found = visit(**theirs, Accept="text/html", X_Mine="1").fetch_headers()
    assert found == {"Accept": "text/html", "X-Mine": "1"}


def test_a_referer_of_another_site_stays_out() -> None:
    assert visit(Referer="https://site.test/x").fetch_headers() != {}
    assert visit(Referer="https://other.test/x").fetch_headers() == {}
    assert visit(Referer="https://[bad").fetch_headers() == {}


def test_the_users_cookies_are_told_and_clearances_are_not() -> None:
    found = visit(Cookie="login=me; cf_clearance=old; odd; bad=\x01").own_cookies()
    assert found == {"login": "me", "odd": ""}


def test_a_clearance_wins_over_a_cookie_of_its_name_and_leaves_others() -> None:
    cookies = (Cookie("cf_clearance", "ü", ".site.test"), Cookie("far", "1", "other.test"))
    clearance = Clearance(visit().key, cookies, "agent")
    changed = visit(Cookie="login=me; cf_clearance=old").cleared(clearance)
    assert changed["User-Agent"] == "agent"
    assert changed["Cookie"].encode("latin-1").decode() == "login=me; cf_clearance=ü"
    assert Visit("GET", "https://away.test/", {}).cleared(clearance) == {"User-Agent": "agent"}
