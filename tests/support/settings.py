"""Settings read as the program reads them, and refusals as exceptions."""

from __future__ import annotations

from typing import NoReturn

from captcha_bypass.config import Config, parse

PREFIX = "CAPTCHA_BYPASS_"


class Refused(Exception):
    """What `fail` of parse() was told."""


def fail(message: str) -> NoReturn:
    raise Refused(message)


def config(*argv: str) -> Config:
    return parse(argv, fail)
