"""Dockerfile, the compose files, .dockerignore and SECURITY.md's firewall, checked without an engine."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import threading
import tomllib
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address, ip_network
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml
from camoufox.browser_pin import load_pin
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from captcha_bypass.config import Config
from captcha_bypass.config.environment import BARE_NAMES
from captcha_bypass.healthcheck import flags_of, healthy
from tests.support.repository import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTAINER_FILES = ("Dockerfile", "docker-compose.yml", "compose.hardened.yaml")
INSTRUCTIONS = {
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"),
    *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
}
PREFIX = "CAPTCHA_BYPASS_"
SETTINGS = set(Config.model_fields)
FLAGS = {f"--{name.replace('_', '-')}" for name in SETTINGS}
VARIABLES = {PREFIX + name.upper() for name in SETTINGS} | {name.upper() for name in BARE_NAMES}
# Read by the shell, pip and Python while the image is built or run; not by the service.
FOREIGN_VARIABLES = {"HOME", "PATH", "PIP_NO_CACHE_DIR", "PYTHONUNBUFFERED"}


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
HARDENED = yaml.safe_load((ROOT / "compose.hardened.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = {
    "docker-compose.yml": COMPOSE["services"]["captcha-bypass"],
    "compose.hardened.yaml": HARDENED["services"]["captcha-bypass"],
    "firewall": HARDENED["services"]["firewall"],
}
FIREWALL = SERVICES["firewall"]["environment"]["RULES"]
SECURITY = (ROOT / "SECURITY.md").read_text()


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


@pytest.mark.parametrize("name", ["Dockerfile", "firewall"])
def test_dockerfiles_are_lint_free(name: str) -> None:
    inline = SERVICES["firewall"]["build"]["dockerfile_inline"]
    text = inline if name == "firewall" else (ROOT / name).read_text()
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run([hadolint, "-"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "hadolint Dockerfile" in (ROOT / "Makefile").read_text()


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
    # What the browser's layer is made of names no file that other changes touch.
    before = DOCKERFILE[: next(i for i, run in enumerate(DOCKERFILE) if "fetch" in run.arguments)]
    assert [copy.words()[0] for copy in before if copy.name == "COPY"] == [
        "docker/requirements.txt",
        "docker/check_pinned.py",
    ]
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


@pytest.mark.parametrize(
    "path",
    [".git/config", ".env", ".venv/bin/python", "tests/test_api.py", "captcha_bypass_api_key"],
)
def test_nothing_private_or_needless_reaches_the_engine(path: str) -> None:
    assert is_ignored(path, IGNORE_PATTERNS)


def test_every_flag_is_one_of_ours() -> None:
    commands = [*only("ENTRYPOINT").words(), *(w for i in all_of("CMD") for w in i.words())]
    commands += service().get("command", [])
    assert {word.partition("=")[0] for word in commands if re.match(r"--\w", word)} <= FLAGS
    comments = "".join((ROOT / name).read_text() for name in CONTAINER_FILES)
    assert set(re.findall(r"`(--[a-z-]+)", comments)) <= FLAGS


def test_every_variable_is_one_of_ours() -> None:
    named = {pair.partition("=")[0] for env in all_of("ENV") for pair in env.words()}
    assert named - FOREIGN_VARIABLES <= VARIABLES
    text = "".join((ROOT / name).read_text() for name in CONTAINER_FILES)
    assert set(re.findall(rf"{PREFIX}[A-Z_]+", text)) <= VARIABLES


def test_defaults_in_compose_are_the_defaults_of_the_service() -> None:
    fields = Config.model_fields
    port, ttl = fields["port"].default, fields["result_ttl"].default
    set_here = {name: value for name, value in environment_of_compose().items() if value}
    assert set_here == {
        # What the memory below is for, not what the host has CPUs.
        "WORKERS": "${WORKERS:-4}",
        "PORT": f"${{PORT:-{port}}}",
        "RESULT_TTL": f"${{RESULT_TTL:-{ttl:g}}}",
    }
    assert only("EXPOSE").arguments == str(port)


def flaresolverr_names() -> set[str]:
    page = (ROOT / "docs/settings.md").read_text()
    section = page[page.index("## FlareSolverr's environment") :]
    return set(re.findall(r"`([A-Z_]+)`", section)) - {f"{PREFIX}PROXY_URL", f"{PREFIX}PORT"}


@pytest.mark.parametrize("file", ["docker-compose.yml", "compose.hardened.yaml"])
def test_every_name_of_flaresolverr_that_the_docs_claim_reaches_the_service(file: str) -> None:
    names = {entry.partition("=")[0] for entry in SERVICES[file]["environment"]}
    assert {"LOG_LEVEL", "PROXY_PASSWORD", "BROWSER_TIMEOUT"} <= flaresolverr_names() <= names


@pytest.mark.parametrize("file", ["docker-compose.yml", "compose.hardened.yaml"])
def test_settings_may_stand_in_a_file_that_need_not_be_there(file: str) -> None:
    assert SERVICES[file]["env_file"] == [{"path": ".env", "required": False}]
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    # What the file says of the port is not what is published.
    assert f"{PREFIX}PORT=" in SERVICES[file]["environment"]


@pytest.mark.parametrize("file", ["docker-compose.yml", "compose.hardened.yaml"])
def test_compose_files_are_what_the_compose_specification_says(file: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, file], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


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


def test_group_0_may_write_what_the_user_may() -> None:
    owned = next(i for i in all_of("RUN") if "useradd" in i.arguments).arguments
    assert "--gid 0 captcha" in owned
    assert "install -d -o captcha -g 0 -m 0775 " in owned
    # A user that the image does not know has no home but this.
    environment = dict(pair.split("=", 1) for env in all_of("ENV") for pair in env.words())
    assert environment["HOME"] == "/home/captcha"
    user = DOCKERFILE.index(only("USER"))
    for run in (item for item in DOCKERFILE[user:] if item.name == "RUN"):
        commands = re.sub(r"--mount=\S+ ", "", run.arguments)
        assert commands.startswith("umask 002 &&"), run
    # What an archive says of its files beats the umask.
    (fetch,) = (run.arguments for run in all_of("RUN") if "camoufox fetch" in run.arguments)
    assert "chmod -R g=u /home/captcha/.cache " in fetch


def test_a_build_ends_where_a_part_of_camoufox_is_missing() -> None:
    (fetch,) = (run.arguments for run in all_of("RUN") if "camoufox fetch" in run.arguments)
    assert " && python docker/check_pinned.py && " in fetch
    assert ";" not in fetch


def test_the_build_that_the_dockerfile_names_is_the_pinned_one() -> None:
    pin = load_pin()
    assert pin is not None
    text = (ROOT / "Dockerfile").read_text()
    assert set(re.findall(r"browsers/(\w+/[\w.-]+?)[ /]", text)) == {f"{pin.repo_name}/{pin.spec}"}
    assert json.loads(re.findall(r"echo '(\{.*?\})'", text)[0]) == {
        "version": pin.version,
        "build": pin.build,
        "interface": 1,
    }


def test_the_image_names_its_processors() -> None:
    assert "amd64 | arm64) ;;" in all_of("RUN")[0].arguments
    assert "on amd64 or arm64" in (ROOT / "README.md").read_text()


def locked() -> dict[str, str]:
    """Versions in the image's locked dependencies; each must have a hash."""
    text = (ROOT / "docker/requirements.txt").read_text()
    entries = re.findall(r"^([a-z0-9-]+)==(\S+).*?\\\n((?: +--hash.*\n)+)", text, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^[a-z]", text, re.MULTILINE)) > 30
    return {name: version for name, version, _ in entries}


def test_locked_dependencies_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["build"]
    assert project["build-system"]["requires"] == project["dependency-groups"]["build"]
    versions = locked()
    for requirement in map(Requirement, wanted):
        found = versions.get(canonicalize_name(requirement.name), "none")
        assert requirement.specifier.contains(found), f"{requirement}: run `make lock`"
    installs = [run.arguments for run in all_of("RUN") if "pip install" in run.arguments]
    assert "--require-hashes" in installs[0]
    assert "--no-deps --no-build-isolation ." in installs[1]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_no_power_it_does_not_need(name: str) -> None:
    container = SERVICES[name]
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["read_only"] is True
    assert container["mem_limit"]
    assert container["pids_limit"] > 0
    # The firewall alone may change a network: the one that it and the service live in.
    assert container.get("cap_add", []) == (["NET_ADMIN"] if name == "firewall" else [])


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_is_let_into_the_host(name: str) -> None:
    doors = {"privileged", "devices", "pid", "ipc", "uts", "userns_mode", "cgroup", "volumes"}
    assert not doors & set(SERVICES[name])
    assert SERVICES[name].get("network_mode") in (None, "service:firewall")
    assert "docker.sock" not in json.dumps(SERVICES[name])


def test_both_compose_files_bound_the_service_alike() -> None:
    own = {"ports", "network_mode", "depends_on", "environment", "secrets"}
    plain, hardened = (
        {key: value for key, value in SERVICES[file].items() if key not in own}
        for file in ("docker-compose.yml", "compose.hardened.yaml")
    )
    assert plain == hardened


def tmpfs_mounts() -> dict[str, list[str]]:
    pairs = (entry.partition(":") for entry in service()["tmpfs"])
    return {path: options.split(",") for path, _, options in pairs}


def test_every_tmpfs_is_a_folder_that_the_images_user_may_write_to() -> None:
    made = " ".join(run.arguments for run in all_of("RUN")).split()
    for path, options in tmpfs_mounts().items():
        names = {option.partition("=")[0] for option in options}
        assert "mode=1777" in options, path
        assert "size" in names, path
        # Podman refuses to mount with an option that it does not know, such as uid= and gid=.
        assert names <= {"mode", "size", "exec"}, path
        assert path == "/tmp" or path in made


def test_only_tmp_may_run_programs_because_scripts_start_the_browsers() -> None:
    runnable = [path for path, options in tmpfs_mounts().items() if "exec" in options]
    assert runnable == ["/tmp"]


def test_no_tmpfs_hides_the_installed_browser() -> None:
    installed = PurePosixPath("/home/captcha/.cache/camoufox")
    hiding = {str(path) for path in (installed, *installed.parents)}
    assert not hiding & set(tmpfs_mounts())


def mebibytes(size: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(m|g)b?", size).groups()  # type: ignore[union-attr]
    return int(number) * {"m": 1, "g": 1024}[unit]


def test_memory_is_enough_for_two_browsers_and_the_service() -> None:
    browser = Config.model_fields["max_browser_bytes"].default / 1024**2
    assert mebibytes(service()["mem_limit"]) >= 2 * browser + 1024
    assert "2 GiB" in (ROOT / "docker-compose.yml").read_text()
    assert browser == 2048


def test_the_hardened_service_has_no_network_but_behind_the_firewall() -> None:
    hardened = SERVICES["compose.hardened.yaml"]
    assert hardened["network_mode"] == "service:firewall"
    assert not {"ports", "networks"} & set(hardened)
    assert "ports" not in SERVICES["firewall"]
    assert hardened["depends_on"]["firewall"]["condition"] == "service_healthy"
    assert HARDENED["networks"]["crawlers"]["internal"] is True


def test_the_hardened_service_is_healthy_only_with_its_rules() -> None:
    firewall = SERVICES["firewall"]
    table = re.search(r"^table (\w+ \w+) \{$", FIREWALL, re.MULTILINE)
    assert table is not None
    assert firewall["healthcheck"]["test"] == ["CMD", "nft", "list", "table", *table[1].split()]
    # Compose makes $ of $$; a shell that loads nothing must not go on to sleep.
    assert firewall["command"][2] == "printf '%s' \"$$RULES\" | nft -f - && exec sleep infinity"


def test_crawlers_call_the_port_that_the_rules_let_in() -> None:
    (port,) = re.findall(r"^\s*tcp dport (\d+) accept$", FIREWALL, re.MULTILINE)
    assert f"PORT={port}" in SERVICES["compose.hardened.yaml"]["environment"]
    (alias,) = SERVICES["firewall"]["networks"]["crawlers"]["aliases"]
    assert f"http://{alias}:{port} " in (ROOT / "compose.hardened.yaml").read_text()


def test_the_hardened_service_wants_a_key_from_a_secret() -> None:
    (name,) = SERVICES["compose.hardened.yaml"]["secrets"]
    environment = SERVICES["compose.hardened.yaml"]["environment"]
    assert f"CAPTCHA_BYPASS_API_KEY_FILE=/run/secrets/{name}" in environment
    # A file: Compose copies other kinds into the container, which a read-only one refuses.
    path = HARDENED["secrets"][name]["file"]
    assert path.removeprefix("./") in (ROOT / ".gitignore").read_text().splitlines()


def test_every_flag_in_the_security_page_is_one_of_ours_but_for_one_of_dockers() -> None:
    assert set(re.findall(r"`(--[a-z-]+)", SECURITY)) <= FLAGS | {"--privileged"}


def example_firewall() -> str:
    (example,) = re.findall(r"```nft\n(.*?)```", SECURITY, re.DOTALL)
    return str(example)


BOTH_FIREWALLS = pytest.mark.parametrize(
    "rules", [FIREWALL, example_firewall()], ids=["compose.hardened.yaml", "SECURITY.md"]
)


@BOTH_FIREWALLS
def test_the_rules_replace_their_own_table_only(rules: str) -> None:
    lines = [line for line in rules.splitlines() if line and not line.lstrip().startswith("#")]
    name = "table inet captcha_bypass"
    assert lines[:3] == [name, f"delete {name}", f"{name} {{"]
    assert lines[-1] == "}"
    assert rules.count("{") == rules.count("}")
    assert "flush ruleset" not in rules
    assert "type filter hook output priority filter; policy accept;" in rules


@BOTH_FIREWALLS
def test_the_rules_parse(rules: str) -> None:
    if shutil.which("nft") is None:
        pytest.skip("nft is not installed (Debian: nftables)")
    if subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespace can be had, which nft wants even to check")
    command = ["unshare", "-rn", "nft", "--check", "--file", "-"]
    done = subprocess.run(command, input=rules, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@BOTH_FIREWALLS
@pytest.mark.parametrize(
    ("address", "refused"),
    [
        *((text, True) for text in ("10.1.2.3", "172.16.0.1", "172.31.9.9", "192.168.1.1")),
        *((text, True) for text in ("169.254.169.254", "168.63.129.16", "100.64.0.1", "0.0.0.0")),
        *((text, True) for text in ("127.0.0.2", "192.0.0.192", "198.18.0.1", "224.0.0.1")),
        *((text, True) for text in ("255.255.255.255", "240.0.0.1")),
        *((text, False) for text in ("1.1.1.1", "9.9.9.9", "93.184.215.14", "172.32.0.1")),
        *((text, False) for text in ("192.1.0.1", "100.63.0.1", "11.0.0.1", "223.255.255.1")),
    ],
)
def test_the_rules_refuse_what_is_not_public(rules: str, address: str, refused: bool) -> None:
    (listed,) = re.findall(r"ip daddr \{(.*?)\} reject", rules, re.DOTALL)
    networks = [ip_network(entry.strip()) for entry in listed.split(",")]
    assert any(ip_address(address) in network for network in networks) is refused


def test_the_rules_refuse_ipv6_that_is_not_public() -> None:
    assert "meta nfproto ipv6 reject" in FIREWALL  # its network has none
    assert "ip6 daddr != 2000::/3 reject" in example_firewall()


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
