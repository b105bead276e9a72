"""Frames of captchas that wait for a person, told by their address."""

from __future__ import annotations

import pytest

from captcha_bypass.challenges import KINDS, VENDORS
from captcha_bypass.challenges.widgets import is_widget


@pytest.mark.parametrize(
    "url",
    [
        "https://challenges.cloudflare.com/cdn-cgi/challenge-platform/h/b/turnstile/if/ov2/av0/x",
        "https://newassets.hcaptcha.com/captcha/v1/x/static/hcaptcha.html#frame=checkbox&id=1",
        "https://www.google.com/recaptcha/api2/anchor?ar=1&k=x&size=normal&cb=1",
        "https://www.recaptcha.net/recaptcha/enterprise/anchor?ar=1&k=x&size=compact",
        "https://geo.captcha-delivery.com/captcha/?initialCid=x",
    ],
)
def test_captcha_is_one(url: str) -> None:
    assert is_widget(url)


@pytest.mark.parametrize(
    "url",
    [
        "about:blank",
        "https://www.google.com/recaptcha/api2/anchor?ar=1&k=x&size=invisible&cb=1",
        "https://www.google.com/recaptcha/api2/bframe?hl=en",
        "https://newassets.hcaptcha.com/captcha/v1/x#frame=checkbox-invisible",
        "https://challenges.cloudflare.com/turnstile/v0/api.js",
        "https://challenges.cloudflare.com.site.test/cdn-cgi/challenge-platform/h/b",
        "http://challenges.cloudflare.com/cdn-cgi/challenge-platform/h/b",
        "https://[",
        "x" * 1_000_000,
    ],
)
def test_what_no_person_sees_or_answers_is_none(url: str) -> None:
    assert not is_widget(url)


def test_kinds_of_a_vendor_are_those_that_its_pages_may_turn_out_to_have() -> None:
    assert set(KINDS) == VENDORS
    assert KINDS["cloudflare"] == {"automatic", "human", "block"}
    assert KINDS["captcha"] == {"human"}
    assert KINDS["ddos-guard"] == {"automatic", "human"}
