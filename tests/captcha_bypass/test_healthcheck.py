"""The container's health check asks the service where it listens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from captcha_bypass.config import Config
from captcha_bypass.healthcheck import flags_of, healthy

if TYPE_CHECKING:
    from collections.abc import Iterator
from tests.support.container_files import PREFIX, VARIABLES, environment_of_compose, only


class _Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = cast("HealthServer", self.server)
        server.asked.append(self.path)
        self.send_response(server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Stay quiet."""


class HealthServer(HTTPServer):
    """A service that is as healthy as `status` says."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Health)
        self.asked: list[str] = []


@pytest.fixture
def health_server() -> Iterator[HealthServer]:
    with HealthServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def health_check(variables: dict[str, str]) -> int:
    """Runs the image's HEALTHCHECK here; returns its exit code."""
    _, _, command = only("HEALTHCHECK").arguments.partition(" CMD ")
    python, *arguments = json.loads(command)
    assert python == "python"
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment = {**inherited, "http_proxy": "http://127.0.0.1:9", **variables}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, timeout=30, check=False
    )
    return done.returncode


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (503, 1)])
def test_health_check_asks_health(health_server: HealthServer, status: int, exit_code: int) -> None:
    health_server.status = status
    assert health_check({"PORT": str(health_server.server_port)}) == exit_code
    assert health_server.asked == ["/health"]


def test_health_check_asks_where_the_service_listens(
    health_server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"PORT": "9", "CAPTCHA_BYPASS_PORT": str(health_server.server_port)}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Config().port == health_server.server_port
    assert health_check(variables) == 0
    linked = {"CAPTCHA_BYPASS_PORT": "tcp://10.0.0.1:9", "PORT": str(health_server.server_port)}
    assert health_check(linked) == 0


def test_health_check_fails_where_nothing_listens() -> None:
    assert health_check({"PORT": "9"}) == 1


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        (["tini", "--", "captcha-bypass"], []),
        (["tini", "--", "captcha-bypass", "--port", "9000"], ["--port", "9000"]),
        (["docker-init", "--", "tini", "--", "/x/captcha-bypass", "--port=1"], ["--port=1"]),
        (["/sbin/init"], []),
    ],
)
def test_health_check_finds_the_flags_the_container_was_started_with(
    tmp_path: Path, command: list[str], flags: list[str]
) -> None:
    first_process = tmp_path / "cmdline"
    first_process.write_text("".join(f"{word}\0" for word in command))
    assert flags_of(first_process) == flags
    assert flags_of(tmp_path / "none") == []


def test_health_check_follows_flag_and_address(health_server: HealthServer) -> None:
    port = str(health_server.server_port)
    assert healthy(Config(host="0.0.0.0", _cli_parse_args=["--port", port]))
    assert not healthy(Config(host="127.0.0.1", port=9))


def test_variables_left_empty_mean_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment_of_compose():
        monkeypatch.setenv(name, "")
    assert f"{PREFIX}PORT" in environment_of_compose()
    config = Config()
    assert (config.port, config.result_ttl) == (8191, 600)
    assert config.workers >= 1
