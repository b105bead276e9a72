"""The compose files bound and confine the service, checked without an engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import PurePosixPath

import pytest

from captcha_bypass.config import Config
from tests.support.container_files import FIREWALL, HARDENED, SERVICES, all_of, service
from tests.support.repository import ROOT


def seconds(duration: str) -> float:
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    parts = re.findall(r"(\d+)([hms])", duration)
    assert "".join(number + unit for number, unit in parts) == duration
    return sum(int(number) * units[unit] for number, unit in parts)


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
