"""Settings read as the program reads them, and refusals as exceptions."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from captcha_bypass.config import Config, parse
from captcha_bypass.config.environment import BARE_NAMES

PREFIX = "CAPTCHA_BYPASS_"


class Refused(Exception):
    """What `fail` of parse() was told."""


def fail(message: str) -> NoReturn:
    raise Refused(message)


def config(*argv: str) -> Config:
    return parse(argv, fail)


def without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no setting come from the machine that runs the tests."""
    for name in list(os.environ):
        if name.upper().startswith(PREFIX) or name.lower() in BARE_NAMES:
            monkeypatch.delenv(name)
