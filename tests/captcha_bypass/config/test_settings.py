"""Settings: where a value comes from."""

from __future__ import annotations

from pathlib import Path
from socket import gethostname

import pytest
from pydantic import SecretStr

from captcha_bypass.config import Config
from captcha_bypass.config.cpus import usable_cpus
from captcha_bypass.config.environment import BARE_NAMES
from tests.support.program import NAMES, run
from tests.support.settings import PREFIX, Refused, config


def keys(*values: str) -> tuple[SecretStr, ...]:
    return tuple(SecretStr(value) for value in values)


# Where a value comes from


def test_defaults_are_those_of_the_contract() -> None:
    assert config().model_dump() == {
        "queue_url": None,
        "queue_secret": (),
        "queue_secret_file": (),
        "node": gethostname(),
        "node_url": None,
        "start_timeout": 30.0,
        "workers": usable_cpus(),
        "host": "127.0.0.1",
        "port": 8191,
        "api_key": (),
        "api_key_file": (),
        "result_ttl": 600.0,
        "clearance_ttl": 3600.0,
        "browser": "auto",
        "browser_path": None,
        "headless": "true",
        "tasks_per_browser": 100,
        "max_browser_bytes": 2 * 1024**3,
        "max_timeout": 300.0,
        "max_per_host": 4,
        "max_queue": 1000,
        "max_waiting": 1000,
        "max_results_bytes": 268_435_456,
        "keep_evidence": 0,
        "max_evidence_bytes": 64 * 1024 * 1024,
        "max_html_bytes": 10 * 1024 * 1024,
        "max_sessions": 20,
        "session_ttl": 1800.0,
        "on_challenge": "report",
        "human_timeout": 600.0,
        "max_waiting_pages": 4,
        "human_webhook": None,
        "dashboard_url": None,
        "max_fetch_bytes": 10 * 1024 * 1024,
        "max_fetches_per_host": 6,
        "max_task_bytes": 100 * 1024 * 1024,
        "disable_media": False,
        "allow_private_host": (),
        "proxy_url": None,
        "proxy_username": None,
        "proxy_password": None,
        "proxy_password_file": None,
        "metrics_domains": False,
        "shutdown_timeout": 30.0,
        "log_level": "info",
        "log_format": "text",
    }


SOURCES = [
    # setting, environment, flag, values of both
    (
        "queue_url",
        "redis://:secret@redis.test:6379/0",
        "rediss://redis.test/1",
        SecretStr("redis://:secret@redis.test:6379/0"),
        SecretStr("rediss://redis.test/1"),
    ),
    (
        "queue_secret",
        "a-new-long-secret, the-old-long-one",
        "another-long-secret",
        keys("a-new-long-secret", "the-old-long-one"),
        keys("another-long-secret"),
    ),
    ("node", "one", "two", "one", "two"),
    (
        "node_url",
        "http://10.0.0.7:8191",
        "https://two.test",
        "http://10.0.0.7:8191",
        "https://two.test",
    ),
    ("start_timeout", "60", "0.5", 60.0, 0.5),
    ("workers", "3", "5", 3, 5),
    ("host", "0.0.0.0", "::1", "0.0.0.0", "::1"),
    ("port", "8001", "0", 8001, 0),
    (
        "api_key",
        "env-key-1, env-key-2",
        "flag-key",
        keys("env-key-1", "env-key-2"),
        keys("flag-key"),
    ),
    ("result_ttl", "60", "0.5", 60.0, 0.5),
    ("clearance_ttl", "60", "0.5", 60.0, 0.5),
    ("browser", "camoufox", "firefox", "camoufox", "firefox"),
    ("headless", "virtual", "false", "virtual", "false"),
    ("tasks_per_browser", "1", "2", 1, 2),
    ("max_browser_bytes", "100000000", "200000000", 100_000_000, 200_000_000),
    ("max_timeout", "10", "20", 10.0, 20.0),
    ("max_per_host", "0", "2", 0, 2),
    ("max_queue", "1", "2", 1, 2),
    ("max_waiting", "1", "2", 1, 2),
    ("max_results_bytes", "1048576", "2000000", 1_048_576, 2_000_000),
    ("keep_evidence", "0", "20", 0, 20),
    ("max_evidence_bytes", "1048576", "2000000", 1_048_576, 2_000_000),
    ("max_html_bytes", "2048", "4096", 2048, 4096),
    ("max_sessions", "1", "2", 1, 2),
    ("session_ttl", "60", "0.5", 60.0, 0.5),
    ("on_challenge", "WAIT", "report", "wait", "report"),
    ("human_timeout", "60", "0.5", 60.0, 0.5),
    ("max_waiting_pages", "0", "2", 0, 2),
    (
        "human_webhook",
        "https://user:pass@chat.test/hook?token=secret",
        "http://127.0.0.1:9/",
        SecretStr("https://user:pass@chat.test/hook?token=secret"),
        SecretStr("http://127.0.0.1:9/"),
    ),
    (
        "dashboard_url",
        "https://solver.test/captcha/",
        "http://solver.test:8191",
        "https://solver.test/captcha",
        "http://solver.test:8191",
    ),
    ("max_fetch_bytes", "2048", "4096", 2048, 4096),
    ("max_fetches_per_host", "1", "2", 1, 2),
    ("max_task_bytes", "100000", "200000", 100_000, 200_000),
    ("disable_media", "true", "false", True, False),
    (
        "allow_private_host",
        "intranet, 10.0.0.0/8",
        "[::1]:8000",
        ("intranet", "10.0.0.0/8"),
        ("[::1]:8000",),
    ),
    (
        "proxy_url",
        "http://proxy.test:3128/",
        "SOCKS5://[::1]:1080",
        "http://proxy.test:3128",
        "socks5://[::1]:1080",
    ),
    ("metrics_domains", "1", "false", True, False),
    ("shutdown_timeout", "0", "5", 0.0, 5.0),
    ("log_level", "DEBUG", "Error", "debug", "error"),
    ("log_format", "JSON", "text", "json", "text"),
]


@pytest.mark.parametrize(("name", "env", "flag", "from_env", "from_flag"), SOURCES)
def test_flag_beats_environment_beats_default(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    env: str,
    flag: str,
    from_env: object,
    from_flag: object,
) -> None:
    monkeypatch.setenv(PREFIX + name.upper(), env)
    assert getattr(config(), name) == from_env
    option = "--" + name.replace("_", "-")
    assert getattr(config(option, flag), name) == from_flag
    assert getattr(config(f"{option}={flag}"), name) == from_flag


def test_sources_are_tested_for_every_setting() -> None:
    elsewhere = {"browser_path", "api_key_file", "queue_secret_file"}
    elsewhere |= {"proxy_username", "proxy_password", "proxy_password_file"}
    assert {source[0] for source in SOURCES} | elsewhere == set(NAMES)


def test_browser_path_is_an_existing_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    executable = tmp_path / "firefox"
    executable.touch()
    assert config("--browser-path", str(executable)).browser_path == executable
    monkeypatch.setenv(PREFIX + "BROWSER_PATH", str(executable))
    assert config().browser_path == executable


# API keys


def test_keys_of_flags_and_file_all_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# of \N{SNOWMAN}\n\n  file-key-1\t\r\nfile-key-2")
    flags = ["--api-key", "flag-key-1", "--api-key=flag-key-2"]
    assert config(*flags).api_keys == keys("flag-key-1", "flag-key-2")
    found = config(*flags, "--api-key-file", str(file)).api_keys
    assert found == keys("flag-key-1", "flag-key-2", "file-key-1", "file-key-2")
    monkeypatch.setenv(PREFIX + "API_KEY_FILE", str(file))
    assert config().api_keys == keys("file-key-1", "file-key-2")


def test_no_key_is_set_by_default() -> None:
    assert config().api_keys == ()


@pytest.mark.parametrize(
    "content",
    ["", "\n \n# only a comment\n", "good-key\nshort\n", "two words-in-a-line", b"\xff\xfe"],
)
def test_file_without_good_keys_is_refused(tmp_path: Path, content: str | bytes) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(Refused, match=r"^--api-key-file "):
        config("--api-key-file", str(file))


@pytest.mark.parametrize("flag", ["--api-key", "--api-key-file"])
@pytest.mark.parametrize("form", ["two words", "one word"])
def test_empty_key_does_not_start_an_open_service(flag: str, form: str) -> None:
    with pytest.raises(Refused, match=rf"^{flag} "):
        config(*([flag, ""] if form == "two words" else [f"{flag}="]), "--port", "1")


def test_refused_key_is_not_repeated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("good-key-1\nCANARY,1")
    refusals = [["--api-key", "CANARY,,1"], ["--api-key-file", str(file)]]
    # A key where the path should be.
    refusals += [["--api-key-file", "CANARY-1"], ["--api-key-file", "CANARY\0"]]
    for argv in refusals:
        with pytest.raises(Refused) as refused:
            config(*argv)
        assert "CANARY" not in str(refused.value)
    monkeypatch.setenv(PREFIX + "API_KEY", "CANARY 1")
    done = run()
    assert done.returncode == 2
    assert "CANARY" not in done.stdout + done.stderr


def test_settings_do_not_show_their_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("CANARY-2")
    found = config("--api-key", "CANARY-1", "--api-key-file", str(file))
    assert len(found.api_keys) == 2
    shown = [repr(found), str(found), found.model_dump_json(), str(found.model_dump(mode="json"))]
    assert "CANARY" not in "".join([*shown, str(found.model_dump()), repr(found.api_keys)])


PROXY = ("--proxy-url", "http://proxy.test:80", "--proxy-username", "u")


# The password of the default proxy


@pytest.mark.parametrize("content", ["CANARY 1 ", "CANARY 1 \n", "CANARY 1 \r\n"])
def test_password_of_the_proxy_may_stand_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content.encode())
    for given in (("--proxy-password-file", str(file)), ()):
        found = config(*PROXY, *given)
        assert found.proxy_secret == SecretStr("CANARY 1 ")
        assert "CANARY" not in repr(found) + found.model_dump_json()
        monkeypatch.setenv(PREFIX + "PROXY_PASSWORD_FILE", str(file))


@pytest.mark.parametrize(
    ("content", "beside", "reason"),
    [
        (b"", PROXY, "one line"),
        (b"\n", PROXY, "one line"),
        (b"CANARY-1\nCANARY-2", PROXY, "one line"),
        (b"\xff", PROXY, "not a text file"),
        (b"x" * 1025, PROXY, "1024"),
        (b"CANARY-1", (), "username"),
        (b"CANARY-1", (*PROXY, "--proxy-password", "CANARY-2"), "leave one of them out"),
        (b"\xc3\xbc", (*PROXY, "--proxy-url", "socks5://proxy.test:80"), "ASCII"),
        (None, PROXY, "cannot be read"),
    ],
)
def test_bad_file_with_a_password_is_refused_without_telling_it(
    tmp_path: Path, content: bytes | None, beside: tuple[str, ...], reason: str
) -> None:
    file = tmp_path / "CANARY"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Refused, match=rf"^--proxy-password-file .*{reason}") as refused:
        config(*beside, "--proxy-password-file", str(file))
    assert "CANARY" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, True) for host in ("127.0.0.1", "127.255.0.9", "::1", "localhost", "LocalHost")),
        *((host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "example.com")),
        *((host, False) for host in ("localhost.example.com", "127.0.0.1.example.com", "[::1]")),
    ],
)
def test_only_loopback_addresses_and_localhost_are_loopback(host: str, expected: bool) -> None:
    assert config("--host", host).loopback_only is expected


BARE = {
    # setting: three values and what becomes of them
    **dict.fromkeys(("workers", "port", "result_ttl"), (("7", "8", "9"), (7, 8, 9))),
    "log_level": (("INFO", "debug", "error"), ("info", "debug", "error")),
    "host": (("0.0.0.0", "::", "a.test"), ("0.0.0.0", "::", "a.test")),
    "headless": (("False", "virtual", "true"), ("false", "virtual", "true")),
    "disable_media": (("True", "false", "true"), (True, False, True)),
    "proxy_url": (
        ("http://a.test:1/", "socks5://b.test:2", "https://c.test:3"),
        ("http://a.test:1", "socks5://b.test:2", "https://c.test:3"),
    ),
}


@pytest.mark.parametrize("name", sorted(BARE))
def test_bare_name_is_read_and_prefixed_name_and_flag_beat_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (bare, prefixed, flag), expected = BARE[name]
    monkeypatch.setenv(name.upper(), bare)
    found = [getattr(config(), name)]
    monkeypatch.setenv(PREFIX + name.upper(), prefixed)
    found.append(getattr(config(), name))
    found.append(getattr(config("--" + name.replace("_", "-"), flag), name))
    assert tuple(found) == expected


def test_bare_names_are_all_tested() -> None:
    assert set(BARE) | {"proxy_username", "proxy_password"} == BARE_NAMES


@pytest.mark.parametrize("name", sorted(set(NAMES) - BARE_NAMES))
def test_no_other_setting_is_read_without_its_prefix(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name.upper(), "no setting would take this")
    assert config() == Config()


@pytest.mark.parametrize("name", NAMES)
def test_empty_variable_is_no_value(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    default = getattr(config(), name)
    monkeypatch.setenv(PREFIX + name.upper(), "")
    if name in BARE_NAMES:
        monkeypatch.setenv(name.upper(), "")
    assert getattr(config(), name) == default


def test_empty_prefixed_variable_leaves_the_bare_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "7")
    monkeypatch.setenv(PREFIX + "PORT", "")
    assert config().port == 7


def test_bad_variable_does_not_matter_where_a_flag_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PORT", "abc")
    assert config("--port", "7").port == 7


def test_unknown_variable_with_the_prefix_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX + "NONSENSE", "1")
    assert config() == Config()


def test_service_without_workers_needs_a_queue_that_others_share() -> None:
    with pytest.raises(Refused, match="must be at least 1 without --queue-url"):
        config("--workers", "0")
    assert config("--workers", "0", "--queue-url", "redis://redis.test/0").workers == 0


def test_secrets_of_the_queue_come_from_both_places(tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_text("# new\na-secret-of-the-file\n")
    found = config("--queue-secret", "a-secret-of-the-flag", "--queue-secret-file", str(file))
    assert found.queue_secrets == ("a-secret-of-the-flag", "a-secret-of-the-file")
