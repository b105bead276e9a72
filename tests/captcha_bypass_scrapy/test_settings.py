"""The settings, and what a request's meta says otherwise."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scrapy.exceptions import NotConfigured
from scrapy.settings import Settings

from captcha_bypass_scrapy.settings import Config

URL = "http://service:8191"
CONFIG = Config(URL)
#: Settings that count something, and the least that makes sense.
COUNTS = {"TIMES": 1, "RETRY_TIMES": 0, "MAX_HOSTS_PER_DOMAIN": 1, "MAX_SOLVES": 1}
SECONDS = ("TIMEOUT", "COOLDOWN", "UNAVAILABLE_TIMEOUT")


def config(**given: object) -> Config:
    named = {f"CAPTCHA_BYPASS_{name}": value for name, value in given.items()}
    return Config.from_settings(Settings({"CAPTCHA_BYPASS_URL": URL, **named}))


# Where the service is


def test_project_that_sets_only_the_url_gets_what_the_readme_says() -> None:
    assert config() == Config(
        url=URL,
        api_key=None,
        mode="auto",
        timeout_seconds=60,
        times=3,
        retry_times=2,
        cooldown_seconds=30,
        on_unavailable="wait",
        unavailable_seconds=600,
        on_challenge=None,
        max_hosts=20,
        max_solves=10_000,
        cookies="auto",
        share_proxy=True,
        reuse=True,
        success_text=None,
        success_selector=None,
        detector=None,
    )


def test_every_setting_is_read() -> None:
    read = config(
        API_KEY=" key ",
        MODE="cookies",
        TIMEOUT="90",
        TIMES=1,
        RETRY_TIMES=0,
        COOLDOWN=0,
        ON_UNAVAILABLE="close",
        UNAVAILABLE_TIMEOUT=5.5,
        ON_CHALLENGE="wait",
        MAX_HOSTS_PER_DOMAIN="7",
        MAX_SOLVES=8,
        COOKIES="all",
        SHARE_PROXY="False",
        REUSE="90",
        SUCCESS_TEXT="Welcome",
        SUCCESS_SELECTOR="#shop",
        SCREENSHOT="True",
        DETECTOR="shop.detect",
    )

    assert read == Config(
        URL,
        "key",
        mode="cookies",
        timeout_seconds=90.0,
        times=1,
        retry_times=0,
        cooldown_seconds=0.0,
        on_unavailable="close",
        unavailable_seconds=5.5,
        on_challenge="wait",
        max_hosts=7,
        max_solves=8,
        cookies="all",
        share_proxy=False,
        reuse=90.0,
        success_text="Welcome",
        success_selector="#shop",
        screenshot=True,
        detector="shop.detect",
    )


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (True, True),
        ("True", True),
        ("1", True),
        (False, False),
        ("false", False),
        (0, False),
        (2, 2.0),
        (0.5, 0.5),
        ("3600", 3600.0),
    ],
    ids=repr,
)
def test_reuse_is_whether_or_how_old(given: object, read: bool | float) -> None:
    found = config(REUSE=given).reuse
    assert (type(found), found) == (type(read), read)


@pytest.mark.parametrize("given", ["always", -5, "nan", [1]], ids=repr)
def test_reuse_that_is_neither_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="CAPTCHA_BYPASS_REUSE"):
        config(REUSE=given)


def test_url_and_key_also_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPTCHA_BYPASS_URL", "http://service:8191/")
    # As a file of secrets has it, whose last line ends.
    monkeypatch.setenv("CAPTCHA_BYPASS_API_KEY", "k\n")

    read = Config.from_settings(Settings())

    assert (read.url, read.api_key) == ("http://service:8191", "k")


def test_setting_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPTCHA_BYPASS_URL", "http://other:1")
    monkeypatch.setenv("CAPTCHA_BYPASS_API_KEY", "other")

    assert (config(API_KEY="mine").url, config(API_KEY="mine").api_key) == (URL, "mine")


@pytest.mark.parametrize("blank", ["", " ", "\n"], ids=repr)
def test_blank_environment_is_none(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    """As `docker compose` passes a variable that has no value."""
    monkeypatch.setenv("CAPTCHA_BYPASS_URL", blank)
    monkeypatch.setenv("CAPTCHA_BYPASS_API_KEY", blank)

    assert config().api_key is None
    with pytest.raises(NotConfigured, match="set CAPTCHA_BYPASS_URL to where"):
        Config.from_settings(Settings())


def test_missing_url_names_the_setting_that_silences_it() -> None:
    with pytest.raises(NotConfigured, match="CAPTCHA_BYPASS_ENABLED = False silences this"):
        Config.from_settings(Settings())


@pytest.mark.parametrize("off", [False, 0, "0", "False"], ids=repr)
def test_switched_off_it_says_nothing_and_asks_for_nothing(off: object) -> None:
    with pytest.raises(NotConfigured) as raised:
        Config.from_settings(Settings({"CAPTCHA_BYPASS_ENABLED": off}))

    assert str(raised.value) == ""


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:8191", "http://127.0.0.1:8191"),
        ("http://127.0.0.1:8191///", "http://127.0.0.1:8191"),
        (" https://gateway.example/solver/ ", "https://gateway.example/solver"),
        ("http://[::1]:8191", "http://[::1]:8191"),
        ("HTTP://service", "HTTP://service"),
    ],
)
def test_path_is_put_behind_the_url_as_it_is(url: str, base: str) -> None:
    assert config(URL=url).url == base


@pytest.mark.parametrize(
    "url",
    [
        *("localhost:8191", "service", "ftp://service", "http://", "http://:8191", "http://[::1"),
        *("//service", "http://service:99999", "http://service:0", "http://service:port"),
    ],
    ids=repr,
)
def test_what_is_no_url_of_a_service_is_refused_by_name(url: str) -> None:
    with pytest.raises(ValueError, match="CAPTCHA_BYPASS_URL must be http://host:port") as raised:
        config(URL=url)

    assert repr(url) in str(raised.value)


def test_login_in_a_wrong_url_stays_out_of_the_error() -> None:
    with pytest.raises(ValueError, match="not 'service:99999'") as raised:
        config(URL="http://me:s3cret@service:99999")

    assert "s3cret" not in str(raised.value)


def test_key_stays_out_of_logs() -> None:
    shown = repr(config(API_KEY="s3cret"))

    assert "s3cret" not in shown
    assert URL in shown


def test_login_of_the_url_stays_out_of_logs() -> None:
    shown = repr(config(URL="http://me:s3cret@service:8191"))

    assert "s3cret" not in shown
    assert "service:8191" in shown


def test_login_and_key_do_not_fit_into_one_request() -> None:
    with pytest.raises(ValueError, match="URL has a login and CAPTCHA_BYPASS_API_KEY") as raised:
        config(URL="http://me:s3cret@service", API_KEY="s3cret")

    assert "s3cret" not in str(raised.value)


# Numbers


@settings(max_examples=50)
@given(st.floats(min_value=0.001, max_value=1e8), st.sampled_from(SECONDS), st.booleans())
def test_seconds_are_taken_as_number_or_text(number: float, name: str, text: bool) -> None:
    read = config(**{name: str(number) if text else number})

    found = (read.timeout_seconds, read.cooldown_seconds, read.unavailable_seconds)
    assert found[SECONDS.index(name)] == number


NO_NUMBERS = ("", "soon", "1 minute", [1], {"a": 1}, b"\xff", object)


@pytest.mark.parametrize("name", [*COUNTS, *SECONDS])
@pytest.mark.parametrize(
    "value", [*NO_NUMBERS, math.nan, math.inf, -math.inf, -1, 1e9, "nan", "inf"], ids=repr
)
def test_what_is_no_number_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"CAPTCHA_BYPASS_{name} must be a"):
        config(**{name: value})


@pytest.mark.parametrize(("name", "least"), COUNTS.items())
def test_counts_have_a_least_that_makes_sense(name: str, least: int) -> None:
    config(**{name: least})
    # Between 0 and 1 is nothing that can be counted, and 0 would switch all solving off.
    for below in (least - 1, least - 0.5):
        if below != -0.5:
            with pytest.raises(ValueError, match=f"CAPTCHA_BYPASS_{name} must be a"):
                config(**{name: below})


def test_no_rest_and_no_waiting_can_be_asked_for() -> None:
    read = config(COOLDOWN=0, UNAVAILABLE_TIMEOUT=0)

    assert (read.cooldown_seconds, read.unavailable_seconds) == (0, 0)


def test_browser_without_any_time_cannot() -> None:
    with pytest.raises(ValueError, match="CAPTCHA_BYPASS_TIMEOUT must be a number above 0, not 0"):
        config(TIMEOUT=0)


# Choices


@pytest.mark.parametrize("mode", ["auto", "cookies", "html"])
def test_mode_is_one_of_three(mode: str) -> None:
    assert config(MODE=mode).mode == mode


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("MODE", "auto, cookies, fetch, html"),
        ("ON_UNAVAILABLE", "wait, fail, close"),
        ("ON_CHALLENGE", "report, wait"),
    ],
)
@pytest.mark.parametrize("value", ["magic", "AUTO", "WAIT", True, ["auto"], ("wait",)], ids=repr)
def test_unknown_choice_is_refused_with_those_there_are(
    name: str, choices: str, value: object
) -> None:
    with pytest.raises(ValueError, match=f"CAPTCHA_BYPASS_{name} must be one of {choices}, not"):
        config(**{name: value})


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("auto", "auto"),
        ("all", "all"),
        (["cf_*", "session"], ("cf_*", "session")),
        (("cf_*",), ("cf_*",)),
        ("cf_*,session", ("cf_*", "session")),  # as `-s` gives it on the command line
        ("session", ("session",)),
    ],
)
def test_cookies_are_a_word_or_names(given: object, read: object) -> None:
    assert config(COOKIES=given).cookies == read


@pytest.mark.parametrize("given", [[], ()], ids=repr)
def test_no_cookies_at_all_are_no_choice(given: object) -> None:
    with pytest.raises(ValueError, match="CAPTCHA_BYPASS_COOKIES must be auto, all or a list of"):
        config(COOKIES=given)


@pytest.mark.parametrize("blank", ["", "  ", None], ids=repr)
def test_blank_condition_is_none(blank: str | None) -> None:
    read = config(SUCCESS_TEXT=blank, SUCCESS_SELECTOR=blank, DETECTOR=blank and "", API_KEY=blank)

    assert (read.success_text, read.success_selector, read.detector, read.api_key) == (None,) * 4


# Conditions


def test_conditions_may_be_lists_and_a_string_is_one_commas_and_all() -> None:
    read = config(SUCCESS_TEXT=["Log out", " Abmelden "], SUCCESS_SELECTOR="#a, #b")
    assert (read.success_text, read.success_selector) == (("Log out", "Abmelden"), "#a, #b")
    assert config(SUCCESS_TEXT=[]).success_text is None


@pytest.mark.parametrize("value", [["a", " "], ["a"] * 17], ids=["blank", "17"])
def test_senseless_list_of_conditions_is_refused(value: list[str]) -> None:
    with pytest.raises(ValueError, match="CAPTCHA_BYPASS_SUCCESS_TEXT"):
        config(SUCCESS_TEXT=value)
