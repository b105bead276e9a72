"""What a request may wish for in `meta["captcha_bypass"]`."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scrapy import Request

from captcha_bypass_scrapy.options import check_wishes
from captcha_bypass_scrapy.settings import Config, options_of

CONFIG = Config("http://service")


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
        *[("success_text", value) for value in (5, "", "  ", ["a"], True)],
        *[("success_selector", value) for value in (5, "", "a" * 1025)],
        *[("no_challenge", value) for value in ("no", 0, None)],
        *[("block", value) for value in ("image", ["images"], [["image"]], None, {"image": 1}, 5)],
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
        {"no_challenge": False, "success_text": "Welcome"},
        {"block": ["image", "media", "font", "stylesheet"]},
        {"block": ("image",)},
        {"block": []},
        {"mode": "html"},
        {},
    ],
)
def test_sensible_values_are_taken(chosen: dict[str, Any]) -> None:
    options(chosen)


def test_task_without_any_condition_is_refused() -> None:
    with pytest.raises(ValueError, match="success_text or success_selector"):
        options({"no_challenge": False})


def test_keys_that_are_not_known_here_are_somebody_elses_to_refuse() -> None:
    check_wishes({"tiemout": 1}, "meta")


def test_refusal_names_where_what_and_what_would_do() -> None:
    with pytest.raises(ValueError, match="meta") as raised:
        check_wishes({"timeout": "60"}, 'meta["captcha_bypass"]')

    assert str(raised.value) == (
        'meta["captcha_bypass"]["timeout"] must be a number of seconds above 0, not \'60\''
    )


@given(st.floats(min_value=0, exclude_min=True, max_value=1e9) | st.integers(1, 10**9))
def test_any_time_above_nothing_is_taken(seconds: float) -> None:
    check_wishes({"timeout": seconds}, "meta")


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
