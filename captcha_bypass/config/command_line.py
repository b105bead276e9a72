"""From the command line and the environment to the settings, or to one line that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from pydantic import ValidationError

from captcha_bypass.config.environment import BARE_NAMES
from captcha_bypass.config.settings import Config


def parse(argv: Sequence[str], fail: Callable[[str], None]) -> Config:
    """Build the settings from command-line arguments and the environment.

    Args:
        argv: Arguments without the program's name.
        fail: Called with one line that names the setting and what it takes, when a value is
            refused; must not return.
    """
    # An empty value counts as none given; a service must not stand open because $KEY was unset.
    given = {*argv, *(f"{flag}={value}" for flag, value in pairwise(argv))}
    for flag in ("--api-key", "--api-key-file"):
        if f"{flag}=" in given:
            fail(f"{flag} is empty; leave it out to ask for no key")
    for flag in ("--queue-secret", "--queue-secret-file"):
        if f"{flag}=" in given:
            fail(f"{flag} is empty; leave it out to encrypt nothing")
    try:
        return Config(_cli_parse_args=list(argv))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0])
        flag, env = "--" + name.replace("_", "-"), "CAPTCHA_BYPASS_" + name.upper()
        env = f"{env}, {name.upper()}" if name in BARE_NAMES else env
        fail(f"{flag} (or {env}): {first['msg'].removeprefix('Value error, ')}")
        raise
