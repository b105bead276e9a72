"""The environment without prefix, as people bring it along from FlareSolverr."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from captcha_bypass.config import Config
from captcha_bypass.config.environment import forget_secrets, remarks
from tests.support.settings import Refused, config


def setenv(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def proxy_of(found: Config) -> tuple[str | None, str | None, str | None]:
    password = found.proxy_password
    return (
        found.proxy_url,
        found.proxy_username,
        None if password is None else password.get_secret_value(),
    )


# The proxy


def test_proxy_and_login_come_from_three_names(monkeypatch: pytest.MonkeyPatch) -> None:
    setenv(monkeypatch, PROXY_URL="http://p.test:80", PROXY_USERNAME="u", PROXY_PASSWORD="CANARY")
    assert proxy_of(config()) == ("http://p.test:80", "u", "CANARY")
    found = config()
    assert "CANARY" not in repr(found) + str(found) + found.model_dump_json()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://u:p@p.test:3128", ("http://p.test:3128", "u", "p")),
        ("http://u:p@p.test:3128/", ("http://p.test:3128", "u", "p")),
        ("socks5://u%40x:p%3A%2F@[::1]:1080", ("socks5://[::1]:1080", "u@x", "p:/")),
        ("http://u:p@ss:w/ord@p.test:3128", ("http://p.test:3128", "u", "p@ss:w/ord")),
        ("http://u@p.test:3128", ("http://p.test:3128", "u", None)),
        ("http://p.test:3128/", ("http://p.test:3128", None, None)),
    ],
)
def test_login_in_the_bare_url_is_split_off(
    monkeypatch: pytest.MonkeyPatch, url: str, expected: tuple[str | None, ...]
) -> None:
    setenv(monkeypatch, PROXY_URL=url)
    assert proxy_of(config()) == expected


def test_names_of_their_own_beat_the_login_in_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    setenv(monkeypatch, PROXY_URL="http://u:p@p.test:80", PROXY_USERNAME="x", PROXY_PASSWORD="y")
    assert proxy_of(config()) == ("http://p.test:80", "x", "y")


@pytest.mark.parametrize("where", ["flag", "prefixed name"])
def test_login_of_the_bare_names_never_goes_to_another_proxy(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    setenv(monkeypatch, PROXY_URL="http://u:p@p.test:80", PROXY_PASSWORD="y")
    if where == "flag":
        found = config("--proxy-url", "http://other.test:80")
    else:
        setenv(monkeypatch, CAPTCHA_BYPASS_PROXY_URL="http://other.test:80")
        found = config()
    assert proxy_of(found) == ("http://other.test:80", None, None)


def test_prefixed_names_and_flags_give_the_login_too(monkeypatch: pytest.MonkeyPatch) -> None:
    setenv(monkeypatch, CAPTCHA_BYPASS_PROXY_USERNAME="u", CAPTCHA_BYPASS_PROXY_PASSWORD="p")
    assert proxy_of(config("--proxy-url", "http://p.test:80")) == ("http://p.test:80", "u", "p")
    flags = ["--proxy-url=http://p.test:80", "--proxy-username=x", "--proxy-password=y"]
    assert proxy_of(config(*flags)) == ("http://p.test:80", "x", "y")


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"PROXY_URL": "socks4://CANARY:CANARY@p.test:1080"}, "--proxy-url .*PROXY_URL.*socks5"),
        ({"PROXY_URL": "CANARY:CANARY@p.test:1080"}, "--proxy-url "),
        ({"PROXY_USERNAME": "CANARY"}, "--proxy-username .*--proxy-url"),
        ({"PROXY_URL": "http://p.test:80", "PROXY_PASSWORD": "CANARY"}, "--proxy-password .*user"),
        (
            {"PROXY_URL": "socks5://p.test:80", "PROXY_USERNAME": "CANARY" * 42 + "xxxx"},
            "--proxy-username .*255 ASCII",
        ),
    ],
)
def test_bad_proxy_is_refused_in_one_line_without_its_login(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], named: str
) -> None:
    setenv(monkeypatch, **env)
    with pytest.raises(Refused, match=f"^{named}") as refused:
        config()
    assert "\n" not in str(refused.value)
    assert "CANARY" not in str(refused.value)


# HOST and LOG_LEVEL


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.2", "::", "localhost"])
def test_bare_host_counts_if_it_is_an_address(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    setenv(monkeypatch, HOST=host)
    assert config().host == host
    assert list(remarks({"HOST": host})) == []


@pytest.mark.parametrize("host", ["my-laptop", "my-laptop.local", "x86_64-pc-linux-gnu"])
def test_bare_host_that_is_the_name_of_the_machine_is_ignored_with_a_line(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    setenv(monkeypatch, HOST=host)
    assert config().host == "127.0.0.1"
    (line,) = remarks({"HOST": host})
    assert line.startswith("HOST is ignored")
    assert list(remarks({"HOST": host, "CAPTCHA_BYPASS_HOST": "0.0.0.0"})) == []


@pytest.mark.parametrize(
    ("level", "expected"), [("WARNING", "warning"), ("Warn", "warning"), ("CRITICAL", "error")]
)
def test_bare_log_level_takes_the_names_of_python(
    monkeypatch: pytest.MonkeyPatch, level: str, expected: str
) -> None:
    setenv(monkeypatch, LOG_LEVEL=level)
    assert config().log_level == expected


# What is no setting


@pytest.mark.parametrize("name", ["CAPTCHA_BYPASS_PORT", "PORT", "captcha_bypass_port"])
@pytest.mark.parametrize("link", ["tcp://10.0.0.1:8191", "udp://[fd00::1]:53"])
def test_link_to_a_service_of_that_name_is_ignored_with_a_line(
    monkeypatch: pytest.MonkeyPatch, name: str, link: str
) -> None:
    around = {name: link, f"{name}_8191_TCP": link, "CAPTCHA_BYPASS_SERVICE_PORT": "8191"}
    setenv(monkeypatch, **around)
    assert config().port == 8191
    assert config("--port", "9000").port == 9000
    (line,) = remarks(around)
    assert line.startswith(f"{name} is ignored")
    assert "enableServiceLinks" in line


def test_port_without_prefix_counts_beside_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    setenv(monkeypatch, CAPTCHA_BYPASS_PORT="tcp://10.0.0.1:8191", PORT="9000")
    assert config().port == 9000


def test_port_that_is_neither_number_nor_link_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setenv(monkeypatch, CAPTCHA_BYPASS_PORT="http://10.0.0.1:8191")
    with pytest.raises(Refused, match=r"^--port \(or CAPTCHA_BYPASS_PORT, PORT\)"):
        config()
    assert list(remarks({"CAPTCHA_BYPASS_PORT": "9000"})) == []


def test_names_of_flaresolverr_that_are_no_settings_are_told_in_one_line() -> None:
    (line,) = remarks(
        {"PROMETHEUS_ENABLED": "true", "PROMETHEUS_PORT": "8192", "LOG_FILE": "/x", "TZ": "UTC"}
    )
    assert line.startswith("PROMETHEUS_ENABLED, PROMETHEUS_PORT, LOG_FILE: ")
    assert line.count("/metrics") == 1


def test_names_that_ask_for_nothing_are_passed_over() -> None:
    env = {"PROMETHEUS_ENABLED": "false", "CAPTCHA_SOLVER": "none", "LOG_HTML": "False"}
    assert list(remarks(env | {"TEST_URL": "", "PORT": "1"})) == []


# Secrets


def test_secrets_leave_the_environment_and_nothing_else_does() -> None:
    kept = {"HOME": "/", "PROXY_USERNAME": "u", "captcha_bypass_proxy_url": "http://p.test:80"}
    env = {
        **kept,
        "CAPTCHA_BYPASS_API_KEY": "CANARY",
        "CAPTCHA_BYPASS_PROXY_PASSWORD": "CANARY",
        "proxy_password": "CANARY",
        "PROXY_URL": "http://u:CANARY@p.test:80",
    }
    forget_secrets(env)
    assert env == kept


def test_console_script_hands_no_secret_on_and_logs_what_it_ignores(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, sys\n"
        "from captcha_bypass import cli\n"
        "def run(coroutine):\n"
        "    coroutine.close()\n"
        "    print([name for name, value in os.environ.items() if 'CANARY' in value])\n"
        "asyncio.run = run\n"
        "cli.main([])\n"
    )
    names = ["CAPTCHA_BYPASS_API_KEY", "CAPTCHA_BYPASS_PROXY_PASSWORD", "PROXY_PASSWORD"]
    env = dict.fromkeys(names, "CANARY-1") | {"PROXY_URL": "http://u:CANARY@p.test:80"}
    env |= {"CAPTCHA_BYPASS_PROXY_URL": "http://p.test:80", "CAPTCHA_BYPASS_PROXY_USERNAME": "u"}
    env |= {"HOST": "my-laptop", "PROMETHEUS_PORT": "8192"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "[]\n"
    first, second = done.stderr.splitlines()
    assert "HOST is ignored" in first
    assert "PROMETHEUS_PORT" in second
    assert "CANARY" not in done.stderr
