"""What a request may wish for in `meta["captcha_bypass"]`."""

from __future__ import annotations

import json
import math
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scrapy import Request

from captcha_bypass_scrapy.options import Options, _check, options_of, wanted
from captcha_bypass_scrapy.settings import Config

URL = "http://service"
CONFIG = Config(URL)


def request(chosen: object = None, **meta: object) -> Request:
    return Request("http://a/", meta={"captcha_bypass": chosen, **meta})


def options(chosen: object) -> object:
    return options_of(Request("http://a/", meta={"captcha_bypass": chosen}), CONFIG)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("timeout", value) for value in (-1, 0, math.nan, math.inf, "60", True, None, [1])],
        *[
            ("url", value)
            for value in ("/login", "ftp://a/", "http://", "http://[a/", 5, b"http:/")
        ],
        *[
            ("url", value)
            for value in ("http://u:p@a/", "http://a:99999/", "http://a/" + "x" * 2048)
        ],
        *[
            ("success_text", value)
            for value in (5, "", "  ", True, [], ["a", " "], [5], ["a"] * 17)
        ],
        *[("success_selector", value) for value in (5, "", "a" * 1025, ["a" * 1025], {"a"})],
        *[("no_challenge", value) for value in ("no", 0, None)],
        *[("block", value) for value in ("image", ["images"], [["image"]], None, {"image": 1}, 5)],
        *[("screenshot", value) for value in ("yes", 1, None)],
        *[("retry_times", value) for value in (-1, 1.5, "2", True, None)],
        *[("mode", value) for value in ("magic", None, 5)],
    ],
)
def test_senseless_value_is_refused_by_the_name_of_its_option(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f'meta\\["captcha_bypass"\\]\\["{name}"\\]'):
        options({name: value})


@pytest.mark.parametrize(
    "chosen",
    [
        {"timeout": 1.5},
        {"url": "https://a.example:8443/login?b=c"},
        {"url": None, "success_text": None, "success_selector": None},
        {"success_text": "Welcome", "success_selector": "#a > b"},
        {"success_text": ["Welcome"] * 16, "success_selector": ("#a", "#b")},
        {"no_challenge": False, "success_text": "Welcome"},
        {"block": ["image", "media", "font", "stylesheet"]},
        {"block": ("image",)},
        {"block": []},
        {"mode": "html"},
        {"screenshot": True},
        {},
    ],
)
def test_sensible_values_are_taken(chosen: dict[str, Any]) -> None:
    options(chosen)


def test_conditions_of_several_are_lists_for_the_service() -> None:
    chosen = options({"success_text": ["Log out", "Abmelden"], "success_selector": ("#a", "#b")})
    assert isinstance(chosen, Options)
    fields = chosen.conditions()
    assert fields["success_text"] == ["Log out", "Abmelden"]
    assert fields["success_selector"] == ["#a", "#b"]
    assert hash(chosen)


def test_task_without_any_condition_is_refused() -> None:
    with pytest.raises(ValueError, match="success_text or success_selector"):
        options({"no_challenge": False})


def test_keys_that_are_not_known_here_are_somebody_elses_to_refuse() -> None:
    _check({"tiemout": 1}, "meta")


def test_refusal_names_where_what_and_what_would_do() -> None:
    with pytest.raises(ValueError, match="meta") as raised:
        _check({"timeout": "60"}, 'meta["captcha_bypass"]')

    assert str(raised.value) == (
        'meta["captcha_bypass"]["timeout"] must be a number of seconds above 0, not \'60\''
    )


@given(st.floats(min_value=0, exclude_min=True, max_value=1e9) | st.integers(1, 10**9))
def test_any_time_above_nothing_is_taken(seconds: float) -> None:
    _check({"timeout": seconds}, "meta")


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("timeout", "retry_times", "success_text", "success_selector", "no_challenge"),
                *("url", "block", "mode"),
            ]
        ),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=20)
        | st.binary(max_size=5)
        | st.lists(st.text(max_size=5) | st.integers(), max_size=3)
        | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=50)
def test_nothing_whatever_ends_in_another_error_than_the_refusal(chosen: dict[str, Any]) -> None:
    try:
        taken = options_of(Request("http://a/", meta={"captcha_bypass": chosen}), CONFIG)
    except ValueError as error:
        assert 'meta["captcha_bypass"]' in str(error)  # noqa: PT017 - both ends are right
    else:
        assert json.loads(json.dumps(taken.conditions())) == taken.conditions()


# What a request says otherwise


@pytest.mark.parametrize("chosen", [None, True])
def test_request_that_says_nothing_is_solved_as_the_settings_say(chosen: object) -> None:
    asked = Config(
        URL, mode="html", timeout_seconds=9, success_text="a", success_selector="b", retry_times=4
    )

    assert options_of(request(chosen), asked) == Options(
        "html", 9, "a", "b", no_challenge=True, url=None, block=(), retry_times=4, shared=True
    )


def test_request_may_say_its_mode_alone() -> None:
    assert options_of(request("html"), CONFIG) == options_of(request({"mode": "html"}), CONFIG)
    assert options_of(request("html"), CONFIG).mode == "html"
    assert options_of(request("fetch"), CONFIG).mode == "fetch"


def test_request_may_say_everything() -> None:
    chosen = {
        "mode": "cookies",
        "timeout": 7,
        "success_text": "a",
        "success_selector": "b",
        "no_challenge": False,
        "url": "http://a/login",
        "block": ["image", "font"],
        "retry_times": 1,
        "screenshot": True,
    }

    assert options_of(request(chosen), CONFIG) == Options(
        mode="cookies",
        timeout_seconds=7.0,
        success_text="a",
        success_selector="b",
        no_challenge=False,
        url="http://a/login",
        block=("image", "font"),
        retry_times=1,
        screenshot=True,
        shared=False,
    )


@pytest.mark.parametrize("chosen", [5, ["html"], b"html", ("mode", "html")])
def test_other_types_are_refused_with_those_there_are(chosen: object) -> None:
    with pytest.raises(TypeError, match="must be False, a mode or a dict, not"):
        options_of(request(chosen), CONFIG)


@pytest.mark.parametrize("chosen", ["", "HTML", "sometimes"])
def test_unknown_mode_is_refused(chosen: str) -> None:
    with pytest.raises(ValueError, match="must be one of auto, cookies, fetch, html, not"):
        options_of(request(chosen), CONFIG)


def test_unknown_keys_are_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match="unknown keys: 5, tiemout; known are block, mode"):
        options_of(request({"tiemout": 1, 5: 2, "mode": "html"}), CONFIG)


@pytest.mark.parametrize(
    ("chosen", "meta", "times"),
    [
        (None, {}, 2),
        (None, {"max_retry_times": 5}, 5),
        (None, {"dont_retry": True}, 0),
        (None, {"dont_retry": True, "max_retry_times": 5}, 0),
        (None, {"dont_retry": False, "max_retry_times": 0}, 0),
        ({"retry_times": 3}, {"max_retry_times": 5}, 3),
        ({"retry_times": 3}, {"dont_retry": True}, 3),  # said about challenges, so it counts
        ("html", {"max_retry_times": 5}, 5),
    ],
)
def test_request_is_tried_again_as_often_as_retry_middleware_would(
    chosen: object, meta: dict[str, Any], times: int
) -> None:
    assert options_of(request(chosen, **meta), CONFIG).retry_times == times


# Whose solve is whose


@pytest.mark.parametrize(
    ("chosen", "shared"),
    [
        ({"mode": "html"}, True),
        ({"retry_times": 0}, True),
        ({}, True),
        ({"timeout": CONFIG.timeout_seconds}, True),  # said again, and nothing else
        ({"timeout": 5}, False),
        ({"url": "http://a/login"}, False),
        ({"block": ["image"]}, False),
        ({"screenshot": True}, False),
        ({"success_text": "a"}, False),
    ],
)
def test_solve_is_shared_unless_the_browser_does_something_else(
    chosen: dict[str, Any], *, shared: bool
) -> None:
    assert options_of(request(chosen), CONFIG).shared is shared


def test_solve_is_the_same_for_other_modes_and_other_tries() -> None:
    one = Options("auto", 60, "a", None, retry_times=1)

    assert one.same_solve(Options("html", 60, "a", None, retry_times=3))
    assert not one.same_solve(Options("auto", 60, "b", None, retry_times=1))
    assert not one.same_solve(Options("auto", 60, "a", None, block=("image",), retry_times=1))


def test_task_says_only_what_was_asked_for() -> None:
    assert Options("auto", 60, None, None).conditions() == {"no_challenge": True}
    assert Options("auto", 60, "a", "b", no_challenge=False, block=("image",)).conditions() == {
        "success_text": "a",
        "success_selector": "b",
        "block": ["image"],
    }


def test_options_are_the_same_after_a_queue_on_disk() -> None:
    """Requests go there with their meta."""
    sent = request({"timeout": 7, "block": ["image"]}, max_retry_times=5)
    meta = pickle.loads(pickle.dumps(sent.meta))  # noqa: S301 - our own
    back = Request("http://a/", meta=meta)

    assert options_of(back, CONFIG) == options_of(sent, CONFIG)


# Who is touched at all


@pytest.mark.parametrize(
    "url", ["file:///tmp/a.html", "data:text/html,a", "s3://a/b", "ftp://a/b", "ws://a/"]
)
def test_only_web_pages_are_touched(url: str) -> None:
    assert not wanted(Request(url))


@pytest.mark.parametrize("url", ["http://a/", "https://a/", "HTTPS://A/"])
def test_web_pages_are_touched_unless_they_say_false(url: str) -> None:
    assert wanted(Request(url))
    assert wanted(Request(url, meta={"captcha_bypass": "html"}))
    assert wanted(Request(url, meta={"captcha_bypass": None}))
    assert not wanted(Request(url, meta={"captcha_bypass": False}))
