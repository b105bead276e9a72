"""Dockerfile, .dockerignore and all settings in the files for containers, checked without an engine."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path, PurePosixPath

import pytest
from camoufox.browser_pin import load_pin
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from captcha_bypass.config import Config
from tests.support.container_files import (
    DOCKERFILE,
    FLAGS,
    PREFIX,
    SERVICES,
    VARIABLES,
    Instruction,
    all_of,
    environment_of_compose,
    only,
    parse_dockerfile,
    service,
)
from tests.support.repository import ROOT

CONTAINER_FILES = ("Dockerfile", "docker-compose.yml", "compose.hardened.yaml")


# Read by the shell, pip and Python while the image is built or run; not by the service.
FOREIGN_VARIABLES = {"HOME", "PATH", "PIP_NO_CACHE_DIR", "PYTHONUNBUFFERED"}


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


IGNORE_PATTERNS = [
    line.strip()
    for line in (ROOT / ".dockerignore").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]


# Dockerfile


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
    hook = re.search(r'^path = "(hatch_.+)"$', project, re.MULTILINE)
    assert hook is not None
    assert {"LICENSE", "README.md", "pyproject.toml", hook[1]} <= copied


@pytest.mark.parametrize(
    "path",
    [".git/config", ".env", ".venv/bin/python", "tests/test_api.py", "captcha_bypass_api_key"],
)
def test_nothing_private_or_needless_reaches_the_engine(path: str) -> None:
    assert is_ignored(path, IGNORE_PATTERNS)


# Settings


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


# Image


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
    needed = (
        project["project"]["dependencies"] + project["project"]["optional-dependencies"]["server"]
    )
    wanted = needed + project["dependency-groups"]["build"]
    assert project["build-system"]["requires"] == project["dependency-groups"]["build"]
    versions = locked()
    for requirement in map(Requirement, wanted):
        found = versions.get(canonicalize_name(requirement.name), "none")
        assert requirement.specifier.contains(found), f"{requirement}: run `make lock`"
    installs = [run.arguments for run in all_of("RUN") if "pip install" in run.arguments]
    assert "--require-hashes" in installs[0]
    assert "--no-deps --no-build-isolation ." in installs[1]
