"""Dockerfile, docker-compose.yml and .dockerignore, checked without an engine."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml

from captcha_bypass.config import BARE_NAMES, Config

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
INSTRUCTIONS = {
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"),
    *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
}
PREFIX = "CAPTCHA_BYPASS_"
SETTINGS = set(Config.model_fields)
FLAGS = {f"--{name.replace('_', '-')}" for name in SETTINGS}
VARIABLES = {PREFIX + name.upper() for name in SETTINGS} | {name.upper() for name in BARE_NAMES}
# Read by the shell, pip and Python while the image is built or run; not by the service.
FOREIGN_VARIABLES = {"PATH", "PIP_NO_CACHE_DIR", "PYTHONUNBUFFERED"}


@dataclass(frozen=True)
class Instruction:
    name: str
    arguments: str

    def words(self) -> list[str]:
        """The arguments of the exec form (JSON) or of the shell form."""
        if self.arguments.startswith("["):
            return cast("list[str]", json.loads(self.arguments))
        return shlex.split(self.arguments)


def parse_dockerfile(text: str) -> list[Instruction]:
    """Joins continued lines, leaves comments out; refuses what is not an instruction."""
    assert not text.rstrip("\n").endswith("\\"), "the last line is continued"
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    instructions = []
    for line in joined.splitlines():
        name, _, arguments = line.partition(" ")
        assert name in INSTRUCTIONS, f"not a Dockerfile instruction: {line}"
        assert arguments.strip(), f"{name} without arguments"
        instructions.append(Instruction(name, arguments.strip()))
    return instructions


def is_ignored(path: str, patterns: list[str]) -> bool:
    """Whether .dockerignore keeps a path from the engine: the last pattern that matches decides.

    A pattern matches a path, and everything below it; `*` does not cross a slash, `**/` does.
    """
    ignored = False
    candidates = [str(p) for p in (PurePosixPath(path), *PurePosixPath(path).parents)]
    for pattern in patterns:
        negated = pattern.startswith("!")
        bare = pattern.lstrip("!").strip("/")
        anywhere = bare.startswith("**/")
        depth = bare.removeprefix("**/").count("/")
        for candidate in candidates:
            tail = "/".join(candidate.split("/")[-depth - 1 :]) if anywhere else candidate
            same_depth = tail.count("/") == depth
            if same_depth and fnmatch.fnmatchcase(tail, bare.removeprefix("**/")):
                ignored = not negated
    return ignored


DOCKERFILE = parse_dockerfile((ROOT / "Dockerfile").read_text())
IGNORE_PATTERNS = [
    line.strip()
    for line in (ROOT / ".dockerignore").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def all_of(name: str) -> list[Instruction]:
    return [instruction for instruction in DOCKERFILE if instruction.name == name]


def only(name: str) -> Instruction:
    (instruction,) = all_of(name)
    return instruction


def service() -> dict[str, Any]:
    (only_service,) = COMPOSE["services"].values()
    return cast("dict[str, Any]", only_service)


def seconds(duration: str) -> float:
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    parts = re.findall(r"(\d+)([hms])", duration)
    assert "".join(number + unit for number, unit in parts) == duration
    return sum(int(number) * units[unit] for number, unit in parts)


def environment_of_compose() -> dict[str, str | None]:
    pairs = (entry.partition("=") for entry in service()["environment"])
    return {name: value if equals else None for name, equals, value in pairs}


@pytest.mark.parametrize("text", ["FROM a\nRUNN b\n", "FROM a\nRUN b \\\n", "FROM a\nUSER\n"])
def test_the_parser_refuses_broken_dockerfiles(text: str) -> None:
    with pytest.raises(AssertionError):
        parse_dockerfile(text)


def test_the_parser_joins_lines_and_drops_comments() -> None:
    parsed = parse_dockerfile("# x\nFROM a:1\nRUN b \\\n  # why\n  && c\n")
    assert parsed == [Instruction("FROM", "a:1"), Instruction("RUN", "b && c")]


@pytest.mark.parametrize(
    ("path", "patterns", "ignored"),
    [
        ("a/b.py", ["a"], True),
        ("a/b.py", ["*"], True),
        ("a/b.py", ["*", "!a"], False),
        ("a/b.py", ["*.py"], False),
        ("a/b.py", ["**/*.py"], True),
        ("a/__pycache__/b.pyc", ["*", "!a", "**/__pycache__"], True),
        ("a/b.py", ["*", "!a", "a/b.py"], True),
    ],
)
def test_ignore_patterns_mean_what_docker_means(
    path: str, patterns: list[str], ignored: bool
) -> None:
    assert is_ignored(path, patterns) is ignored


def test_base_image_is_a_slim_debian_python_pinned_by_tag() -> None:
    assert DOCKERFILE[0].name == "FROM"
    image, _, tag = only("FROM").arguments.partition(":")
    assert image == "python"
    assert re.fullmatch(r"3\.\d+-slim-bookworm", tag)


def test_everything_copied_exists_and_reaches_the_engine() -> None:
    sources = [
        word
        for copy in all_of("COPY")
        for word in copy.words()[:-1]
        if not word.startswith("--")  # options such as --chown=
    ]
    assert {"pyproject.toml", "captcha_bypass", "captcha_bypass_scrapy"} <= set(sources)
    for source in sources:
        path = ROOT / source
        assert path.exists(), source
        files = [p for p in path.rglob("*.*") if "__pycache__" not in p.parts] or [path]
        for file in files:
            assert not is_ignored(file.relative_to(ROOT).as_posix(), IGNORE_PATTERNS), file
    assert not all_of("ADD")


def test_the_build_has_all_that_the_wheel_needs() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    copied = {word for copy in all_of("COPY") for word in copy.words()[:-1]}
    named = re.search(r'^readme = "(.+)"$', project, re.MULTILINE)
    assert named is not None
    assert named[1] in copied
    assert "LICENSE" in copied


@pytest.mark.parametrize("path", [".git/config", ".env", ".venv/bin/python", "tests/test_api.py"])
def test_nothing_private_or_needless_reaches_the_engine(path: str) -> None:
    assert is_ignored(path, IGNORE_PATTERNS)


def test_every_flag_is_one_of_ours() -> None:
    commands = [*only("ENTRYPOINT").words(), *(w for i in all_of("CMD") for w in i.words())]
    commands += service().get("command", [])
    assert {word.partition("=")[0] for word in commands if re.match(r"--\w", word)} <= FLAGS
    comments = "".join((ROOT / name).read_text() for name in ("Dockerfile", "docker-compose.yml"))
    assert set(re.findall(r"`(--[a-z-]+)", comments)) <= FLAGS


def test_every_variable_is_one_of_ours() -> None:
    named = {pair.partition("=")[0] for env in all_of("ENV") for pair in env.words()}
    assert named - FOREIGN_VARIABLES <= VARIABLES
    assert set(environment_of_compose()) == {"WORKERS", "PORT", "RESULT_TTL"} <= VARIABLES
    text = "".join((ROOT / name).read_text() for name in ("Dockerfile", "docker-compose.yml"))
    assert set(re.findall(rf"{PREFIX}[A-Z_]+", text)) <= VARIABLES


def test_defaults_in_compose_are_the_defaults_of_the_service() -> None:
    fields = Config.model_fields
    port, ttl = fields["port"].default, fields["result_ttl"].default
    assert environment_of_compose() == {
        "WORKERS": None,
        "PORT": f"${{PORT:-{port}}}",
        "RESULT_TTL": f"${{RESULT_TTL:-{ttl:g}}}",
    }
    assert only("EXPOSE").arguments == str(port)


def test_the_container_listens_on_all_addresses_and_compose_publishes_on_loopback_only() -> None:
    environment = dict(pair.split("=", 1) for env in all_of("ENV") for pair in env.words())
    assert environment["CAPTCHA_BYPASS_HOST"] == "0.0.0.0"
    assert service()["ports"] == ["127.0.0.1:${PORT:-8191}:${PORT:-8191}"]
    assert "network_mode" not in service()


def test_compose_bounds_logs_memory_and_shutdown() -> None:
    assert service()["logging"] == {
        "driver": "json-file",
        "options": {"max-size": "10m", "max-file": "3"},
    }
    assert service()["shm_size"]
    grace = seconds(service()["stop_grace_period"])
    assert grace >= Config.model_fields["shutdown_timeout"].default + 10


def test_tini_is_pid_1_and_the_user_is_not_root() -> None:
    assert only("ENTRYPOINT").words() == ["tini", "--", "captcha-bypass"]
    assert "tini" in all_of("RUN")[0].words()
    assert not {"init", "entrypoint"} & set(service())
    names = [instruction.name for instruction in DOCKERFILE]
    assert only("USER").arguments not in ("root", "0")
    assert names.index("USER") < names.index("ENTRYPOINT")


def test_what_writes_beside_its_own_package_runs_as_the_owner() -> None:
    user = DOCKERFILE.index(only("USER"))
    installs = [i for i in all_of("RUN") if re.search(r"\bpip install|camoufox fetch", i.arguments)]
    assert len(installs) == 3
    assert all(DOCKERFILE.index(install) > user for install in installs)
    owned = next(i for i in all_of("RUN") if "useradd" in i.arguments).arguments
    assert f"--uid {only('USER').arguments} " in owned
    assert "/home/captcha/.camoufox" in owned


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


def test_health_check_fails_where_nothing_listens() -> None:
    assert health_check({"PORT": "9"}) == 1


def test_variables_left_empty_mean_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment_of_compose():
        monkeypatch.setenv(name, "")
    config = Config()
    assert (config.port, config.result_ttl) == (8191, 600)
    assert config.workers >= 1
