"""A browser's cookies, as other programs take them."""

from __future__ import annotations

import http.cookiejar
import json
import stat
import urllib.request
from pathlib import Path

import httpx
import pytest
import requests

from captcha_bypass.client import Cookie, SolveResult
from captcha_bypass.client.cookies import jar_of, netscape, of_jar
from tests.support.native_tasks import SOLUTION

COOKIES = (
    Cookie("whole", "1", ".site.test", secure=True, http_only=True, expires=4_000_000_000),
    Cookie("host", "a=b", "site.test", "/app"),
    Cookie("local", "2", "localhost"),
    Cookie("address", "3", "127.0.0.1"),
    Cookie("old", "4", "site.test", expires=1),
    Cookie("frame", "5", "other.test", partition_key="https://site.test"),
)


def names(header: str | None) -> set[str]:
    return {pair.partition("=")[0].strip() for pair in (header or "").split(";")} - {""}


CASES = [
    ("https://site.test/app/1", {"whole", "host"}),
    ("http://site.test/app", {"host"}),
    ("https://site.test/", {"whole"}),
    ("https://www.site.test/app", {"whole"}),
    ("https://notsite.test/app", set()),
    ("http://localhost:8080/", {"local"}),
    ("http://127.0.0.1:8080/", {"address"}),
    ("https://other.test/", set()),
]


@pytest.mark.parametrize(("url", "sent"), CASES)
def test_a_jar_sends_each_cookie_where_a_browser_would(url: str, sent: set[str]) -> None:
    request = urllib.request.Request(url)  # noqa: S310 - nothing is opened
    jar_of(COOKIES).add_cookie_header(request)
    assert names(request.get_header("Cookie")) == sent
    with httpx.Client(cookies=jar_of(COOKIES)) as client:
        found = names(client.build_request("GET", url).headers.get("Cookie"))
    assert sent <= found <= sent | {"host"}  # httpx sends a host's cookies to hosts below, too
    assert {cookie.name for cookie in COOKIES if cookie.goes_to(url)} == sent


def test_a_session_of_requests_takes_the_jar() -> None:
    session = requests.Session()
    session.cookies.update(jar_of(COOKIES))
    request = session.prepare_request(requests.Request("GET", "https://site.test/app"))
    assert names(str(request.headers["Cookie"])) == {"whole", "host"}


def test_a_jar_can_be_handed_in_again() -> None:
    again = {Cookie.read(fields) for fields in of_jar(jar_of(COOKIES))}
    expected = {cookie for cookie in COOKIES if cookie.name not in ("old", "frame")}
    assert again == expected


def test_a_netscape_file_is_what_other_programs_read(tmp_path: Path) -> None:
    text = netscape([*COOKIES, Cookie("tab", "a\tb", "site.test")])
    lines = text.splitlines()
    assert lines[0] == "# Netscape HTTP Cookie File"
    assert lines[1] == "#HttpOnly_.site.test\tTRUE\t/\tTRUE\t4000000000\twhole\t1"
    assert lines[2] == "site.test\tFALSE\t/app\tFALSE\t0\thost\ta=b"
    assert len(lines) == 6
    file = tmp_path / "cookies.txt"
    file.write_text(text)
    jar = http.cookiejar.MozillaCookieJar(file)
    jar.load(ignore_expires=True, ignore_discard=True)
    assert {cookie.name for cookie in jar} == {"whole", "host", "local", "address", "old"}


def test_a_result_writes_its_cookies_for_the_user_alone(tmp_path: Path) -> None:
    result = SolveResult.read(SOLUTION)
    file = tmp_path / "cookies.txt"
    file.touch(0o666)
    result.save_netscape(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "cf_clearance\tabc.def-1.2.1.1-x/y==" in file.read_text()
    state = result.storage_state()
    assert state == {"cookies": SOLUTION["cookies"], "origins": []}
    assert json.loads(json.dumps(state)) == state


def test_no_value_of_a_cookie_is_in_a_result_as_it_is_printed() -> None:
    result = SolveResult.read(SOLUTION)
    assert "cf_clearance" in repr(result)
    assert "abc.def" not in repr(result)
    assert "Welcome" not in repr(result)
