"""Dockerfile and compose files, read without an engine."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any, cast

import yaml

from captcha_bypass.config import Config
from captcha_bypass.config.environment import BARE_NAMES
from tests.support.repository import ROOT

INSTRUCTIONS = {
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"),
    *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
}


PREFIX = "CAPTCHA_BYPASS_"


SETTINGS = set(Config.model_fields)


FLAGS = {f"--{name.replace('_', '-')}" for name in SETTINGS}


VARIABLES = {PREFIX + name.upper() for name in SETTINGS} | {name.upper() for name in BARE_NAMES}


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


DOCKERFILE = parse_dockerfile((ROOT / "Dockerfile").read_text())


COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


HARDENED = yaml.safe_load((ROOT / "compose.hardened.yaml").read_text())


SERVICES: dict[str, dict[str, Any]] = {
    "docker-compose.yml": COMPOSE["services"]["captcha-bypass"],
    "compose.hardened.yaml": HARDENED["services"]["captcha-bypass"],
    "firewall": HARDENED["services"]["firewall"],
}


FIREWALL = SERVICES["firewall"]["environment"]["RULES"]


def all_of(name: str) -> list[Instruction]:
    return [instruction for instruction in DOCKERFILE if instruction.name == name]


def only(name: str) -> Instruction:
    (instruction,) = all_of(name)
    return instruction


def service() -> dict[str, Any]:
    (only_service,) = COMPOSE["services"].values()
    return cast("dict[str, Any]", only_service)


def environment_of_compose() -> dict[str, str | None]:
    pairs = (entry.partition("=") for entry in service()["environment"])
    return {name: value if equals else None for name, equals, value in pairs}
