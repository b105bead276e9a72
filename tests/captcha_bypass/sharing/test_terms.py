"""What a clearance is good for, who may share it, and what of a result that is."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import SecretStr

from captcha_bypass.sharing.terms import ClearanceKey, Terms, seconds_left
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.wire.models import Proxy, SolveRequest
from captcha_bypass.wire.task import Task
from tests.captcha_bypass.sharing.sharing import SOLVED, cookie, payload, proxy
from tests.support.native_tasks import SOLUTION


def terms(**fields: Any) -> Terms:  # noqa: ANN401 - of a task
    found = Terms.of(payload(**fields))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://site.test/", "http://site.test/page?q=1#there"),
        ("http://site.test/", "http://SITE.test:80/"),
        ("https://site.test/", "https://site.test:443/"),
        ("http://[::1]:8080/", "http://[0:0::1]:8080/a"),
    ],
)
def test_pages_of_one_site_share(one: str, other: str) -> None:
    assert terms(url=one).key == terms(url=other).key


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "https://site.test/"},
        {"url": "http://site.test:81/"},
        {"url": "http://www.site.test/"},
        {"owner": "key 1"},
        {"proxy": proxy()},
    ],
)
def test_another_site_key_or_proxy_shares_nothing(fields: dict[str, Any]) -> None:
    assert terms(**fields).key != terms().key


def test_each_login_at_a_proxy_is_a_way_of_its_own() -> None:
    ways = [proxy(1), proxy(2), proxy(1, "one"), proxy(1, "two")]
    assert len({terms(proxy=way).key for way in ways}) == len(ways)
    assert terms(proxy=proxy(1, "one")).key == terms(proxy=proxy(1, "one")).key


def test_nothing_that_is_kept_of_a_task_tells_its_secrets() -> None:
    found = terms(
        proxy=proxy(1, "hunter2"),
        cookies=[{"name": "login", "value": "secret"}],
        success_text="my name",
    )
    assert not any(word in repr(found) for word in ("hunter2", "secret", "my name", "login"))


@pytest.mark.parametrize(
    ("fields", "shares"),
    [
        ({}, True),
        ({"screenshot": True, "block": ["image"], "success_text": "Welcome"}, True),
        ({"cookies": [{"name": "login", "value": "x"}]}, True),
        ({"headers": {"Accept-Language": "de", "Referer": "http://a.test", "Sec-GPC": "1"}}, True),
        ({"headers": {"Authorization": "Bearer x"}}, False),
        ({"headers": {"Accept-Language": "de", "X-Account": "7"}}, False),
        ({"session": "mine"}, False),
    ],
)
def test_what_may_be_good_for_one_alone_is_not_shared(
    fields: dict[str, Any], *, shares: bool
) -> None:
    assert (Terms.of(payload(reuse=60.0, **fields)) is not None) == shares


def test_form_is_not_shared() -> None:
    task = Task(url="http://site.test/", no_challenge=True, timeout=10, form="a=b")
    assert Terms.of(task.to_payload()) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"success_text": "Welcome"},
        {"success_selector": ["#in"]},
        {"timeout": 11.0},
        {"block": ["image"]},
        {"screenshot": True},
    ],
)
def test_task_that_may_end_otherwise_waits_for_no_other_but_reuses_its_clearance(
    fields: dict[str, Any],
) -> None:
    assert terms(**fields).wish != terms().wish
    assert terms(**fields).key == terms().key


def test_page_and_own_cookies_and_headers_make_no_other_wish() -> None:
    other = terms(
        url="http://site.test/other",
        cookies=[{"name": "login", "value": "x"}],
        headers={"Referer": "http://site.test/"},
        reuse=5.0,
    )
    assert other.wish == terms().wish


@pytest.mark.parametrize(
    ("data", "fields", "is_one"),
    [
        (SOLVED, {}, True),
        (SOLUTION | {"cookies": [cookie("session")]}, {}, False),
        (SOLUTION | {"cookies": [cookie("cf_clearance")]}, {}, True),
        (SOLUTION | {"cookies": []}, {"success_text": "Welcome"}, True),
        (SOLVED | {"cookies": [cookie(f"c{n}") for n in range(181)]}, {}, False),
        (SOLVED | {"timeout_reached": True}, {"success_text": "Welcome"}, False),
        (SOLVED | {"challenge": "cloudflare"}, {}, False),
        (SOLVED | {"block": "cloudflare"}, {"success_text": "Sorry"}, False),
    ],
)
def test_only_a_result_that_got_past_something_is_a_clearance(
    data: JsonDict, fields: dict[str, Any], *, is_one: bool
) -> None:
    assert terms(**fields).is_clearance(data) == is_one


def test_others_get_no_page_and_none_of_the_cookies_that_a_task_brought_along() -> None:
    brought = [{"name": name, "value": "mine"} for name in ("login", "cf_clearance")]
    got = [cookie("login"), cookie("cf_clearance", value="new"), cookie("seen")]
    data = SOLVED | {"cookies": got}
    shared = terms(cookies=brought).shared(data)
    assert [one["name"] for one in shared["cookies"]] == ["cf_clearance", "seen"]
    assert (shared["html"], shared["headers"], shared["request_headers"]) == ("", {}, {})
    assert shared["user_agent"] == SOLVED["user_agent"]
    assert data["cookies"] == got  # the task's own result has all of it
    assert data["html"]


@pytest.mark.parametrize(
    ("cookies", "seconds"),
    [
        ([], None),
        ([cookie("session")], None),
        ([cookie("a", expires=50), cookie("b", expires=90), cookie("c")], 50),
        ([cookie("_ga", expires=50), cookie("datadome", expires=90)], 90),
        ([cookie("datadome", expires=50), cookie("cf_clearance", expires=90)], 90),
        ([cookie("cf_clearance", expires=-60)], -60),
    ],
)
def test_clearance_lasts_as_long_as_the_cookies_of_whom_it_is_of(
    cookies: list[JsonDict], seconds: float | None
) -> None:
    now = time.time()
    dated = [
        one | {"expires": one["expires"] + now if one["expires"] != -1 else -1} for one in cookies
    ]
    left = seconds_left(SOLVED | {"cookies": dated})
    assert left == (None if seconds is None else pytest.approx(seconds, abs=5))


def test_proxy_password_is_in_the_queue_s_payload_as_it_is_here() -> None:
    """The key is a digest of what the queue keeps: a hidden password would make all logins one."""
    way = Proxy(server="http://p.test:1", username="u", password=SecretStr("pw"))
    request = SolveRequest(url="http://site.test/", no_challenge=True, timeout=1, proxy=way)
    other = way.model_copy(update={"password": SecretStr("wp")})
    keys: set[ClearanceKey] = set()
    for one in (request, request.model_copy(update={"proxy": other})):
        found = Terms.of(Task.of(one, "").to_payload())
        assert found is not None
        keys.add(found.key)
    assert len(keys) == 2
