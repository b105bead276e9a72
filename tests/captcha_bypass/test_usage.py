"""The help of the program: what it can do, and each setting once, among those it belongs to."""

from __future__ import annotations

import re

from captcha_bypass import usage
from captcha_bypass.client.options import parsers
from captcha_bypass.config import Config


def test_each_setting_is_in_one_group() -> None:
    listed = [name for names in usage.GROUPS.values() for name in names]
    assert sorted(listed) == sorted(Config.model_fields)


def test_types_are_words_that_people_know() -> None:
    shown = dict(re.findall(r"^  (--[\w-]+) (\S+)", usage.settings_help(), re.MULTILINE))
    assert shown["--max-timeout"] == "SECONDS"
    assert shown["--max-html-bytes"] == "BYTES"
    assert shown["--api-key-file"] == "FILE"
    assert shown["--log-level"] == "debug|info|warning|error"
    assert not {"int", "str", "float", "VALUE"} & set(shown.values())
    assert not re.search(r"SecretStr|tuple|None|factory", usage.settings_help())


def test_defaults_are_shown() -> None:
    text = usage.settings_help()
    assert "port to listen on; 0 picks a free one (8191)" in text
    assert re.search(r"--metrics-domains true\|false\s+name .*\(false\)", text)


def test_no_line_is_wider_than_a_terminal() -> None:
    text = usage.USAGE + usage.settings_help()
    assert max(map(len, text.splitlines())) <= 100


def test_each_command_is_in_the_usage() -> None:
    assert set(usage.COMMANDS) == set(parsers())
    assert all(f"captcha-bypass {name} URL" in usage.USAGE for name in usage.COMMANDS)
