"""Settings that are refused: in one line that names them."""

from __future__ import annotations

import pytest

from tests.support.program import NAMES, run
from tests.support.settings import PREFIX, Refused, config

BAD = {
    "workers": ["0", "-1", "257", "two", "1.5", "nan"],
    "port": ["-1", "65536", "http", "80.5"],
    "api_key": [
        "short",
        "7-chars",
        "two words",
        "good-key-1,",
        "good-key,,good-key",
        "schlüssel-1",
    ],
    "api_key_file": ["/does/not/exist", "/"],
    "queue_url": ["redis", "http://redis.test/0", "redis://", "redis:///0"],
    "queue_secret": ["too short", "long-enough-this-is,short"],
    "queue_secret_file": ["/does/not/exist", "/"],
    "node": ["x" * 101],
    "node_url": ["node.test", "http://user@node.test/", "http://node.test/?a=b"],
    "start_timeout": ["0", "-1", "nan", "inf", "ten"],
    "result_ttl": ["0", "-1", "nan", "inf", "ten"],
    "clearance_ttl": ["0", "-1", "nan", "inf", "ten"],
    "browser": ["chrome", "Chrome", "true"],
    "browser_path": ["/does/not/exist", "/"],
    "headless": ["yes", "1", "headful"],
    "tasks_per_browser": ["0", "-1", "many"],
    "max_browser_bytes": ["0", "1024", "2G"],
    "max_timeout": ["0", "-1", "nan", "inf", "5m"],
    "max_per_host": ["-1", "1.5", "many"],
    "max_queue": ["0", "-1", "many"],
    "max_waiting": ["0", "-1", "many"],
    "max_results_bytes": ["0", "-1", "1048575", "1G"],
    "keep_evidence": ["-1", "10001", "1.5", "all"],
    "max_evidence_bytes": ["0", "1048575", "64M"],
    "max_html_bytes": ["0", "1023", "10MB"],
    "max_sessions": ["0", "-1", "many"],
    "session_ttl": ["0", "-1", "nan", "inf", "ten"],
    "on_challenge": ["yes", "solve"],
    "human_timeout": ["0", "-1", "nan", "inf", "ten"],
    "max_waiting_pages": ["-1", "257", "many"],
    "human_webhook": ["chat.test", "ftp://chat.test/", "http://", "http://chat.test/a b"],
    "dashboard_url": ["solver.test", "http://user@solver.test/", "http://solver.test/?a=b"],
    "max_fetch_bytes": ["0", "1023", "10MB"],
    "max_fetches_per_host": ["0", "-1", "257", "many"],
    "max_task_bytes": ["0", "1024", "100MB"],
    "disable_media": ["perhaps", "2"],
    "allow_private_host": ["10.0.0.1/8", "http://intranet", "intranet:0", "intranet:99999", "a b"],
    "proxy_url": [
        "proxy.test:3128",
        "http://proxy.test",
        "socks4://proxy.test:1080",
        "http://user:pass@proxy.test:3128",
        "http://proxy.test:3128/x",
    ],
    "proxy_username": ["without-a-url", "x" * 257],
    "proxy_password": ["without-a-username", "x" * 1025],
    "proxy_password_file": ["/does/not/exist", "/", __file__],
    "metrics_domains": ["2", "maybe"],
    "shutdown_timeout": ["-1", "nan", "inf", "soon"],
    "log_level": ["loud", "10"],
    "log_format": ["xml", "yaml"],
}


BAD_CASES = [(name, value) for name, values in BAD.items() for value in values]


@pytest.mark.parametrize(("name", "value"), BAD_CASES)
def test_bad_flag_is_refused_in_one_line_that_names_it(name: str, value: str) -> None:
    flag = "--" + name.replace("_", "-")
    with pytest.raises(Refused) as refused:
        config(f"{flag}={value}")
    message = str(refused.value)
    assert message.startswith(f"{flag} ")
    assert "\n" not in message


@pytest.mark.parametrize(("name", "value"), BAD_CASES)
def test_bad_variable_is_refused_in_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(PREFIX + name.upper(), value)
    with pytest.raises(Refused) as refused:
        config()
    assert PREFIX + name.upper() in str(refused.value)
    assert "\n" not in str(refused.value)


def test_bad_values_are_tested_for_every_setting_that_has_any() -> None:
    assert set(BAD) | {"host"} == set(NAMES)


@pytest.mark.parametrize(
    ("argv", "env", "flag"),
    [
        (["--workers", "0"], {}, "--workers"),
        (["--port", "http"], {}, "--port"),
        (["--browser", "chrome"], {}, "--browser"),
        (["--browser-path", "/does/not/exist"], {}, "--browser-path"),
        ([], {"CAPTCHA_BYPASS_RESULT_TTL": "-5"}, "--result-ttl"),
        ([], {"WORKERS": "many"}, "--workers"),
    ],
)
def test_bad_value_ends_the_program_with_exit_code_2_and_one_line(
    argv: list[str], env: dict[str, str], flag: str
) -> None:
    done = run(*argv, **env)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"captcha-bypass: error: {flag} ")


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--nonsense"], "--nonsense"),
        (["--timeout", "5"], "--timeout"),
        (["--port"], "--port"),
        (["surplus"], "surplus"),
        (["--max-t", "5"], "--max-t"),
    ],
)
def test_argument_that_is_no_setting_ends_the_program_with_exit_code_2(
    argv: list[str], named: str
) -> None:
    done = run(*argv)
    assert done.returncode == 2
    assert done.stdout == ""
    assert named in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
